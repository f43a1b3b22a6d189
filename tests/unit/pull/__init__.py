"""Tests of `shared/pull`."""
