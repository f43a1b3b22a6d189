"""Measurements of Cabferry, with what a user would pick instead measured beside it.

`python -m bench` runs them: `sections` holds what is measured, `programs` what runs in a process of its own for it, and
`chaos`, `soak` and `games` what the app must withstand. `record` keeps the last run of each, which the pages tell.
"""
