"""The local counterpart on real parts: Azurite, HTTP on loopback, azure-identity."""
