"""The docs agree with the code: a person who follows them must not be led astray."""

import json
import re
from pathlib import Path
from typing import Any

import msgspec

from shared.api.openapi import Problem
from shared.api.operations import OPERATIONS
from shared.core.settings_table import SETTINGS

ROOT = Path(__file__).resolve().parents[2]


def test_operators_read_every_setting_with_its_true_default() -> None:
    table = (ROOT / "docs" / "operate.md").read_text(encoding="utf-8").split("\n## Settings\n")[1].split("\n## ")[0]
    told = re.findall(r"^\| `(\w+)` \| (.+?) \| (.+) \|$", table, re.MULTILINE)
    shown = {None: "none", "": "empty"}
    assert told == [(each.name, shown.get(each.default, f"`{each.default}`"), each.meaning) for each in SETTINGS]


def test_a_newcomer_finds_every_room_of_the_work_on_the_map() -> None:
    layout = (ROOT / "CONTRIBUTING.md").read_text(encoding="utf-8").split("\n## Layout\n")[1].split("\n## ")[0]
    told = set(re.findall(r"\w+", layout))
    rooms = {path.parent.name for path in (ROOT / "shared").glob("*/__init__.py")}
    assert rooms | {"services"} <= told


def test_every_test_that_a_page_names_is_there() -> None:
    pages = [ROOT / "CONTRIBUTING.md", *(ROOT / "docs").glob("*.md")]
    named = {name for page in pages for name in re.findall(r"`(tests/[\w/]+\.py)`", page.read_text(encoding="utf-8"))}
    assert len(named) > 10
    assert [name for name in sorted(named) if not (ROOT / name).exists()] == []


def test_every_module_that_a_page_runs_is_there() -> None:
    pages = [ROOT / "README.md", ROOT / "CONTRIBUTING.md", *(ROOT / "docs").glob("*.md")]
    ours = r"python3? -m ((?:bench|infra|local|shared|tests)[\w.]*)"
    named = {name for page in pages for name in re.findall(ours, page.read_text(encoding="utf-8"))}
    paths = {name: ROOT / name.replace(".", "/") for name in named}
    runs = {name for name, path in paths.items() if path.with_suffix(".py").exists() or (path / "__main__.py").exists()}
    assert len(named) > 3
    assert named - runs == set()


def test_every_link_between_pages_leads_somewhere() -> None:
    pages = [ROOT / "README.md", ROOT / "CONTRIBUTING.md", *(ROOT / "docs").glob("*.md")]
    broken = [
        f"{page.name}: {link}"
        for page in pages
        for link in re.findall(r"\]\((?!https?:|#|mailto:)([^)#]+)", page.read_text(encoding="utf-8"))
        if not (page.parent / link).exists()
    ]
    assert broken == []


def test_every_answer_that_a_page_shows_has_the_fields_of_the_true_one() -> None:
    """Whoever writes a script by a sample must not miss a number, nor wait for one that never comes."""
    answers = {each.call: each.answer for some in OPERATIONS.values() for each in some}
    patterns = {re.compile(re.sub(r"{\w+}", "[^/]+", call)): answer for call, answer in answers.items()}
    shown = 0
    for page in (ROOT / "docs").glob("*.md"):
        answer: Any = None
        for block in re.findall(r"(?:^    .+\n)+", page.read_text(encoding="utf-8"), re.MULTILINE):
            typed = block.rpartition("    curl ")[2]
            if path := re.search(r'"\$APP(/api/[^"?]+)', typed):
                call = f"{'POST' if '-X POST' in typed or '-d ' in typed else 'GET'} {path[1]}"
                (answer,) = (each for pattern, each in patterns.items() if pattern.fullmatch(call))
            elif block.lstrip().startswith("{"):
                sample = re.sub(r",\s*\.\.+(?=[\],])", "", block)  # that is the rest of a list
                told = msgspec.json.decode(sample, type=Problem if "about:blank" in sample else answer)
                assert json.loads(msgspec.json.encode(told)) == json.loads(sample), page.name
                shown += 1
    assert shown > 10
