"""Programs that are measured, or that others are measured against: each runs in a process of its own.

Each reads a job as JSON from its standard input and prints its result as JSON, so that nothing of the bench itself is
in its time, its CPU or its memory.
"""
