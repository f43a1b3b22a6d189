"""A shaped service: stand-ins for the Dev Center, blobs and tables whose every answer takes what Azure's might.

Nothing is computed in it that takes time by itself, so what a client waits for is known, and a lower bound for its work
can be computed from the delays that were really given. Queues are not shaped: they are Azurite's.
"""
