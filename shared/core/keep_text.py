"""Read the settings file in which people write the rules of what to keep, and say in their words what is wrong."""

from __future__ import annotations

import re
from typing import Annotated, Any

import msgspec
from msgspec import Meta, Struct

from shared.core.errors import BadInput
from shared.core.json_text import converted
from shared.core.keep import Rule, Rules
from shared.core.redaction import excerpt

MOST_BYTES = 256 * 1024
_MOST_RULES = 500
# tomllib takes a minute for a key of 50,000 dots.
_MOST_DOTS = 1_000
# What a column of a table can hold, and more than anybody has.
_MOST_A_DAY = 10**15
_UNITS = {"": 1, "kb": 10**3, "mb": 10**6, "gb": 10**9, "tb": 10**12}
_SIZE = re.compile(r"\s*(\d{1,15}(?:\.\d{1,3})?)\s*([kmgt]b|)\s*", re.IGNORECASE)
_KEYS = (
    "name, action (keep or skip), and as needed application, failure, driver, version, os (a glob or a list of globs), "
    "at-most-cabs, at-least-hits (a whole number from 1 on); bytes-a-day stands above the first [[rules]]"
)


def rules_in(text: bytes) -> Rules:
    """Read a settings file.

    Args:
        text: TOML, from anyone.

    Raises:
        BadInput: It is not what it should be: names each rule and key that is wrong, and what is allowed.
    """
    found, problems = _decoded(text)
    if problems:
        raise BadInput("; ".join(problems))
    return found


def what_holds_in(text: bytes, name: str) -> Rules:
    """Read a settings file; of one that is wrong the rules keep everything, and what it says of bytes still holds.

    Args:
        text: TOML, from anyone.
        name: Names the file in the problem.
    """
    found, problems = _decoded(text)
    if not problems:
        return found
    return Rules(bytes_a_day=found.bytes_a_day, problem=f"{name}: {'; '.join(problems)}"[:2_000])


class _File(Struct, frozen=True, forbid_unknown_fields=True, rename="kebab"):
    bytes_a_day: Any = None  # read by itself, since it holds though a rule is wrong
    rules: Annotated[list[dict[str, Any]], Meta(max_length=_MOST_RULES)] = []


def _decoded(text: bytes) -> tuple[Rules, list[str]]:
    """Return what a file says, as far as it can be read, and what is wrong with it."""
    try:
        return _read(text)
    except ValueError:  # from str() and int(), wherever such a number stands
        return Rules(), ["a number in it has thousands of digits"]


def _read(text: bytes) -> tuple[Rules, list[str]]:
    import tomllib  # here, since few apps have such a file

    try:
        if len(text) > MOST_BYTES:
            return Rules(), [f"it has more than {MOST_BYTES} bytes"]
        if any(line.count(b".") > _MOST_DOTS for line in text.splitlines()):
            return Rules(), [f"a line has more than {_MOST_DOTS} dots"]
        told = tomllib.loads(text.decode("utf-8-sig"))
    except UnicodeDecodeError:
        return Rules(), ["it is not UTF-8"]
    except (tomllib.TOMLDecodeError, RecursionError) as error:
        return Rules(), [f"it is not TOML: {excerpt(str(error), 200)}"]
    problems: list[str] = []
    bytes_a_day = _size(told.get("bytes-a-day"), problems)
    try:
        file = converted(told, _File)
    except msgspec.ValidationError as error:
        wrong = f"{_readable(error)}; there may be bytes-a-day, and [[rules]] before each of up to {_MOST_RULES} rules"
        return Rules(bytes_a_day=bytes_a_day), [*problems, wrong]
    rules: list[Rule] = []
    for number, each in enumerate(file.rules, 1):
        called = f"rule {number} ({excerpt(str(each.get('name', 'without a name')), 80)})"
        try:
            rules.append(rule := converted(each, Rule))
        except msgspec.ValidationError as error:
            problems.append(f"{called}: {_readable(error)}; a rule has {_KEYS}")
            continue
        if rule.action == "skip" and (rule.at_most_cabs or rule.at_least_hits):
            problems.append(f"{called}: at-most-cabs and at-least-hits belong to a rule whose action is keep")
        if rule.name in {other.name for other in rules[:-1]}:
            problems.append(f"{called}: another rule has this name, and a reason must name one")
    return Rules(tuple(rules), bytes_a_day), problems


def _size(told: object, problems: list[str]) -> int:
    parts = _SIZE.fullmatch(str(told)) if isinstance(told, int | str) and not isinstance(told, bool) else None
    size = round(float(parts[1]) * _UNITS[parts[2].lower()]) if parts else 0
    if told is None or 1 <= size <= _MOST_A_DAY:
        return size
    problems.append(
        f"bytes-a-day is {excerpt(str(told), 40)!r}: it must be a whole number of bytes, 1 to 1,000 TB, or a text like "
        "'50 GB' (kB, MB, GB or TB, of 1,000 each)"
    )
    return 0


def _readable(error: msgspec.ValidationError) -> str:
    """Return what msgspec found in the words of a person who wrote TOML."""
    what, _, where = str(error).partition(" - at `$")
    key = where.strip("`.")
    what = (
        what.replace("Object missing required field", "it lacks the key")
        .replace("Object ", "it ")
        .replace("`object`", "a table")
        .replace("`array`", "an array")
    )
    return f"{key}: {excerpt(what, 300)}" if key else excerpt(what, 300)
