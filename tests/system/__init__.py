"""The whole app from outside, through its contract alone: nothing here imports `functions` or `shared`."""
