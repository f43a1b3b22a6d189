"""Tests of `shared/cabs`."""
