"""Bind every Kusto query of the alerts and the docs to Azure Monitor's tables: `python -m infra.queries`.

A query that names a column that is not there never fires an alert, and nobody notices. The parser is Microsoft's, from
npm, in `.local/kusto`; the tables are in `infra/kql/tables.kql`.
"""

from __future__ import annotations

import json
import re
import shutil
import subprocess
import sys
from pathlib import Path

from infra.check import unchecked

ROOT = Path(__file__).resolve().parent.parent
KQL = ROOT / "infra" / "kql"
FOLDER = ROOT / ".local" / "kusto"
_PREDICTED = ROOT / "infra" / "snapshots" / "production.snapshot.json"
_IN_DOCS = re.compile(r"^```kusto\n(.*?)^```|`((?:App|Storage)\w+ \|[^`]+)`", re.DOTALL | re.MULTILINE)


def main() -> int:
    """Print what is wrong with a query and return the exit code."""
    node, npm = shutil.which("node"), shutil.which("npm")
    if node is None or npm is None:
        return unchecked("there is no Node with npm on PATH for the queries")
    FOLDER.mkdir(parents=True, exist_ok=True)
    if not _is_installed():
        print("infra: installing Kusto's parser into .local/kusto, once", flush=True)
        for name in ("package.json", "package-lock.json", "bind.cjs"):
            shutil.copyfile(KQL / name, FOLDER / name)
        install = [npm, "ci", "--ignore-scripts", "--no-audit", "--no-fund", "--loglevel=error"]
        if subprocess.run(install, cwd=FOLDER, check=False, stdout=subprocess.DEVNULL).returncode:
            return unchecked("npm could not install the parser of the queries")
    command = [node, str(FOLDER / "bind.cjs"), str(KQL / "tables.kql")]
    return subprocess.run(command, input=json.dumps(queries()), text=True, check=False).returncode


def queries() -> dict[str, str]:
    """Return every query by the place where it stands."""
    rules = [
        each
        for each in json.loads(_PREDICTED.read_text(encoding="utf-8"))["predictedResources"]
        if each["type"] == "Microsoft.Insights/scheduledQueryRules"
    ]
    found = {
        f"infra/app/alerts.bicep, {rule['name']}": rule["properties"]["criteria"]["allOf"][0]["query"] for rule in rules
    }
    for page in sorted((ROOT / "docs").glob("*.md")):
        for match in _IN_DOCS.finditer(page.read_text(encoding="utf-8")):
            line = match.string.count("\n", 0, match.start()) + 1
            found[f"docs/{page.name}:{line}"] = match[1] or match[2]
    return found


def _is_installed() -> bool:
    """Tell whether the parser is there, at its pinned version, and what asks it is this one."""
    there = (FOLDER / "node_modules" / ".package-lock.json").exists()
    same = ("package-lock.json", "bind.cjs")
    return there and all((FOLDER / name).read_bytes() == (KQL / name).read_bytes() for name in same)


if __name__ == "__main__":
    sys.exit(main())
