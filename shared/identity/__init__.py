"""Tokens: of the Dev Center, of storage, and what Microsoft Entra answers where it gives none.

Storage, the Dev Center and what stands above them may ask it.
"""
