"""What a command prints: its answer on stdout, as a table or as JSON; all that is said on the way on stderr."""

from __future__ import annotations

import json
import sys
from datetime import UTC, datetime
from typing import TYPE_CHECKING

from rich.console import Console
from rich.table import Table
from rich.text import Text

from .moments import moment
from .names import shown

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

_STEPS = ((86_400, "d"), (3_600, "h"), (60, "min"))


def say(text: str) -> None:
    """Tell a person something that is not the answer."""
    print(shown(text), file=sys.stderr, flush=True)


def answer(text: str) -> None:
    """Print a line of the answer."""
    print(shown(text), flush=True)


def answer_json(value: object, indent: int | None = 2) -> None:
    """Print the answer, or one line of it, as JSON in ASCII: no console's encoding can spoil it."""
    print(json.dumps(value, indent=indent), flush=True)


def answer_table(columns: Sequence[str], rows: Iterable[Sequence[str]], right: Sequence[str], folded: str) -> None:
    """Print the answer as a table, as wide as the console.

    Args:
        columns: The headings.
        rows: A text a column.
        right: The headings of numbers.
        folded: The heading of what may be folded where the console is narrow; all else stays whole, to be copied.
    """
    table = Table(box=None, pad_edge=False, header_style="bold", show_header=any(columns))
    for name in columns:
        table.add_column(name, justify="right" if name in right else "left", overflow="fold", no_wrap=name != folded)
    for row in rows:
        table.add_row(*(Text(shown(value)) for value in row))
    # What is no terminal has no width: lines stay whole there, for grep.
    Console(width=None if sys.stdout.isatty() else 400, soft_wrap=True).print(table)


def size(count: float) -> str:
    """Return a number of bytes as people read it."""
    for unit in ("B", "KB", "MB", "GB"):
        if count < 1000 or unit == "GB":  # noqa: PLR2004 - a thousand to the next unit, as disks are sold
            break
        count /= 1000
    return f"{count:.0f} {unit}" if unit == "B" or count >= 100 else f"{count:.1f} {unit}"  # noqa: PLR2004


def span(seconds: float) -> str:
    """Return a span as people read it: its largest unit."""
    whole, unit = next(((each, unit) for each, unit in _STEPS if seconds >= each), (1, "s"))
    return f"{seconds / whole:.0f} {unit}"


def until(microseconds: int | None) -> str:
    """Return how long it is until a time of the catalog."""
    if microseconds is None:
        return ""
    left = (moment(microseconds) - datetime.now(UTC)).total_seconds()
    return span(left) if left > 0 else "over"


def day(microseconds: int | None) -> str:
    """Return the day of a time of the catalog, in UTC."""
    return "" if microseconds is None else f"{moment(microseconds):%Y-%m-%d}"
