"""Tests of `shared/reports`."""
