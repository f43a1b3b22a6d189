"""The two predicted deployments, as `bicep snapshot` wrote them; lint holds them to the Bicep files."""

import json
from collections.abc import Mapping
from functools import cache
from pathlib import Path
from typing import Any

ROOT = Path(__file__).parents[3]
BOTH = ("trial", "production")


@cache
def snapshot(deployment: str) -> Mapping[str, Any]:
    """Return a whole prediction."""
    text = (ROOT / "infra" / "snapshots" / f"{deployment}.snapshot.json").read_text(encoding="utf-8")
    parsed: Mapping[str, Any] = json.loads(text)
    return parsed


def resources(deployment: str, kind: str) -> list[Any]:
    """Return the resources of one type; `Microsoft.` is left out."""
    found = [each for each in snapshot(deployment)["predictedResources"] if each["type"] == f"Microsoft.{kind}"]
    assert found, f"{deployment} has no {kind}"
    return found


def names(deployment: str, kind: str) -> set[str]:
    """Return the last parts of the names of one type's resources."""
    return {each["name"].rpartition("/")[2] for each in resources(deployment, kind)}


def settings(deployment: str) -> dict[str, str]:
    """Return the settings of the function app."""
    (app,) = resources(deployment, "Web/sites")
    return {each["name"]: each["value"] for each in app["properties"]["siteConfig"]["appSettings"]}
