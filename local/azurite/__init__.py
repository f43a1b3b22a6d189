"""Azurite, the storage emulator: installed from npm at a pinned version, and run as a child process."""
