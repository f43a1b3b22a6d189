"""Check the reports once, as the timer does, in a process of its own: with the app's parts, and without its host."""

import msgspec

from bench.programs.job import Measured, measured, tell
from shared.reports.check import check_reports
from shared.services import services


class Ingested(msgspec.Struct, frozen=True):
    """What a check took.

    Args:
        took: Time and memory.
        outcomes: What was done with each run, and why that failed.
    """

    took: Measured
    outcomes: list[tuple[str, str]]


def _main() -> None:
    # What an idle worker has loaded anyway.
    tools = services().report_tools
    outcomes = list[tuple[str, str]]()
    tell(
        Ingested(
            measured(lambda: outcomes.extend((each.outcome, each.error) for each in check_reports(tools))), outcomes
        )
    )


if __name__ == "__main__":
    _main()
