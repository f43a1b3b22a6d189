"""The command `cabferry`: find, fetch and unpack failure cabs. It knows the app by its container and API alone."""
