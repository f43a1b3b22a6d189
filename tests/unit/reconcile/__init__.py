"""Tests of `shared/reconcile`."""
