"""Measurements of Cabferry, with what a user would pick instead measured beside it.

`python -m bench` runs them. Each section is a module of its own; `programs` holds what runs in a process of its own.
"""
