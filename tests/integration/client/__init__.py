"""The engineers' command, against a container."""
