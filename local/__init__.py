"""The embedded default of a developer's machine. Never deployed.

`host` runs the app as Azure's does, `simulator` answers as the Dev Center, `azurite` is the storage; `commands` are
those of dev.py that need them. What is left when kill tests and long runs have come to rest is judged by `aftermath`.
"""
