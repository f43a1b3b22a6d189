"""Check that the deployment and the code agree: settings and their defaults, names, limits, functions."""

from __future__ import annotations

import ast
import json
import re
from typing import TYPE_CHECKING

from infra.checks.bicep import BicepFile, Finding, body_of, line_of, literal, properties, symbols_in, text_of, walk
from shared.core.settings import SETTINGS

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping
    from pathlib import Path

    from tree_sitter import Node

MAIN = "infra/main.bicep"
FUNCTION = "infra/app/function.bicep"
CAB_STORAGE = "infra/app/cab-storage.bicep"
ALERTS = "infra/app/alerts.bicep"
_SETTING = re.compile(r"[A-Z][A-Z0-9]*(_[A-Z0-9]+)+(__\w+)?")
# What the Functions host and its worker read; everything else is the app's.
_HOST_SETTINGS = frozenset(
    {
        "APPLICATIONINSIGHTS_CONNECTION_STRING",
        "APPLICATIONINSIGHTS_AUTHENTICATION_STRING",
        "PYTHON_THREADPOOL_THREAD_COUNT",
    }
)
# For local use: a token of an hour is no way to run a service.
_NOT_DEPLOYED = frozenset({"DEVCENTER_ACCESS_TOKEN"})
_IDENTITY_BASED = "CAB_STORAGE"
_IDENTITY_PARTS = ("blobServiceUri", "queueServiceUri", "tableServiceUri", "credential", "clientId")
_QUOTED = re.compile(r'"(\w+)"')
_LINE = re.compile(r'"(\w+: )"')


def check(files: Mapping[str, BicepFile], root: Path) -> Iterator[Finding]:
    """Yield where the deployment says something else than the code.

    Args:
        files: Every Bicep file by its path.
        root: The project's folder.
    """
    main = files[MAIN]
    given = {key: (file, node) for file in files.values() for key, node in _setting_keys(file)}
    yield from _settings(main, given)
    yield from _defaults(main, given)
    yield from _retention(main, files[CAB_STORAGE])
    yield from _tables(main, root)
    yield from _runtime(files[FUNCTION], root)
    yield from _alerts(files[ALERTS], root)


def param_of(setting: str) -> str:
    """Return the param that carries a setting: PULL_CONCURRENCY is pullConcurrency."""
    first, *others = setting.lower().split("_")
    return first + "".join(part.capitalize() for part in others)


def _setting_keys(file: BicepFile) -> Iterator[tuple[str, Node]]:
    for node in walk(file.root):
        for key, value in properties(node).items():
            if _SETTING.fullmatch(key):
                yield key, value


def _settings(main: BicepFile, given: Mapping[str, tuple[BicepFile, Node]]) -> Iterator[Finding]:
    expected = {setting.name for setting in SETTINGS} - _NOT_DEPLOYED - {_IDENTITY_BASED}
    expected |= {f"{_IDENTITY_BASED}__{part}" for part in _IDENTITY_PARTS}
    for name in sorted(expected - given.keys()):
        yield Finding(main.path, 1, f"setting {name} is not deployed", "Add it to the settings of the function app")
    for name in sorted(given.keys() - expected - _HOST_SETTINGS):
        file, node = given[name]
        yield file.finding(node, f"setting {name} is unknown to shared/core/settings.py", "Mend its name or remove it")


def _defaults(main: BicepFile, given: Mapping[str, tuple[BicepFile, Node]]) -> Iterator[Finding]:
    params = main.of_kind("param")
    for setting in SETTINGS:
        if setting.default is None or setting.name not in given:
            continue
        file, node = given[setting.name]
        name = param_of(setting.name)
        if name not in symbols_in(node):
            yield file.finding(node, f"setting {setting.name} is not given the param {name}", f"Give it {name}")
        elif name in params and str(literal(params[name].value)) != setting.default:
            problem = f"the default of {name} is not {setting.default!r}, as in shared/core/settings.py"
            yield main.finding(params[name].node, problem, "Make both the same")


def _retention(main: BicepFile, storage: BicepFile) -> Iterator[Finding]:
    rules = [
        value
        for node in walk(storage.root)
        for key, value in properties(node).items()
        if key == "daysAfterCreationGreaterThan"
    ]
    if not rules:
        yield Finding(storage.path, 1, "no lifecycle rule deletes old cabs", "Delete by daysAfterCreationGreaterThan")
    for rule in rules:
        if text_of(rule) != "retentionDays":
            yield storage.finding(rule, "the lifecycle rule does not use retentionDays", "Give it retentionDays")
    module = main.of_kind("module")["cabStorage"]
    passed = properties(properties(body_of(module)).get("params")).get("retentionDays")
    if passed is not None and text_of(passed) != "retentionDays":
        problem = "the lifecycle rule is not given the value of RETENTION_DAYS"
        yield main.finding(passed, problem, "Pass retentionDays on as it is")


def _tables(main: BicepFile, root: Path) -> Iterator[Finding]:
    in_code = {
        node.value
        for path in (root / "shared").rglob("*.py")
        for node in ast.walk(ast.parse(path.read_text(encoding="utf-8")))
        if isinstance(node, ast.Constant)
    }
    tables = main.of_kind("var")["cabTables"]
    for node in walk(tables.node):
        name = literal(node)
        if name is not None and name not in in_code:
            yield main.finding(node, f"no code in shared/ names the table {name!r}", "Use the code's name")


def _runtime(function: BicepFile, root: Path) -> Iterator[Finding]:
    host = json.loads((root / "host.json").read_text(encoding="utf-8"))
    queues = host["extensions"]["queues"]
    messages = queues["batchSize"] + queues["newBatchThreshold"]
    python = (root / ".python-version").read_text(encoding="utf-8").strip()
    for node in walk(function.root):
        found = properties(node)
        threads, version = (literal(found.get(key)) for key in ("PYTHON_THREADPOOL_THREAD_COUNT", "version"))
        if threads is not None and int(threads) <= messages:
            problem = f"{threads} threads leave none for HTTP beside the {messages} messages of host.json"
            yield function.finding(found["PYTHON_THREADPOOL_THREAD_COUNT"], problem, f"Use more than {messages}")
        if version is not None and version != python:
            yield function.finding(
                found["version"], f"Python {version} is not that of .python-version", f"Use {python}"
            )


def _alerts(alerts: BicepFile, root: Path) -> Iterator[Finding]:
    functions = {
        node.name
        for path in (root / "functions").rglob("*.py")
        for node in ast.walk(ast.parse(path.read_text(encoding="utf-8")))
        if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef)
    }
    logged = "".join(path.read_text(encoding="utf-8") for path in (root / "shared").rglob("*.py"))
    for node in walk(alerts.root):
        query = literal(properties(node).get("query"))
        if isinstance(query, str):
            for name in sorted(set(_QUOTED.findall(query)) - functions):
                problem = f"the alert watches {name!r}, which no file in functions/ defines"
                yield Finding(alerts.path, line_of(properties(node)["query"]), problem, "Use the function's name")
            for line in _LINE.findall(query):
                if f'"{line}' not in logged:
                    problem = f"the alert looks for lines of the log with {line!r}, which no code in shared/ writes"
                    yield Finding(alerts.path, line_of(properties(node)["query"]), problem, "Use the line's beginning")
