"""The pull of one failure: when it runs, what it copies, how it ends.

Reports, the reconcile, and services.py, which puts everything together, may ask it.
"""
