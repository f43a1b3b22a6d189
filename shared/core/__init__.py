"""What everything else stands on: errors, settings, names of failures and cabs, redaction, backoff, clocks, stopping.

Every room may ask it; it asks none.
"""
