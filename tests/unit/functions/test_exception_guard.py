"""What a trigger raises goes whole into the platform's log, past every filter of Python's logging."""

import ast
import traceback
from pathlib import Path

import pytest

from functions.exception_guard import telling_no_secret

ROOT = Path(__file__).parents[3]
URL = "https://cabs09.blob.core.windows.net/k/fb57.ext.zip?sv=1&sig=QZXJ"


def test_an_exception_without_a_secret_is_left_as_it_is() -> None:
    """Its type and its traceback are what monitoring groups by."""
    error = KeyError("cabs")

    @telling_no_secret
    def trigger() -> None:
        raise error

    with pytest.raises(KeyError) as raised:
        trigger()
    assert raised.value is error


@pytest.mark.parametrize("how", ["its own text", "its cause", "its context", "a note", "one of a group"])
def test_a_secret_anywhere_in_what_led_to_it_is_gone(how: str) -> None:
    @telling_no_secret
    def trigger() -> None:
        match how:
            case "its own text":
                raise ConnectionError(URL)
            case "its cause":
                raise KeyError("cabs") from ConnectionError(URL)
            case "its context":
                try:
                    raise ConnectionError(URL)
                except ConnectionError:
                    raise KeyError("cabs")  # noqa: B904 - what a library may do
            case "a note":
                error = KeyError("cabs")
                error.add_note(URL)
                raise error
            case _:
                raise ExceptionGroup("two", [KeyError("cabs"), ConnectionError(URL)])

    with pytest.raises(RuntimeError) as raised:
        trigger()
    told = "".join(traceback.format_exception(raised.value))
    assert "QZXJ" not in told + repr(raised.value)
    assert "https://cabs09.blob.core.windows.net/k/fb57.ext.zip?[redacted]" in told
    assert __file__ in told, "where it happened is what a person looks for"


def test_a_trigger_that_ends_well_gets_what_the_host_gives() -> None:
    given: list[object] = []

    @telling_no_secret
    def trigger(message: str) -> None:
        given.append(message)

    trigger(message="one")
    assert given == ["one"]


def test_every_trigger_but_those_of_http_is_guarded() -> None:
    """Those of HTTP answer with a problem, and raise nothing."""
    unguarded = []
    for path in (ROOT / "functions").glob("*.py"):
        for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
            if not isinstance(node, ast.FunctionDef):
                continue
            decorators = [ast.unparse(each) for each in node.decorator_list]
            if any("blueprint." in each and "_trigger(" in each for each in decorators):
                unguarded += [] if decorators[-1] == "telling_no_secret" else [node.name]
            if any(each.startswith("blueprint.route(") for each in decorators):
                unguarded += [] if decorators[-1].startswith("answering(") else [node.name]
    assert unguarded == []
