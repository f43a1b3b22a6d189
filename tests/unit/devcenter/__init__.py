"""Tests of `shared/devcenter`."""
