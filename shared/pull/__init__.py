"""The pull of one failure: when it runs, what it copies, how it ends.

Reports, failures, the reconcile and what stands above them may ask it.
"""
