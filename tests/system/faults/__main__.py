"""Run every cell of the fault matrix, and write what became of it into docs/reliability.md."""

import sys
import tempfile
from pathlib import Path

from local.azurite.server import Azurite, azurite_command
from tests.support.azurite import DESTINATIONS, StorageAccount, new_accounts
from tests.system.faults import matrix
from tests.system.faults.cells import Cell, expected
from tests.system.faults.observing import GROUPS
from tests.system.faults.stage import Seen


def main() -> int:
    """Return 1 where something is not as the tests want it."""
    seen = dict[Cell, Seen]()
    with Azurite(azurite_command(), new_accounts(), recorded=True) as azurite:
        accounts = (
            StorageAccount(name, azurite.accounts[name], azurite.connection_string(name)) for name in DESTINATIONS
        )
        for name, observe in GROUPS.items():
            with tempfile.TemporaryDirectory() as folder:
                seen.update(observe(azurite, accounts, Path(folder)))
            print(f"{name}: done, {len(seen)} cells so far", flush=True)
    matrix.write({cell: each.outcome for cell, each in seen.items()})
    wrong = [f"{cell}: {each}" for cell, each in seen.items() if each.wrong or each.outcome is not expected(cell)]
    print("\n".join([*wrong, f"{len(seen)} cells are in {matrix.PAGE}"]))
    return bool(wrong)


if __name__ == "__main__":
    sys.exit(main())
