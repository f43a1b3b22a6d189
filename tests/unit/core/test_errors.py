"""The tree of errors decides how a pull ends: what is drawn must be what is there, and no error may carry a secret."""

import inspect
import re
from datetime import timedelta

import pytest

from shared.core import errors
from shared.core.errors import AgainLater, CabferryError


def drawn() -> dict[str, str]:
    """Return each class of the drawing with its parent, by how far it is indented."""
    parents: dict[str, str] = {}
    above: list[tuple[int, str]] = []
    for line in (errors.__doc__ or "").split("\n\n")[1].splitlines():
        branch, name = re.findall(r"([│├└─\s]*)(\w+)", line)[0]
        above = [(depth, parent) for depth, parent in above if depth < len(branch)]
        parents[name] = above[-1][1] if above else "Exception"
        above.append((len(branch), name))
    return parents


# Not by their subclasses: which of those there are hangs on what was imported.
TREE = [each for _, each in inspect.getmembers(errors, inspect.isclass) if issubclass(each, CabferryError)]


def test_the_drawn_tree_is_the_real_one() -> None:
    assert drawn() == {each.__name__: each.__base__.__name__ for each in TREE if each.__base__ is not None}


@pytest.mark.parametrize("kind", TREE)
def test_no_error_carries_a_secret(kind: type[CabferryError]) -> None:
    error = kind("copying https://cabs/x?sv=1&sig=QZXJ with Bearer QZXJ")
    assert str(error) == "copying https://cabs/x?[redacted] with Bearer [redacted]"
    assert "QZXJ" not in repr(error)


def test_again_later_carries_the_wait_that_was_asked_for() -> None:
    assert AgainLater("busy", timedelta(seconds=14)).wait == timedelta(seconds=14)
    assert AgainLater("busy").wait is None
