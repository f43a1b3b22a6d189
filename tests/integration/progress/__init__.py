"""Tests of `shared/progress`."""
