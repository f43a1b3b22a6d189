"""Whether all that is needed answers, how the app stands, and what to do where it does not.

The API and the triggers may ask it.
"""
