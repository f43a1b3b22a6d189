"""What the last reconcile found."""

from datetime import UTC, datetime

from shared.progress.health import Reconciled


def test_what_was_found_is_added_up() -> None:
    """Each failure is looked after by itself; the first error is the one that is told."""
    found = Reconciled(datetime.now(UTC))
    for error in ("", "first", "second"):
        found += Reconciled(found.at, failures=1, missing=2, broken=int(bool(error)), error=error)
    assert (found.failures, found.missing, found.broken, found.error) == (3, 6, 2, "first")
