"""The commands of dev.py that run the app here, or ask one that runs here or elsewhere."""
