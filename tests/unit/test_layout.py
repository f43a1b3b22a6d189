"""Imports point one way, so that whoever changes a file can see from its folder what may depend on it."""

import ast
import re
import sys
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import cache
from graphlib import TopologicalSorter
from importlib.metadata import packages_distributions, version
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
APP = ("function_app.py", "functions", "shared")
OURS = {"function_app", "functions", "shared", "local", "tests", "infra", "bench", "dev"}


@dataclass(frozen=True, slots=True)
class Import:
    """One imported module.

    Args:
        file: Where it is imported, from the project's root.
        module: The dotted name.
        is_at_start: Whether importing the file imports it: not within a function, nor for the type checker alone.
    """

    file: str
    module: str
    is_at_start: bool

    @property
    def top(self) -> str:
        """The first part of its name."""
        return self.module.split(".")[0]


def files_of(*places: str) -> list[Path]:
    """Return the Python files of some folders, or the files themselves."""
    found = [
        path for place in places for path in ([ROOT / place] if place.endswith(".py") else (ROOT / place).rglob("*.py"))
    ]
    assert found, f"nothing found in {places}"
    return found


def imports_of(*places: str) -> list[Import]:
    """Return everything that these files import, wherever in them."""
    return [each for path in files_of(*places) for each in imports_in(path)]


@cache
def imports_in(path: Path) -> Sequence[Import]:
    """Return the imports of one file; of `from package import module` the module, where it is one of ours."""
    tree = ast.parse(path.read_text(encoding="utf-8"))
    found: list[Import] = []
    at_start = set(nodes_at_start(tree))
    name = path.relative_to(ROOT).as_posix()
    package = path.relative_to(ROOT).with_suffix("").parts[:-1]
    for node in ast.walk(tree):
        if isinstance(node, ast.Import):
            found += [Import(name, alias.name, node in at_start) for alias in node.names]
        elif isinstance(node, ast.ImportFrom):
            base = [*package[: len(package) - node.level + 1]] if node.level else []
            module = ".".join([*base, *([node.module] if node.module else [])])
            for alias in node.names:
                inner = f"{module}.{alias.name}"
                found.append(Import(name, inner if is_ours(inner) else module, node in at_start))
    return found


def nodes_at_start(tree: ast.Module) -> Iterator[ast.AST]:
    """Yield the nodes that run when the module is imported."""
    waiting: list[ast.AST] = [*tree.body]
    while waiting:
        node = waiting.pop()
        yield node
        if isinstance(node, (ast.FunctionDef, ast.AsyncFunctionDef, ast.Lambda)):
            continue
        if isinstance(node, ast.If) and "TYPE_CHECKING" in ast.unparse(node.test):
            waiting += node.orelse
            continue
        waiting += ast.iter_child_nodes(node)


def is_ours(module: str) -> bool:
    """Tell whether a dotted name is a module of this project."""
    path = ROOT.joinpath(*module.split("."))
    return path.with_suffix(".py").is_file() or (path / "__init__.py").is_file()


@pytest.mark.parametrize(
    ("folder", "forbidden"),
    [
        ("shared", ("azure.functions", "function_app", "tests")),
        ("functions", ("function_app", "local", "tests", "infra", "bench")),
        ("local", ("functions", "function_app", "tests", "infra", "bench")),
        # It installs its tools as the local parts do.
        ("infra", ("local.azurite", "local.host", "local.simulator", "tests", "bench")),
        ("client", ("shared", "functions", "function_app", "local", "tests", "infra", "bench")),
        ("tests/system", ("shared", "functions", "function_app")),
    ],
)
def test_a_folder_imports_only_what_it_stands_on(folder: str, forbidden: tuple[str, ...]) -> None:
    """What is no import between the packages of one tree; lint holds those (pyproject.toml, importlinter)."""
    wrong = [
        each for each in imports_of(folder) if f"{each.module}.".startswith(tuple(f"{name}." for name in forbidden))
    ]
    assert wrong == []


STANDING_ALONE = (
    "shared.core.backoff",
    "shared.core.clock",
    "shared.core.settings",
    "shared.core.settings_table",
    "shared.core.errors",
    "shared.core.events",
    "shared.core.log_guard",
    "shared.core.redaction",
    "shared.core.stopping",
    "shared.core.telemetry",
    "shared.core.urls",
)


