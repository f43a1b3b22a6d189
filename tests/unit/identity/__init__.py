"""Tests of `shared/identity`."""
