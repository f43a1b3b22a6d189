"""The embedded default of a developer's machine: a Functions host, a Dev Center simulator, Azurite. Never deployed."""
