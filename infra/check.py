"""Check the deployment without Azure, by the Bicep compiler: `python -m infra.check`.

The rules of `bicepconfig.json`, the format, and the two predicted deployments of `infra/snapshots`, where a change
shows resource by resource. `--write` formats the files and writes the predictions anew. What code and deployment must
say alike is in tests/unit/infra.
"""

from __future__ import annotations

import filecmp
import json
import os
import shutil
import subprocess
import sys
from pathlib import Path
from tempfile import TemporaryDirectory

ROOT = Path(__file__).resolve().parent.parent
INFRA = ROOT / "infra"
_FILES = "**/*.bicep*"
# Nothing is asked of them: a prediction needs names, and the names of resources are derived from these.
PREDICTED_FOR = (
    *("--tenant-id", "44444444-4444-4444-4444-444444444444"),
    *("--subscription-id", "00000000-0000-0000-0000-000000000000"),
    *("--location", "westeurope"),
)
# What main.bicepparam reads without a default.
_NEEDED = {
    **dict.fromkeys(("AZURE_ENV_NAME", "DEVCENTER_TENANT_ID", "DEVCENTER_CLIENT_ID"), "any"),
    "AZURE_LOCATION": "westeurope",
}


def found_compiler() -> Path | None:
    """Return the Bicep compiler: that of BICEP, PATH, az or azd, or the one beside the project; None without one."""
    exe = "bicep.exe" if os.name == "nt" else "bicep"
    named = os.environ.get("BICEP") or shutil.which("bicep")
    places = (
        *([Path(named)] if named else []),
        Path.home() / ".azure" / "bin" / exe,
        Path.home() / ".azd" / "bin" / exe,
        ROOT.parent / "shared" / "tools" / "bicep",
    )
    return next((path for path in places if path.is_file()), None)


def unchecked(why: str) -> int:
    """Say in one line what could not be checked; return the exit code, which fails the workflows of GitHub alone.

    Their machines have all that is needed. On others a tool that is missing must not stop a person's day.
    """
    print(f"infra: not checked, {why}", flush=True)
    return 1 if os.environ.get("GITHUB_ACTIONS") else 0


def main() -> int:
    """Print what is wrong and return the exit code."""
    compiler = found_compiler()
    if compiler is None:
        return unchecked("there is no Bicep compiler: `az bicep install` brings one, or BICEP names it")
    is_writing = "--write" in sys.argv[1:]
    fine = [
        _run(compiler, "lint", "main.bicepparam"),
        _is_formatted(compiler, is_writing=is_writing),
        *(_is_predicted(compiler, name, is_writing=is_writing) for name in ("trial", "production")),
    ]
    return 0 if all(fine) else 1


def _run(compiler: Path, *arguments: str) -> bool:
    """Run the compiler; a warning is as bad as an error, for whoever deploys sees it too."""
    done = subprocess.run(
        [str(compiler), *arguments],
        cwd=INFRA,
        env=_NEEDED | os.environ,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        check=False,
    )
    print(done.stdout, end="")
    return done.returncode == 0 and not done.stdout


def _is_formatted(compiler: Path, *, is_writing: bool) -> bool:
    """Compare every file with what the formatter makes of it."""
    if is_writing:
        return _run(compiler, "format", "--pattern", str(INFRA / _FILES))
    with TemporaryDirectory() as folder:
        copy = Path(shutil.copytree(INFRA, Path(folder) / "infra"))
        fine = _run(compiler, "format", "--pattern", str(copy / _FILES))
        for path in sorted(INFRA.glob(_FILES)):
            if not filecmp.cmp(path, copy / path.relative_to(INFRA), shallow=False):
                print(f"{path.relative_to(ROOT)}: not formatted; mend it with: python -m infra.check --write")
                fine = False
    return fine


def _is_predicted(compiler: Path, name: str, *, is_writing: bool) -> bool:
    """Compare the prediction of a deployment with the one that is kept."""
    mode = "overwrite" if is_writing else "validate"
    if _run(compiler, "snapshot", f"snapshots/{name}.bicepparam", "--mode", mode, *PREDICTED_FOR):
        if is_writing:
            # The compiler writes the outputs in another order each time.
            path = INFRA / "snapshots" / f"{name}.snapshot.json"
            predicted = json.loads(path.read_text(encoding="utf-8"))
            predicted["outputs"] = dict(sorted(predicted["outputs"].items()))
            path.write_text(json.dumps(predicted, indent=2, ensure_ascii=False) + "\n", encoding="utf-8")
        return True
    print(f"infra/snapshots/{name}: if that is meant, keep it with: python -m infra.check --write")
    return False


if __name__ == "__main__":
    sys.exit(main())
