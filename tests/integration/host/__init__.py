"""The local Functions host as a process, on the real worker runtime and a real Azurite."""
