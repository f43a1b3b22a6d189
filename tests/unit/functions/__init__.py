"""The triggers, without the host."""
