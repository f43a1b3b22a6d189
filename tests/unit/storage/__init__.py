"""Tests of `shared/storage`."""
