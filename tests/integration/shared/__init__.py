"""Tests of `shared` on a real Azurite and the simulated Dev Center."""
