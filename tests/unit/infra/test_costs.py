"""The worked month of the docs is what the arithmetic says, and the arithmetic starts from what was measured."""

import re
from dataclasses import replace
from datetime import UTC, datetime, timedelta

import pytest

from infra.costs import (
    ALERTS,
    ENDPOINTS,
    PAGE,
    PRICES,
    RETENTION_DAYS,
    TIMED_RUNS,
    ZONES,
    main,
    month,
    requests,
    written,
)
from shared.core.schedule import next_after
from shared.core.settings_table import default_of
from tests.unit.infra.predicted import ROOT, resources


def test_the_page_shows_what_the_arithmetic_says_today() -> None:
    page = PAGE.read_text(encoding="utf-8")
    assert page == written(page), "write it anew: .venv/bin/python -m infra.costs"


def test_requests_are_those_that_were_measured() -> None:
    results = (ROOT / "bench" / "results.md").read_text(encoding="utf-8")
    measured = re.findall(r"^\| new: ([\d,]+) failures?, ([\d,]+) cabs?( each)? \| ([\d,]+) \|", results, re.MULTILINE)
    assert len(measured) == 3
    for failures, cabs, each, found in (
        (int(row[0].replace(",", "")), int(row[1].replace(",", "")), row[2], int(row[3].replace(",", "")))
        for row in measured
    ):
        # A failure of one cab needs a transaction of its own, which the hundredth of a cab stands for elsewhere.
        counted = requests(failures * cabs if each else cabs, failures)
        assert counted == pytest.approx(found, rel=0.02)


def test_a_dearer_gigabyte_costs_more_of_storing_and_of_nothing_else() -> None:
    cheap = dict(month(100_000, 2.0, PRICES))
    dear = dict(month(100_000, 2.0, PRICES | {"stored_gb": replace(PRICES["stored_gb"], dollars=0.0416)}))
    changed = {name for name in cheap if cheap[name] != dear[name]}
    assert changed == {"storing", "**together**"}
    # 200 GB a month, kept for 28 days of 30.
    assert (cheap["GB stored"], cheap["storing"], dear["storing"]) == ("187", "$3.88", "$7.77")


@pytest.mark.parametrize(
    ("typed", "told"),
    [
        ("--price=table=dear", "'dear' is not a number from 0 to 1,000,000"),
        ("--price=table=-1", "'-1' is not a number from 0 to 1,000,000"),
        ("--price=table=nan", "'nan' is not a number from 0 to 1,000,000"),
        ("--price=table", "'' is not a number from 0 to 1,000,000"),
        ("--price=x", "no price is called 'x'; there are gb_second, "),
        ("--price=table=1e300", "'1e300' is not a number from 0 to 1,000,000"),
        ("--megabytes=1e308", "'1e308' is not a number from 0 to 1,000,000"),
        ("--megabytes=-3", "'-3' is not a number from 0 to 1,000,000"),
        ("--cabs=0", "'0' is not a whole number from 1 on"),
        ("--cabs=many", "'many' is not a whole number from 1 on"),
        (f"--cabs=1{'0' * 400}", "is not a whole number from 1 on, of 12 digits at most"),
    ],
)
def test_what_is_no_price_is_told_in_one_line(typed: str, told: str, capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit) as ended:
        main([typed])
    assert ended.value.code == 2
    assert told in capsys.readouterr().err.splitlines()[-1]


def test_a_month_of_other_prices_is_printed(capsys: pytest.CaptureFixture[str]) -> None:
    main(["--cabs=250000", "--megabytes=3", "--price=stored_gb=0.03", "--price=table=0"])
    said = capsys.readouterr().out
    assert "250,000 cabs" in said
    assert "| `table` | 0 | 10,000 operations of tables | given |" in said
    assert "| `stored_gb` | 0.03 | 1 GB stored, a month (LRS) | given |" in said


def test_the_assumptions_that_the_deployment_can_tell_are_true() -> None:
    begin = datetime(2026, 11, 1, tzinfo=UTC)
    runs = 0
    for name in ("REPORT_POLL_SCHEDULE", "FAILURE_POLL_SCHEDULE", "RECONCILE_SCHEDULE"):
        due = next_after(default_of(name), begin - timedelta(seconds=1))
        while due is not None and due < begin + timedelta(days=30):
            runs += 1
            due = next_after(default_of(name), due)
    assert (runs, int(default_of("RETENTION_DAYS"))) == (TIMED_RUNS, RETENTION_DAYS)
    assert len(resources("production", "Network/privateEndpoints")) == ENDPOINTS
    assert len(resources("production", "Network/privateDnsZones")) == ZONES
    assert len(resources("production", "Insights/scheduledQueryRules")) == ALERTS
