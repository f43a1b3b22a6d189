"""What `pipx install ./client` brings, and what scripts are promised."""

import re
import tomllib
from importlib.metadata import version
from pathlib import Path

from cabferry.problems import Exit
from packaging.requirements import Requirement

CLIENT = Path(__file__).parents[3] / "client"
PROJECT = tomllib.loads((CLIENT / "pyproject.toml").read_text(encoding="utf-8"))["project"]


def test_what_is_tested_here_is_what_may_be_installed() -> None:
    needed = [Requirement(each) for each in PROJECT["dependencies"]]
    assert [str(each) for each in needed if not each.specifier.contains(version(each.name))] == []
    assert all({part.operator for part in each.specifier} == {">=", "<"} for each in needed)


def test_the_exit_codes_are_told() -> None:
    told = re.findall(r"^\| (\d+) \| ", (CLIENT / "README.md").read_text(encoding="utf-8"), re.MULTILINE)
    assert [int(each) for each in told] == sorted(Exit)
