"""The Dev Center: its calls, and where the cabs of a failure come from.

Progress and what stands above it may ask it; it knows nothing of storage.
"""
