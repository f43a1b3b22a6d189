"""What heals itself: pulls that are stuck, cabs that are missing, messages that failed too often.

services.py and what stands above it may ask it.
"""
