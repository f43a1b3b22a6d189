"""Check the deployment without Azure: `python -m infra.check`.

There is no Bicep compiler to be had from a package registry, so this parses and cross-checks: syntax, names, module
parameters, pinned API versions and role ids, what protects the cabs, and everything that the deployment and the code
must say alike. It checks no types, and nothing of what only Azure knows. It exits 1 where something is found.
"""

from __future__ import annotations

import sys
from itertools import chain
from pathlib import Path
from typing import TYPE_CHECKING

from infra.checks import agreement, azure_facts, hardening, packaging, symbols
from infra.checks.bicep import load

if TYPE_CHECKING:
    from infra.checks.bicep import Finding


def findings(root: Path) -> list[Finding]:
    """Return everything that is wrong with a project's deployment, in the order of its files.

    Args:
        root: The project's folder.
    """
    files = load(root)
    checks = (
        symbols.check(files),
        azure_facts.check(files),
        hardening.check(files),
        agreement.check(files, root),
        packaging.check(files, root),
    )
    return sorted(symbols.syntax(files)) or sorted(chain.from_iterable(checks))


def main() -> int:
    """Print what is found, one line each, and return the exit code."""
    root = Path(__file__).resolve().parent.parent
    found = findings(root)
    for finding in found:
        print(finding)
    print(f"infra: {len(load(root))} Bicep files, {len(found)} findings")
    return 1 if found else 0


if __name__ == "__main__":
    sys.exit(main())
