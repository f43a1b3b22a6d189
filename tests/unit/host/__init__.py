"""Parts of the local Functions host, without a network."""
