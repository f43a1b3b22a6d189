"""The work itself: reports, pulls, copying and progress, without any trigger.

Nothing here imports `azure.functions`; `functions/` decodes a trigger, calls into this package and encodes the answer.
"""
