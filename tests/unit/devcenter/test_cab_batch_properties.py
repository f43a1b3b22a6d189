"""Whatever JSON an answer holds, reading it gives pages or one of the documented errors, and nothing else."""

import json
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta

import pytest
from hypothesis import given
from hypothesis import strategies as st

from shared.core.errors import AgainLater
from shared.devcenter.pages import BatchPage
from tests.support.loopback import Answer, LoopbackServer, Seen

from .devcenter_client import batch_pages

VALUES = st.none() | st.booleans() | st.integers(-(2**70), 2**70) | st.floats(allow_nan=False) | st.text(max_size=20)
JSON = st.recursive(
    VALUES, lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=5), inner, max_size=3)
)
ROW_KEYS = st.sampled_from(
    ["cabIdHash", "cabUrl", "submissionId", "date", "cabExpirationTime", "cabDownloadable", "failureHash"]
)
ROWS = st.dictionaries(ROW_KEYS, JSON | st.sampled_from(["a", "b", "..", "https://x/y?sig=z"])) | JSON
LINKS = (
    st.sampled_from(["", "driver/x?skip=100", "https://evil.com/x", "//x", "\0", "x" * 3_000, "http://[", "?#"])
    | st.text()
)
PAGES = st.fixed_dictionaries(
    {},
    optional={
        "Value": st.lists(ROWS, max_size=4) | JSON,
        "value": st.lists(ROWS, max_size=4),
        "@nextLink": LINKS | JSON,
        "nextLink": LINKS | JSON,
        "TotalCount": st.integers(-5, 300) | JSON,
    },
)


class Answering:
    """A server whose next answers are set from outside; after them, every page is empty."""

    def __init__(self) -> None:
        self.bodies: list[bytes] = []

    def answer(self, _: Seen) -> Answer:
        """Give the next answer."""
        return Answer(self.bodies.pop(0) if self.bodies else b'{"Value":[]}')


@pytest.fixture(scope="module")
def answering() -> Iterator[tuple[Answering, LoopbackServer]]:
    """One server for all examples."""
    answers = Answering()
    with LoopbackServer(answers.answer) as server:
        yield answers, server


def read(answering: tuple[Answering, LoopbackServer], bodies: list[bytes]) -> list[BatchPage]:
    answers, server = answering
    answers.bodies = bodies
    try:
        return batch_pages(server.url)
    except AgainLater:  # a bad answer is one of these
        return []


@given(first=PAGES, second=PAGES)
def test_any_page_is_read_or_refused(
    answering: tuple[Answering, LoopbackServer], first: object, second: object
) -> None:
    pages = read(answering, [json.dumps(first).encode(), json.dumps(second).encode()])
    for page in pages:
        assert page.rows == len(page.cabs) + len(page.unreadable)
        for cab in page.cabs:
            assert cab.cab_id_hash.strip("./\\")
            assert isinstance(cab.has_expired(datetime.now(UTC) + timedelta(days=1)), bool)
    assert all(each.headers["host"].startswith("127.0.0.1") for each in answering[1].seen)
    answering[1].seen.clear()


@given(st.binary(max_size=60) | st.text(st.sampled_from('{}[]:,"Value0123 \\u'), max_size=40).map(str.encode))
def test_any_bytes_are_read_or_refused(answering: tuple[Answering, LoopbackServer], body: bytes) -> None:
    read(answering, [body])
