"""What is wrong with a call is told whole, and before anything is done."""

import json
from collections.abc import Mapping

import azure.functions as func
import pytest

from functions.http_answers import answer, answering, json_body
from shared.api.requests import BODY_BYTES


@answering("limit", "state")
def call(req: func.HttpRequest) -> func.HttpResponse:
    """Answer with what the path names."""
    return answer(dict(req.route_params))


def asked(query: Mapping[str, str], parts: Mapping[str, str]) -> tuple[int, str]:
    request = func.HttpRequest("GET", "http://127.0.0.1/", params=query, route_params=parts, body=b"")
    answered: func.HttpResponse = call(request)
    return answered.status_code, str(json.loads(answered.get_body()).get("detail"))


def test_all_parameters_that_nobody_reads_are_named() -> None:
    told = "this call has no query parameter 'hash' or 'stat'; it takes limit, state"
    assert asked({"stat": "Failed", "limit": "1", "hash": "a", "code": "key"}, {}) == (400, told)
    status, detail = asked({f"a{number:02}" * 50: "" for number in range(1_000)}, {})
    assert (status, "'a09a09" in detail, "or 990 more;" in detail, len(detail) < 600) == (400, True, True, True)


@pytest.mark.parametrize("odd", ["a\0", "a\n", "a ", " a", "a\t", "a\u00a0", "a\u200b", "\ufeffa", "a\x7f", "a b"])
def test_an_id_in_a_path_is_not_mended(odd: str) -> None:
    """What a script appends by mistake must not work here and fail where the id is compared."""
    status, detail = asked({}, {"applicationId": "1", "failureHash": odd})
    assert (status, detail.startswith("failureHash is "), detail.isprintable()) == (400, True, True)
    assert asked({}, {"applicationId": "1", "failureHash": "{1FD83F6D-9fe0-96ec-2c47-ef08b65ccbed}"})[0] == 200


@answering()
def reading(req: func.HttpRequest) -> func.HttpResponse:
    """Answer with how long the body is."""
    return answer({"detail": f"{len(json_body(req))} bytes"})


@pytest.mark.parametrize(
    ("kind", "status"),
    [
        (None, 200),
        ("Application/JSON; charset=utf-8", 200),
        ("application/merge-patch+json", 200),
        ("application/x-www-form-urlencoded", 200),  # what `curl -d` says, the first thing that everybody tries
        ("text/plain", 415),
        ("application/xml", 415),
        ("multipart/form-data; boundary=x", 415),
        ("x", 415),
    ],
)
def test_a_body_is_read_unless_it_is_declared_as_something_else(kind: str | None, status: int) -> None:
    """Who sends a form or XML must hear that it is not understood, and not that a bracket is missing."""
    headers = {} if kind is None else {"Content-Type": kind}
    answered: func.HttpResponse = reading(func.HttpRequest("POST", "http://127.0.0.1/", headers=headers, body=b"{}"))
    told = json.loads(answered.get_body())["detail"]
    assert (answered.status_code, told) == (
        status,
        "2 bytes" if status == 200 else "the body's Content-Type must be application/json",
    )


def test_a_body_that_is_too_large_is_refused() -> None:
    """One caller must not take the memory of all."""
    request = func.HttpRequest("POST", "http://127.0.0.1/", body=b" " * (BODY_BYTES + 1))
    answered: func.HttpResponse = reading(request)
    assert (answered.status_code, str(BODY_BYTES) in answered.get_body().decode()) == (413, True)
