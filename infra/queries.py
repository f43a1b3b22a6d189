"""Bind every Kusto query of the alerts, the workbook and the docs to Azure Monitor's tables: `python -m infra.queries`.

A query that names a column that is not there never fires an alert, and nobody notices. The parser is Microsoft's, from
npm, in `.local/kql`; the tables are in `infra/kql/tables.kql`.
"""

from __future__ import annotations

import json
import re
import subprocess
import sys
from pathlib import Path

from infra.check import unchecked
from local.install import InstallError, node_command

ROOT = Path(__file__).resolve().parent.parent
KQL = ROOT / "infra" / "kql"
_PREDICTED = ROOT / "infra" / "snapshots" / "production.snapshot.json"
_WORKBOOK = ROOT / "infra" / "app" / "workbook.json"
_IN_DOCS = re.compile(r"^```kusto\n(.*?)^```|`((?:App|Storage)\w+ \|[^`]+)`", re.DOTALL | re.MULTILINE)


def main() -> int:
    """Print what is wrong with a query and return the exit code."""
    try:
        bind = node_command(KQL, "bind.cjs")
    except InstallError as error:
        return unchecked(f"{error}, for the queries")
    asked = subprocess.run([*bind, str(KQL / "tables.kql")], input=json.dumps(queries()), text=True, check=False)
    return asked.returncode


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
    for item in json.loads(_WORKBOOK.read_text(encoding="utf-8"))["items"]:
        if query := item["content"].get("query"):
            found[f"infra/app/workbook.json, {item['content']['title']}"] = query
    for page in sorted((ROOT / "docs").glob("*.md")):
        for match in _IN_DOCS.finditer(page.read_text(encoding="utf-8")):
            line = match.string.count("\n", 0, match.start()) + 1
            found[f"docs/{page.name}:{line}"] = match[1] or match[2]
    return found


if __name__ == "__main__":
    sys.exit(main())
