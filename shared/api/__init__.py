"""What the HTTP API takes, tells and promises.

The triggers may ask it, and nothing else.
"""
