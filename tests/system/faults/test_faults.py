"""Every cell of the fault matrix: what becomes of it is what docs/reliability.md says, and nothing is lost by it."""

from collections.abc import Iterator
from pathlib import Path

import pytest

from local.azurite.server import Azurite
from tests.support.azurite import StorageAccount
from tests.system.faults.cells import Outcome, expected, says
from tests.system.faults.observing import GROUPS

# The most requests of the call that fails: four for each of two tries, and the cab rows are written twice by each.
# Hammering is more, and so are messages that make messages, where the answer to each is lost.
_MOST_CALLS = 12
_WITHOUT_A_REASON = {Outcome.COMPLETE, Outcome.LATER}


@pytest.mark.parametrize("group", GROUPS)
def test_every_fault_ends_as_promised(
    group: str, azurite: Azurite, unused_accounts: Iterator[str], tmp_path: Path, subtests: pytest.Subtests
) -> None:
    """A fault that ends a pull without a word, or copies a cab twice, is what this product exists to prevent."""
    accounts = (
        StorageAccount(name, azurite.accounts[name], azurite.connection_string(name)) for name in unused_accounts
    )
    for cell, seen in GROUPS[group](azurite, accounts, tmp_path).items():
        with subtests.test(str(cell)):
            assert seen.wrong == []
            assert seen.outcome is expected(cell), seen
            assert seen.outcome in _WITHOUT_A_REASON or says(cell) in seen.reason, seen
            assert 0 < seen.calls <= _MOST_CALLS, seen
