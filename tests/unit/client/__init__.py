"""The engineers' command, without a container."""
