"""What the last reconcile found: the line that an alert takes apart must be the one that is logged."""

import re
from datetime import UTC, datetime
from pathlib import Path

from shared.progress.health import Reconciled

ALERTS = Path(__file__).parents[3] / "infra" / "app" / "alerts.bicep"
PARSED = re.compile(r"parse Message with (?P<form>.+?) \|")


def test_the_alert_reads_the_line_that_is_logged() -> None:
    """An alert that parses another line never fires, and nobody notices until the cabs are gone."""
    line = str(
        Reconciled(datetime.now(UTC), failures=7, missing=4, expiring_within_48_hours=3, lost=5, error="said elsewhere")
    )
    found = PARSED.search(ALERTS.read_text(encoding="utf-8"))
    assert found, "no alert parses the line of the reconcile"
    # The same as Kusto does: texts in quotes are found as they are, a star skips, a name takes a number.
    form = re.sub(r'"([^"]*)"|\*|(\w+):long', _as_pattern, found["form"]).replace(" ", "")
    matched = re.fullmatch(form.replace("\\s", " "), line)
    assert matched, f"{found['form']} does not fit {line}"
    assert (matched["expiring"], matched["lost"]) == ("3", "5")
    assert "said elsewhere" not in line


def _as_pattern(part: re.Match[str]) -> str:
    if part[1] is not None:
        return re.escape(part[1]).replace("\\ ", "\\s")
    return f"(?P<{part[2]}>[0-9]+)" if part[2] else ".*?"


def test_what_was_found_is_added_up() -> None:
    """Each failure is looked after by itself; the first error is the one that is told."""
    found = Reconciled(datetime.now(UTC))
    for error in ("", "first", "second"):
        found += Reconciled(found.at, failures=1, missing=2, broken=int(bool(error)), error=error)
    assert (found.failures, found.missing, found.broken, found.error) == (3, 6, 2, "first")