def test_a_trigger_needs_nothing_that_could_be_missing_to_be_indexed() -> None:
    """A package that cannot be imported must fail the call that needs it, and never leave an app without functions."""
    allowed = {"azure.functions", "functions", *STANDING_ALONE}
    wrong = [
        each
        for each in imports_of("function_app.py", "functions")
        if each.is_at_start
        and each.top not in sys.stdlib_module_names
        and not any(f"{each.module}.".startswith(f"{name}.") for name in allowed)
    ]
    assert wrong == []


def test_what_triggers_import_stands_on_the_standard_library_alone() -> None:
    reached, waiting = set[str](), list(STANDING_ALONE)
    while waiting:
        module = waiting.pop()
        reached.add(module)
        for each in imports_in(ROOT.joinpath(*module.split(".")).with_suffix(".py")):
            assert each.top in {*sys.stdlib_module_names, "shared"}, each
            if each.top == "shared" and each.is_at_start and each.module not in reached:
                waiting.append(each.module)


def test_a_worker_that_starts_does_not_load_what_writes_the_catalog() -> None:
    """33 MB for what most processes do once a minute, if at all: a cold start waits for each of them."""
    wild = [each for each in imports_of(*APP) if each.top == "arro3" and each.is_at_start]
    assert wild == []


def test_every_thread_is_one_that_carries_its_invocation() -> None:
    """The platform drops what a thread logs that nobody told which invocation it works for."""
    made = {"threading.Thread", "threading.Timer", "ThreadPoolExecutor", "futures.ThreadPoolExecutor"}
    wild = [
        f"{path.relative_to(ROOT)}:{node.lineno}"
        for path in files_of(*APP)
        if path.name != "threads.py"
        for node in ast.walk(ast.parse(path.read_text(encoding="utf-8")))
        if isinstance(node, ast.Call) and ast.unparse(node.func) in made
    ]
    assert wild == [], "shared/core/threads.py has these, with the context of whoever starts them"


def test_no_modules_import_each_other_in_a_circle() -> None:
    graph: dict[str, set[str]] = {}
    for place in ("function_app.py", "functions", "shared", "local", "infra"):
        for path in files_of(place):
            module = ".".join(path.relative_to(ROOT).with_suffix("").parts).removesuffix(".__init__")
            graph[module] = {each.module for each in imports_in(path) if each.is_at_start and each.top in OURS}
    TopologicalSorter(graph).prepare()  # names the circle


def pinned(name: str) -> dict[str, str]:
    """Return the packages that a requirements file pins, by their normalized names."""
    text = re.sub(r" \\\n +--hash=\S+", "", (ROOT / name).read_text(encoding="utf-8"))
    lines = [line.partition("#")[0].strip() for line in text.splitlines()]
    pairs = [re.fullmatch(r"([A-Za-z0-9._-]+)==(\S+)", line) for line in lines if line]
    assert all(pairs), f"{name} has a line without an exact version"
    return {re.sub(r"[-_.]+", "-", pair[1]).lower(): pair[2] for pair in pairs if pair}


@cache
def installed() -> Mapping[str, list[str]]:
    """Return the packages that each top-level module may come from."""
    return packages_distributions()


def distributions(module: str) -> set[str]:
    """Return the packages that a module may come from; of `azure`, the one that has its second part."""
    top = module.partition(".")[0]
    found = {re.sub(r"[-_.]+", "-", name).lower() for name in installed().get(top, [])}
    if top == "azure":
        name = "-".join(module.split("."))
        return {each for each in found if f"{name}-".startswith(f"{each}-")}
    return found


def test_every_package_that_the_app_imports_is_pinned_for_azure() -> None:
    """Azure installs requirements.txt and nothing else; what is missing there fails in production only."""
    there = pinned("requirements.txt")
    third_party = {each.module for each in imports_of(*APP) if each.top not in {*sys.stdlib_module_names, *OURS}}
    assert third_party
    unpinned = {module for module in third_party if not distributions(module) & there.keys()}
    assert unpinned == set()


def test_azure_installs_what_the_app_asks_for_and_only_files_of_known_hashes() -> None:
    assert pinned("requirements.in").items() <= pinned("requirements.txt").items()
    entries = re.split(r"^(?=\S)", (ROOT / "requirements.txt").read_text(encoding="utf-8"), flags=re.MULTILINE)
    assert [entry for entry in entries if "==" in entry and "--hash=sha256:" not in entry] == []


def test_the_environment_of_these_tests_is_what_is_pinned() -> None:
    """Otherwise other versions are tested than those that run."""
    for name, wanted in {**pinned("requirements.txt"), **pinned("requirements-dev.txt")}.items():
        assert version(name) == wanted
