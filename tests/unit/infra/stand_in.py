"""A program on PATH that notes how it is called, and answers what a test says."""

import json
from collections.abc import Mapping
from pathlib import Path
from shlex import quote
from typing import Any

_END, _NEXT = "\x1e", "\x1f"
# A shell starts in a twentieth of a Python's time.
_SCRIPT = """#!/bin/sh
noted= before=
for argument in "$@"; do
  case $before in --parameters|--file)
    kept=$0.kept.$$
    /bin/cp "$argument" "$kept"
    argument=$kept
  esac
  noted=$noted$argument{next}
  before=$argument
done
printf '%s{end}' "$noted" >> "$0.calls"
case "$*" in
{cases}
*) echo "ERROR: an unexpected call: $*" >&2; exit 1;;
esac
"""


class StandIn:
    """Stands in for `az` and `azd`.

    Args:
        folder: Is on PATH.
        name: Of the program.
        answers: By the beginning of the arguments, the first that fits: a text that begins with `ERROR: ` is its last
            word, any other text of azd is printed as it is, and all else as JSON. The calls name a copy of a file that
            an option names.
    """

    def __init__(self, folder: Path, name: str, answers: Mapping[str, Any]) -> None:
        self._path = folder / name
        cases = "\n".join(f"{quote(start)}*) {self._printing(answer)};;" for start, answer in answers.items())
        self._path.write_text(_SCRIPT.format(cases=cases, end=_END, next=_NEXT), encoding="utf-8")
        self._path.chmod(0o755)

    def calls(self) -> list[list[str]]:
        """Return the arguments of each call."""
        noted = self._path.with_name(f"{self._path.name}.calls")
        calls = noted.read_text(encoding="utf-8").split(_END)[:-1] if noted.exists() else []
        return [call.split(_NEXT)[:-1] for call in calls]

    def _printing(self, answer: object) -> str:
        if isinstance(answer, str) and answer.startswith("ERROR: "):
            return f"echo {quote(answer)} >&2; exit 1"
        text = answer if self._path.name == "azd" and isinstance(answer, str) else json.dumps(answer)
        return f"printf '%s\\n' {quote(text)}"
