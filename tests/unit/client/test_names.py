"""A name from a catalog or an archive becomes a file, and a line that is pasted into a shell."""

import re
import string
from pathlib import PureWindowsPath

import pytest
from cabferry.get import windbg_line
from cabferry.names import safe_name, shown
from hypothesis import given
from hypothesis import strategies as st

DEVICES = {
    "con",
    "prn",
    "aux",
    "nul",
    "conin$",
    "conout$",
    *(f"{name}{n}" for name in ("com", "lpt") for n in "0123456789¹²³"),
}


@pytest.mark.parametrize(
    ("name", "safe"),
    [
        ("0x9F_3_acme!DrvPower+0x1f", "0x9F_3_acme!DrvPower+0x1f"),
        ("../../etc/passwd", ".._.._etc_passwd"),
        ("..", "unknown"),
        ("", "unknown"),
        ("C:\\Windows\\x", "C__Windows_x"),
        ("NUL.dmp", "_NUL.dmp"),
        ("com1", "_com1"),
        ("a. ", "a"),
        ("$(rm -rf ~)`id`%PATH%\";'&|", "_(rm -rf ~)_id__PATH"),
        ("\u202edmp.exe\x1b[31m", "_dmp.exe_[31m"),
        ("x" * 300 + ".dmp", "x" * 56 + ".dmp"),
    ],
)
def test_a_name_is_one_file_on_every_system(name: str, safe: str) -> None:
    assert safe_name(name).rstrip("_") == safe


@given(st.text(max_size=120))
def test_no_name_leaves_its_folder(name: str) -> None:
    safe = safe_name(name)
    assert PureWindowsPath(safe).parts == (safe,)
    assert safe not in {".", ".."}
    assert not set(safe) & {*"<>:\"/\\|?*$`%&;'^", *map(chr, range(32))}
    assert safe == safe.strip(" ")
    assert not safe.endswith(".")
    assert safe.split(".")[0].rstrip().casefold() not in DEVICES
    assert len(safe.encode()) < 250


@given(st.text())
def test_what_is_shown_cannot_steer_a_terminal(text: str) -> None:
    assert not re.search(r"[\x00-\x1f\x7f-\x9f\u202a-\u202e\u2066-\u2069]", shown(text))


def test_a_path_with_blanks_is_quoted() -> None:
    plain, blank = PureWindowsPath(r"C:\cabs\a!b.dmp"), PureWindowsPath(r"C:\My cabs\a.dmp")
    assert windbg_line(plain) == r'windbg -z "C:\cabs\a!b.dmp"'  # type: ignore[arg-type]
    assert windbg_line(blank) == r'windbg -z "C:\My cabs\a.dmp"'  # type: ignore[arg-type]
    assert set("".join(windbg_line(PureWindowsPath(r"C:\a.dmp")))) <= set(string.printable)  # type: ignore[arg-type]
