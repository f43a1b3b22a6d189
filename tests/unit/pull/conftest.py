"""A time that stands still, for what is decided by the clock."""

from collections.abc import Iterator
from datetime import datetime

import pytest

from shared.core import clock

from .pull_game import NOW


class _At(clock.Clock):
    def now(self) -> datetime:
        return NOW


@pytest.fixture
def at_a_time() -> Iterator[None]:
    with clock.using(_At()):
        yield
