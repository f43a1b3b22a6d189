"""Tests of `shared/core`."""
