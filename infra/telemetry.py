"""Write the tables of docs/telemetry.md from the registries of the code: `python -m infra.telemetry`."""

import logging
import re
from collections.abc import Iterable
from pathlib import Path

from shared.core.events import EVENTS
from shared.core.metrics import METRICS

PAGE = Path(__file__).resolve().parent.parent / "docs" / "telemetry.md"


def written(page: str) -> str:
    """Return the page with its tables as they should be.

    Args:
        page: The page; a heading stands before each table, and prose of any length after it.
    """
    metrics = (
        f"| `{each.name}` | {each.unit} | {each.kind} | {_listed(each.attributes)} | {each.means} |" for each in METRICS
    )
    events = (
        f"| `{each.name}` | {logging.getLevelName(each.level).lower()} | {_listed(each.attributes)} | {each.means} |"
        for each in EVENTS
    )
    page = _replaced(page, "Metrics", "| metric | unit | kind | attributes | means |", metrics)
    return _replaced(page, "Events", "| event | level | attributes | told when |", events)


def _listed(attributes: Iterable[str]) -> str:
    return ", ".join(f"`{each}`" for each in attributes)


def _replaced(page: str, heading: str, head: str, rows: Iterable[str]) -> str:
    table = "\n".join((head, "|---" * head.count(" | ") + "|---|", *rows))
    pattern = re.compile(rf"(^## {heading}\n.*?\n\n)(?:^\|[^\n]*\n)+", re.DOTALL | re.MULTILINE)
    return pattern.sub(lambda found: f"{found[1]}{table}\n", page, count=1)


if __name__ == "__main__":
    PAGE.write_text(written(PAGE.read_text(encoding="utf-8")), encoding="utf-8")
