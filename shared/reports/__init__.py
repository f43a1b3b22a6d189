"""Driver reports: which runs are new, and the failures and cabs that their files name.

services.py and what stands above it may ask it.
"""
