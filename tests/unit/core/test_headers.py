"""A header is what somebody else wrote: whatever it holds, reading it raises nothing."""

from __future__ import annotations

import base64
from datetime import UTC, datetime
from typing import TYPE_CHECKING

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from shared.core.headers import http_date, md5_in, whole_number

if TYPE_CHECKING:
    from collections.abc import Callable


@pytest.mark.parametrize("read", [whole_number, http_date, md5_in])
@given(value=st.text())
@example(value="Sat, 21 Nov 99999999999 12:00:30 GMT")
@example(value="Sat, 21 Nov 2026 12:00:30 +9999999999999")
@example(value="Fri, 31 Dec 9999 23:59:59 -1200")
@example(value="9" * 5_000)
@example(value="\u00b2\u0663")
@example(value="0\x1f")
def test_no_value_raises(read: Callable[[str], object], value: str) -> None:
    read(value)


@pytest.mark.parametrize(("text", "number"), [("0", 0), (" 17 ", 17), ("-1", None), ("\u0663", None), ("9" * 30, None)])
def test_a_number_is_read(text: str, number: int | None) -> None:
    assert whole_number(text) == number


@pytest.mark.parametrize("text", ["Sat, 21 Nov 2026 12:00:30 GMT", "Sat, 21 Nov 2026 13:00:30 +0100"])
def test_a_date_is_read(text: str) -> None:
    assert http_date(text) == datetime(2026, 11, 21, 12, 0, 30, tzinfo=UTC)


def test_an_md5_has_16_bytes() -> None:
    assert md5_in(base64.b64encode(bytes(16)).decode()) == bytes(16)
    assert md5_in(base64.b64encode(bytes(15)).decode()) is None
