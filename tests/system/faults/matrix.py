"""The fault matrix as docs/reliability.md prints it."""

from collections.abc import Iterable, Mapping
from pathlib import Path

from tests.system.app import ROOT
from tests.system.faults.cells import EXPECTED, Call, Cell, Fault, Outcome, expected

PAGE = ROOT / "docs" / "reliability.md"
_BEGIN = "<!-- fault matrix: written by `python -m tests.system.faults`, from what a run saw -->"
_END = "<!-- end of the fault matrix -->"
_NOT_THERE = "-"
# Two tables: one with every call would be too wide to read.
_TABLES = (
    (Call.TOKEN, Call.REPORT_DATA, Call.REPORT_FILE, Call.CAB_BATCH, Call.COPY, Call.READ_BACK),
    (Call.ASKED, Call.LEASE, Call.CAB_ROWS, Call.END, Call.MESSAGE, Call.NEXT_MESSAGE),
)


def promised() -> Mapping[Cell, Outcome]:
    """Return what the tests hold every cell to."""
    everything = (Cell(call, fault, lasts) for call in Call for fault in Fault for lasts in (False, True))
    return {
        cell: expected(cell) for cell in everything if any(cell.fault in some for some in EXPECTED[cell.call].values())
    }


def tables(outcomes: Mapping[Cell, str]) -> str:
    """Return the tables.

    Args:
        outcomes: What became of each cell.
    """
    return "\n\n".join(_table(calls, outcomes) for calls in _TABLES)


def printed(page: Path = PAGE) -> str:
    """Return the tables that a page has."""
    return page.read_text(encoding="utf-8").split(_BEGIN)[1].split(_END)[0].strip()


def write(outcomes: Mapping[Cell, str], page: Path = PAGE) -> None:
    """Put the tables into a page, in the place of those that it has.

    Args:
        outcomes: What became of each cell.
        page: Has the two marks.
    """
    before, rest = page.read_text(encoding="utf-8").split(_BEGIN)
    after = rest.split(_END)[1]
    page.write_text(f"{before}{_BEGIN}\n\n{tables(outcomes)}\n\n{_END}{after}", encoding="utf-8", newline="\n")


def _table(calls: Iterable[Call], outcomes: Mapping[Cell, str]) -> str:
    head = ["fault", *calls]
    rows = [[str(fault), *(_both(outcomes, call, fault) for call in calls)] for fault in Fault]
    return "\n".join(f"| {' | '.join(row)} |" for row in (head, ["---"] * len(head), *rows))


def _both(outcomes: Mapping[Cell, str], call: Call, fault: Fault) -> str:
    once, for_good = (outcomes.get(Cell(call, fault, lasts), _NOT_THERE) for lasts in (False, True))
    return once if once == for_good else f"{once} / {for_good}"
