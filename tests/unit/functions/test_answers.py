"""What is wrong with the address of a call is told whole, and before anything is done."""

import json
from collections.abc import Mapping

import azure.functions as func
import pytest

from functions.http_answers import answer, answering


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
