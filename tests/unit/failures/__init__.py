"""Tests of `shared/failures`."""
