"""Who asks for a cab gets all of it, or what they asked for, or is told no: never half of it as though it were all."""

import logging
from dataclasses import dataclass
from typing import Any

import azure.functions as func
import pytest

from functions import http_downloads
from shared.api.downloads import MOST_BYTES, BytesAsked, CabPart

ETAG = '"0x8DA1"'


@dataclass
class Held:
    """A cab of so many bytes."""

    length: int
    blob_name: str = "1/a/b.zip"

    def read(self, asked: BytesAsked) -> CabPart | None:
        """Return bytes as the container would."""
        body = bytes(min(self.length - asked.first, asked.length))
        return CabPart(body, self.length, ETAG) if body else None


def fetched(monkeypatch: pytest.MonkeyPatch, length: int, method: str = "GET", **headers: str) -> func.HttpResponse:
    monkeypatch.setattr(http_downloads, "_held", lambda _: Held(length))
    named = {name.replace("_", "-"): value for name, value in headers.items()}
    handler: Any = http_downloads.fetch_cab
    answered: func.HttpResponse = handler(func.HttpRequest(method, "http://127.0.0.1/", headers=named, body=b""))
    return answered


@pytest.mark.parametrize("method", ["GET", "HEAD"])
@pytest.mark.parametrize(
    ("length", "headers", "status", "got"),
    [
        (MOST_BYTES, {}, 200, MOST_BYTES),
        (MOST_BYTES + 1, {}, 400, None),
        (MOST_BYTES + 1, {"Range": "bytes=0-"}, 206, MOST_BYTES),
        (MOST_BYTES + 1, {"Range": f"bytes={MOST_BYTES}-", "If_Range": ETAG}, 206, 1),
        (MOST_BYTES + 1, {"Range": "bytes=0-9", "If_Range": '"0x0"'}, 400, None),
        (100, {"Range": "bytes=0-9"}, 206, 10),
        (100, {"Range": "bytes=50-", "If_Range": '"0x0"'}, 200, 100),
        (100, {"If_Range": '"0x0"'}, 200, 100),
        (100, {"If_None_Match": ETAG}, 304, 0),
        (100, {"If_Match": '"0x0"'}, 412, None),
        (100, {"Range": "bytes=-5"}, 400, None),
        (100, {"Range": "bytes=0-1,5-6"}, 400, None),
    ],
)
def test_a_part_comes_only_where_it_was_asked_for(
    monkeypatch: pytest.MonkeyPatch, length: int, headers: dict[str, str], status: int, got: int | None, method: str
) -> None:
    answered = fetched(monkeypatch, length, method, **headers)
    assert (answered.status_code, "Content-Range" in answered.headers) == (status, status == 206)
    assert got is None or len(answered.get_body()) == got
    if status == 400 and length > MOST_BYTES:
        assert all(told in answered.get_body() for told in (b"8388609 bytes", b"bytes=0-8388607", b"/link"))


@pytest.mark.parametrize(
    ("headers", "is_told"),
    [
        ({}, True),
        ({"Range": "bytes=0-9"}, True),
        ({"Range": "bytes=0-9", "If_Match": ETAG}, True),
        ({"Range": "bytes=1-"}, True),
        ({"Range": "bytes=10-19", "If_Match": ETAG}, False),
    ],
)
def test_nobody_fetches_a_cab_untold(
    monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture, headers: dict[str, str], is_told: bool
) -> None:
    """Who leaves out its first byte has the dump all the same; of a download in parts one line is enough."""
    caplog.set_level(logging.INFO)
    assert fetched(monkeypatch, 100, **headers).status_code in {200, 206}
    assert ("cab-fetched" in caplog.text) == is_told
