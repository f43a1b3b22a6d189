"""Run cells of the fault matrix, whole groups side by side."""

from collections.abc import Callable, Iterator, Mapping
from pathlib import Path

from local.azurite.server import Azurite
from tests.support.azurite import StorageAccount
from tests.system.faults import pulls, refused, reports, tokens
from tests.system.faults.cells import PULL_CALLS, REPORT_CALLS, cells
from tests.system.faults.stage import Observed, staged

type Observe = Callable[[Azurite, Iterator[StorageAccount], Path], Observed]


def observe_pulls(azurite: Azurite, accounts: Iterator[StorageAccount], folder: Path) -> Observed:
    """Run the cells of a pull's calls."""
    with staged(azurite, next(accounts), folder, "pulls") as stage:
        return pulls.observe(stage, cells(*PULL_CALLS))


def observe_reports(azurite: Azurite, accounts: Iterator[StorageAccount], folder: Path) -> Observed:
    """Run the cells of a check's calls."""
    with staged(azurite, next(accounts), folder, "reports") as stage:
        return reports.observe(stage, cells(*REPORT_CALLS))


# Each needs the Azurite that records its requests, accounts of its own, and a folder for its logs.
GROUPS: Mapping[str, Observe] = {
    "pulls": observe_pulls,
    "reports": observe_reports,
    "tokens": tokens.observe,
    "refused": refused.observe,
}
