"""Tests of `shared` that need nothing but this process and loopback."""
