"""Results as data: tables, plots and verdicts of sections, kept as JSON (bench/record), and put together as pages.

So a section that is measured anew takes the place of its last measurement, and leaves the others on the page.
"""

from collections.abc import Sequence
from pathlib import Path
from statistics import median

import msgspec
from msgspec.structs import replace

from bench.plots import Plot, svg

CAVEAT = (
    "Azurite is one Node process whose server-side copy moves no bytes: this measures what the client costs, not how "
    "fast Azure copies."
)


class Table(msgspec.Struct, frozen=True):
    """A table.

    Args:
        title: One line over it.
        columns: Their heads; the first names the row.
        rows: Cells as text.
        notes: Sentences below it.
    """

    title: str
    columns: list[str]
    rows: list[list[str]]
    notes: list[str] = []


class Verdict(msgspec.Struct, frozen=True):
    """A target beside what was measured.

    Args:
        what: What is compared.
        target: As the target says it.
        measured: The value.
        met: Whether it is within the target.
    """

    what: str
    target: str
    measured: str
    met: bool


class Section(msgspec.Struct, frozen=True):
    """What one section of the bench found.

    Args:
        name: As `--only` names it.
        title: Its heading.
        facts: The machine and the software that it ran on.
        text: What was done, in paragraphs.
        tables: The figures.
        plots: Pictures of some of them.
        verdicts: Targets.
    """

    name: str
    title: str
    facts: list[str]
    text: list[str]
    tables: list[Table]
    plots: list[Plot] = []
    verdicts: list[Verdict] = []


class Document(msgspec.Struct, frozen=True):
    """A page of sections.

    Args:
        file: Its name.
        title: Its heading.
        command: What writes it.
        text: What a reader must know first, in paragraphs.
    """

    file: str
    title: str
    command: str
    text: list[str]


RESULTS = Document(
    "results.md",
    "Results",
    "python3 dev.py bench",
    [
        f"**{CAVEAT}**",
        "Figures are medians, with the range of the rounds in brackets. Rounds are interleaved and ratios are taken "
        "within a round, since a machine drifts. MB are 10^6 bytes, KiB and MiB powers of 2.",
    ],
)
RELIABILITY = Document(
    "reliability.md",
    "Games, chaos and soak",
    "python3 dev.py bench --games N`, `python3 dev.py bench --chaos N` and `python3 dev.py bench --soak MINUTES",
    ["Last runs on record. docs/reliability.md tells what they are for."],
)


def at_least(what: str, value: float, target: float, unit: str = "x") -> Verdict:
    """Return the verdict on a value that must reach a target."""
    return Verdict(what, f">= {target:,g}{unit}", f"{_short(value)}{unit}", value >= target)


def at_most(what: str, value: float, target: float, unit: str = "") -> Verdict:
    """Return the verdict on a value that must not pass a target."""
    return Verdict(what, f"<= {target:,g}{unit}", f"{_short(value)}{unit}", value <= target)


def spread(values: Sequence[float], form: str = ".0f") -> str:
    """Return the median of values, and their range where there are several."""
    middle = format(median(values), form)
    return middle if len(values) == 1 else f"{middle} ({format(min(values), form)} to {format(max(values), form)})"


def draw(section: Section, folder: Path) -> None:
    """Write a section's plots, a file each."""
    for plot in section.plots:
        (folder / f"{plot.name}.svg").write_text(svg(plot), encoding="utf-8")


def save(section: Section, folder: Path) -> None:
    """Keep a section, in the place of an earlier one of its name; what its plots show stands in their files."""
    folder.mkdir(parents=True, exist_ok=True)
    kept = replace(section, plots=[replace(plot, series=[]) for plot in section.plots])
    (folder / f"{section.name}.json").write_bytes(msgspec.json.encode(kept) + b"\n")


def saved(names: Sequence[str], folder: Path) -> list[Section]:
    """Return the sections that were kept, in the order of the names."""
    files = (folder / f"{name}.json" for name in names)
    return [msgspec.json.decode(file.read_bytes(), type=Section) for file in files if file.exists()]


def write_results(sections: Sequence[Section], folder: Path, document: Document = RESULTS) -> None:
    """Write a document.

    Args:
        sections: What was found.
        folder: Receives the file.
        document: Which.
    """
    folder.mkdir(parents=True, exist_ok=True)
    (folder / document.file).write_text("\n".join(_lines(document, sections)), encoding="utf-8")


def _lines(document: Document, sections: Sequence[Section]) -> list[str]:
    lines = [f"# {document.title}", "", f"Written by `{document.command}`; do not edit.", ""]
    lines += [line for paragraph in document.text for line in (paragraph, "")]
    lines += ["## Targets", "", "| | target | measured | |", "|---|---|---|---|"]
    verdicts = [verdict for section in sections for verdict in section.verdicts]
    lines += [
        f"| {each.what} | {each.target} | {each.measured} | {'met' if each.met else '**missed**'} |"
        for each in verdicts
    ]
    for section in sections:
        lines += ["", f"## {section.title}", "", *(f"- {fact}" for fact in section.facts)]
        for paragraph in section.text:
            lines += ["", paragraph]
        for plot in section.plots:
            lines += ["", f"![{plot.title}]({plot.name}.svg)"]
        for table in section.tables:
            lines += _table(table)
    return [*lines, ""]


def _table(table: Table) -> list[str]:
    lines = ["", f"**{table.title}**", "", _row(table.columns), "|---" + "|---:" * (len(table.columns) - 1) + "|"]
    lines += [_row(row) for row in table.rows]
    return lines + [line for note in table.notes for line in ("", note)]


def _row(cells: Sequence[str]) -> str:
    return f"| {' | '.join(cells)} |"


def _short(value: float) -> str:
    return f"{value:,.0f}" if abs(value) >= 100 else f"{value:.2f}"  # noqa: PLR2004 - three digits say enough
