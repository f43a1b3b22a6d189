"""Results that are written wrongly would be published wrongly."""

from pathlib import Path

from bench.long_report import long_report
from bench.plan import named
from bench.plots import Plot, Series
from bench.report import Section, Table, at_least, at_most, save, saved, spread, write_results
from shared.reports.reader import read_report


def section(name: str, measured: float) -> Section:
    table = Table("Cabs", ["", "cabs/s"], [["Cabferry", "700"]], ["A note."])
    plot = Plot("throughput", "Cabs & more", "bars", [Series("64 KiB", [("Cabferry", 700.0)])])
    return Section(name, "Throughput", ["a fact"], ["Some text."], [table], [plot], [at_least("rate", measured, 0.9)])


def test_targets_are_met_or_missed_at_their_edges() -> None:
    assert at_least("", 0.9, 0.9).met
    assert not at_least("", 0.89, 0.9).met
    assert at_most("", 1.15, 1.15).met
    assert not at_most("", 1.16, 1.15).met


def test_a_section_that_runs_again_takes_the_place_of_its_old_figures_alone(tmp_path: Path) -> None:
    save(section("throughput", 0.5), tmp_path)
    save(section("growth", 0.95), tmp_path)
    save(section("throughput", 0.92), tmp_path)
    write_results(saved(("throughput", "growth", "never ran"), tmp_path), tmp_path)
    text = (tmp_path / "results.md").read_text(encoding="utf-8")
    assert text.count("| met |") == 2
    assert "missed" not in text
    assert "moves no bytes" in text
    assert "![Cabs & more](throughput.svg)" in text


def test_several_rounds_show_their_range() -> None:
    assert spread([3.0, 1.0, 2.0]) == "2 (1 to 3)"
    assert spread([2.0], ".1f") == "2.0"


def test_sizes_are_named_as_people_say_them() -> None:
    assert [named(65_536), named(1 << 20), named(64 << 20)] == ["64 KiB", "1 MiB", "64 MiB"]


def test_the_long_report_is_one_that_the_app_reads(tmp_path: Path) -> None:
    report = long_report(tmp_path, 500)
    with report.path.open("rb") as file:
        parts = list(read_report(file, "the report"))
    assert sum(part.unreadable for part in parts) == 0
    assert sum(len(cabs) for part in parts for cabs in part.cabs.values()) == 100
