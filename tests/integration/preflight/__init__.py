"""The preflight, with each part really broken."""
