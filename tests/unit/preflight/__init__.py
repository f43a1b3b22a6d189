"""Tests of `shared/preflight`."""
