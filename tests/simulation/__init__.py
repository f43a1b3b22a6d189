"""Games against the whole work, in one thread and on a clock of their own: a seed draws what happens.

`python -m tests.simulation SEED` plays one game and tells its story; `--games N` plays many.
"""
