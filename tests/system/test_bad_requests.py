"""What no host may make something else of on its way: a problem that says why, and nothing is queued.

Unit tests of the decoding and of the functions have more; test_openapi.py sends whatever a schema does not allow.
"""

import gzip
import json
import re

import pytest

from tests.system.answers import problem
from tests.system.app import App
from tests.system.playground import Playground

APPLICATION = "13984104677400476"
GOOD = {"applicationId": APPLICATION, "failureHash": "1fd83f6d-9fe0-96ec-2c47-ef08b65ccbed"}
# Each with a word that its problem must say: which part of the body is wrong.
BODIES: dict[str, tuple[object, str]] = {
    "nothing": (b"", "body"),
    "no UTF-8": (b'{"applicationId": "\xff"}', "body"),
    "a name of control characters": ({**GOOD, "\x00\x1b[31m": 1}, "unknown field"),
    "gzip": (gzip.compress(json.dumps(GOOD).encode()), "body"),
    "a deep hash": (b'{"applicationId": "1", "failureHashes": ' + b"[" * 100_000 + b"]" * 100_000 + b"}", "failureHas"),
    "one bad hash": ({"applicationId": APPLICATION, "failureHashes": [GOOD["failureHash"], "no/hash"]}, "failureHash"),
}
PATHS = (f"{APPLICATION}/a'b", "%00/x", "..%2f1/x", "1/%ED%A0%80", "1/%1b[31m", "1/a.", "1/a%0a", "1/a%20")
INTERNAL = re.compile(r"Traceback|File \"|\.py\b|msgspec|azure\.|site-packages|127\.0\.0\.1")


@pytest.fixture(scope="module")
def app(shared_playground: Playground) -> App:
    return shared_playground.start()


def test_a_body_that_is_no_request_is_told_why_and_queues_nothing(shared_playground: Playground, app: App) -> None:
    """A request that is half understood would pull the wrong days, or nothing, without anybody knowing."""
    for body, said in BODIES.values():
        told = problem(app.post("/api/pulls", body), 400)
        assert said in told
        assert not INTERNAL.search(told)
        assert len(told) < 500
        assert told.isprintable()
    assert shared_playground.stored.rows("pulls") == []
    assert shared_playground.stored.messages() == 0


@pytest.mark.parametrize("place", PATHS)
def test_names_that_none_could_have_are_refused(app: App, place: str) -> None:
    """What comes in an address must not reach a table's filter as it is."""
    told = problem(app.get(f"/api/pulls/{place}"), 400)
    assert told.isprintable()
    assert not INTERNAL.search(told)


@pytest.mark.parametrize("query", [{"state": "Failed\x00"}, {"continuation": "größe"}, {"continuation": "a" * 20_000}])
def test_a_query_that_cannot_be_read_is_told_why(app: App, query: dict[str, str]) -> None:
    """A filter that is silently passed over shows the wrong pulls."""
    told = problem(app.get("/api/pulls", **query), 400)
    assert [*query][-1] in told
    assert not INTERNAL.search(told)
