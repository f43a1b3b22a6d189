"""What the HTTP API answers to requests that are not what they should be: a problem that says why, and nothing else."""

import gzip
import json
import re

import pytest
import requests

from tests.system.answers import problem
from tests.system.app import HTTP_SECONDS, App
from tests.system.playground import Playground

APPLICATION, HASH = "13984104677400476", "1fd83f6d-9fe0-96ec-2c47-ef08b65ccbed"
GOOD = {"applicationId": APPLICATION, "failureHash": HASH}

# What a host may make something else of on its way; unit tests of the decoding have more.
# Each with a word that its problem must say: which part of the body is wrong.
BAD_BODIES: dict[str, tuple[object, str]] = {
    "nothing": (b"", "body"),
    "no UTF-8": (b'{"applicationId": "\xff"}', "body"),
    "a path as hash": ({**GOOD, "failureHash": "../../other/cab"}, "failureHash"),
    "a quote in the applicationId": ({**GOOD, "applicationId": "1' or '1' eq '1"}, "applicationId"),
    "no endDate": ({**GOOD, "startDate": "2026-01-02"}, "endDate"),
    "a name of control characters": ({**GOOD, "\x00\x1b[31m": 1}, "unknown field"),
    "half a surrogate pair": (b'{"applicationId": "1", "failureHash": "\\ud800"}', "body"),
    "gzip": (gzip.compress(json.dumps(GOOD).encode()), "body"),
    "a deep hash": (
        b'{"applicationId": "1", "failureHashes": ' + b"[" * 100_000 + b"]" * 100_000 + b"}",
        "failureHashes",
    ),
    "a number without an end": (b'{"applicationId": 1' + b"0" * 5_000 + b', "failureHash": "a"}', "body"),
    "too many hashes": (
        {"applicationId": APPLICATION, "failureHashes": [str(n) for n in range(1_001)]},
        "failureHashes",
    ),
}
BAD_QUERIES: dict[str, dict[str, str]] = {
    "a limit": {"limit": "1.0"},
    "a state": {"state": "' or true or '"},
    "a control character": {"state": "Failed\x00"},
    "a continuation": {"continuation": "größe"},
    "a long one": {"continuation": "a" * 20_000},
}
INTERNAL = re.compile(r"Traceback|File \"|\.py\b|msgspec|azure\.|site-packages|127\.0\.0\.1")


@pytest.fixture(scope="module")
def app(shared_playground: Playground) -> App:
    return shared_playground.start()


@pytest.mark.parametrize("name", BAD_BODIES)
def test_a_body_that_is_no_request_is_told_why(app: App, name: str) -> None:
    """A request that is half understood would pull the wrong days, or nothing, without anybody knowing."""
    body, said = BAD_BODIES[name]
    told = problem(app.post("/api/pulls", body), 400)
    assert said in told
    assert not INTERNAL.search(told)
    assert len(told) < 500
    assert told.isprintable()


def test_a_body_that_is_too_large_is_refused(app: App) -> None:
    """One caller must not take the memory of all."""
    assert "1048576" in problem(app.post("/api/pulls", b" " * (1 << 20) + json.dumps(GOOD).encode()), 413)


def test_a_body_that_the_host_does_not_take_is_refused_as_well(app: App) -> None:
    """Azure's host ends at 100 MiB, and so does the local one: with a problem, and without a traceback."""
    pieces = (b" " * (1 << 20) for _ in range(101))
    problem(requests.post(f"{app.url}/api/pulls", data=pieces, timeout=HTTP_SECONDS), 413)


@pytest.mark.parametrize("kind", ["text/plain", "application/xml", "multipart/form-data; boundary=x", "x"])
def test_a_body_that_is_declared_as_something_else_is_refused(app: App, kind: str) -> None:
    """Who sends a form or XML must hear that it is not understood, and not that a bracket is missing."""
    answer = requests.post(
        f"{app.url}/api/pulls", data=json.dumps(GOOD), headers={"Content-Type": kind}, timeout=HTTP_SECONDS
    )
    assert "application/json" in problem(answer, 415)


@pytest.mark.parametrize(
    "kind",
    [
        None,
        "application/json",
        "Application/JSON; charset=utf-8",
        "application/merge-patch+json",
        "application/x-www-form-urlencoded",  # what `curl -d` says
    ],
)
def test_a_body_is_read_where_nobody_says_that_it_is_no_json(app: App, kind: str | None) -> None:
    """`curl -d` without a header is the first thing that everybody tries."""
    answer = requests.post(f"{app.url}/api/pulls", data=b"{}", headers={"Content-Type": kind}, timeout=HTTP_SECONDS)
    assert "applicationId" in problem(answer, 400)


def test_nothing_is_queued_by_what_is_refused(shared_playground: Playground, app: App) -> None:
    """Of a request with one bad hash, nothing must run: who sent it corrects it and sends all of it again."""
    for body, _ in BAD_BODIES.values():
        app.post("/api/pulls", body)
    problem(app.post("/api/pulls", {"applicationId": APPLICATION, "failureHashes": [HASH, "no/hash"]}), 400)
    assert shared_playground.stored.rows("pulls") == []
    assert shared_playground.stored.messages() == 0


@pytest.mark.parametrize(
    "place",
    [
        f"{APPLICATION}/a'b",
        "1 2/x",
        "%00/x",
        "..%2f1/x",
        "1_2/x",
        "1/%ED%A0%80",
        "1/%1b[31m",
        f"1/{'a' * 129}",
        "1/a.",
        "1/a%0a",
        "1/a%00",
        "1/a%20",
        "1%20/a",
    ],
)
def test_names_that_none_could_have_are_refused(app: App, place: str) -> None:
    """What comes in an address must not reach a table's filter as it is."""
    for answer in (
        app.get(f"/api/pulls/{place}"),
        app.get(f"/api/pulls/{place}/cabs"),
        app.post(f"/api/pulls/{place}/retry"),
    ):
        told = problem(answer, 400)
        assert told.isprintable()
        assert not INTERNAL.search(told)


@pytest.mark.parametrize("query", BAD_QUERIES.values(), ids=BAD_QUERIES)
def test_a_query_that_cannot_be_read_is_told_why(app: App, query: dict[str, str]) -> None:
    """A filter that is silently passed over shows the wrong pulls."""
    told = problem(app.get("/api/pulls", **query), 400)
    assert [*query][-1] in told
    assert not INTERNAL.search(told)
