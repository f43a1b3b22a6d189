"""Check the files that azd reads beside Bicep: main.parameters.json, azure.yaml and .funcignore."""

from __future__ import annotations

import json
import re
from fnmatch import fnmatch
from typing import TYPE_CHECKING

from infra.checks.agreement import FUNCTION, MAIN, param_of
from infra.checks.bicep import BicepFile, Finding, literal, properties, walk
from shared.core.settings import SETTINGS

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping
    from pathlib import Path

PARAMETERS = "infra/main.parameters.json"
AZURE_YAML = "azure.yaml"
FUNCIGNORE = ".funcignore"
DEPLOYED = frozenset({"function_app.py", "functions", "shared", "host.json", "requirements.txt"})
_SERVICE_LINES = ("project: .", "language: python", "host: function")
_VARIABLE = re.compile(r"\$\{([A-Z_]+)(?:=(.*))?\}")


def check(files: Mapping[str, BicepFile], root: Path) -> Iterator[Finding]:
    """Yield what azd would trip over, or deploy wrongly.

    Args:
        files: Every Bicep file by its path.
        root: The project's folder.
    """
    yield from _parameters(files[MAIN], (root / PARAMETERS).read_text(encoding="utf-8"))
    yield from _service(files[FUNCTION], (root / AZURE_YAML).read_text(encoding="utf-8"))
    yield from _package(root)


def _parameters(main: BicepFile, text: str) -> Iterator[Finding]:
    params = main.of_kind("param")
    given = {name: str(entry["value"]) for name, entry in json.loads(text)["parameters"].items()}
    for name in sorted(params.keys() - given.keys()):
        problem = f"param {name} of {MAIN} is not here, so azd cannot set it"
        yield _at(PARAMETERS, text, '"parameters"', problem, "Add it")
    for name, value in given.items():
        where = f'"{name}"'
        variable = _VARIABLE.fullmatch(value)
        if name not in params:
            yield _at(PARAMETERS, text, where, f"{MAIN} has no param {name}", "Remove it")
        elif variable is None:
            yield _at(
                PARAMETERS, text, where, f"the value of {name} is not one ${{VARIABLE}}", "Read a variable of azd"
            )
        else:
            yield from _variable(main, name, variable[1], variable[2] or "", text)


def _variable(main: BicepFile, name: str, variable: str, default: str, text: str) -> Iterator[Finding]:
    expected = next((setting.name for setting in SETTINGS if param_of(setting.name) == name), variable)
    if variable != expected:
        yield _at(PARAMETERS, text, f'"{name}"', f"{name} reads {variable}", f"Read {expected}, the setting's name")
    # azd passes an unset variable on as an empty string, which takes the place of the default in Bicep.
    in_bicep = literal(main.of_kind("param")[name].value)
    if default != str("" if in_bicep is None else in_bicep):
        problem = f"the default of {name} is {default!r} here and {in_bicep!r} in {MAIN}"
        yield _at(PARAMETERS, text, f'"{name}"', problem, "Make both the same")
    if variable in main.of_kind("output"):
        problem = f"output {variable} would become the input of the next deployment, which azd reads from {variable}"
        yield main.finding(main.of_kind("output")[variable].node, problem, "Rename the output")


def _service(function: BicepFile, text: str) -> Iterator[Finding]:
    tags = (literal(properties(node).get("azd-service-name")) for node in walk(function.root))
    service = next((tag for tag in tags if tag is not None), None)
    lines = [line.strip() for line in text.splitlines()]
    if service is None:
        problem = "no resource has the tag azd-service-name, so azd cannot find where to deploy"
        yield Finding(function.path, 1, problem, "Tag the function app with the service's name")
    for expected in (f"{service}:", *_SERVICE_LINES):
        if expected not in lines:
            yield Finding(AZURE_YAML, 1, f"the line {expected!r} is missing", "azd needs it to deploy the app")


def _package(root: Path) -> Iterator[Finding]:
    text = (root / FUNCIGNORE).read_text(encoding="utf-8")
    patterns = [line.strip() for line in text.splitlines() if line.strip() and not line.startswith("#")]
    ignored = [pattern.strip("/") for pattern in patterns]
    for pattern in patterns:
        if pattern.startswith("!"):
            yield _at(
                FUNCIGNORE, text, pattern, f"{pattern} is negated", "List what stays behind: older azd misreads !"
            )
        for name in sorted(DEPLOYED):
            if fnmatch(name, pattern.strip("/")):
                yield _at(FUNCIGNORE, text, pattern, f"{pattern} keeps {name} from being deployed", "Remove it")
    for path in sorted(root.iterdir()):
        if path.is_dir() and path.name not in DEPLOYED and not any(fnmatch(path.name, name) for name in ignored):
            yield Finding(FUNCIGNORE, 1, f"the folder {path.name} would be deployed", f"Add /{path.name}/")


def _at(path: str, text: str, what: str, problem: str, remedy: str) -> Finding:
    """Make a finding at the first line that holds a text, or at line 1."""
    line = next((number for number, line in enumerate(text.splitlines(), 1) if what in line), 1)
    return Finding(path, line, problem, remedy)
