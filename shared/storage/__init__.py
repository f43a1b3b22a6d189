"""The cab storage: clients, rows of tables, leases, and what its refusals mean.

Progress and what stands above it may ask it.
"""
