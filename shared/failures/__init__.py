"""Failures of applications: which happened since the last look, found through the analytics.

services.py and what stands above it may ask it.
"""
