"""Every fault on every kind of call: what becomes of the pull, or of the report, and what is told of it."""
