"""The OpenAPI document must promise exactly what the code does: clients are made from it."""

import ast
import json
import re
from collections.abc import Iterator
from functools import cache, partial
from pathlib import Path
from typing import Any

import jsonschema_rs
import msgspec
import pytest
from hypothesis import assume, given
from hypothesis import strategies as st
from schemathesis.specs.openapi.definitions import OPENAPI_31

from functions.http_api import _FILTERS
from shared.api.openapi import openapi
from shared.api.pulls import PullRequest
from shared.api.requests import CAB_STATE, CONTINUATION, LIMIT, PULL_STATE, QueryParameter
from shared.core.errors import BadInput
from shared.core.failure import Failure, normal_id

ROOT = Path(__file__).parents[3]
DOCUMENT: dict[str, Any] = json.loads(msgspec.json.encode(openapi()))
OPERATIONS = [
    pytest.param(path, operation, id=operation["operationId"])
    for path, operations in DOCUMENT["paths"].items()
    for operation in operations.values()
]
_PULL = DOCUMENT["paths"]["/api/pulls/{applicationId}/{failureHash}"]["get"]


def is_valid(schema: dict[str, Any], value: object) -> bool:
    """Tell whether a value fits a schema of the document."""
    valid: bool = validator(json.dumps(schema)).is_valid(value)
    return valid


@cache
def validator(schema: str) -> Any:
    """Return what tells whether a value fits a schema; making one takes longer than all that it is used for."""
    whole = {**json.loads(schema), "components": DOCUMENT["components"]}
    return jsonschema_rs.Draft202012Validator(whole, validate_formats=True)


def references(value: Any) -> Iterator[str]:
    """Yield each $ref within a part of the document."""
    match value:
        case dict():
            if isinstance(value.get("$ref"), str):
                yield value["$ref"]
            for each in value.values():
                yield from references(each)
        case list():
            for each in value:
                yield from references(each)


def test_it_is_a_document_of_openapi_3_1() -> None:
    assert [error.message for error in jsonschema_rs.Draft202012Validator(OPENAPI_31).iter_errors(DOCUMENT)] == []


def test_every_reference_leads_somewhere() -> None:
    wanted = set(references(DOCUMENT))
    assert wanted == {f"#/components/schemas/{name}" for name in DOCUMENT["components"]["schemas"]}


def test_who_makes_a_client_of_it_finds_what_generators_ask_for() -> None:
    """The rules of two linters that found something once; both find nothing now (npm: redocly and spectral)."""
    assert DOCUMENT["servers"] == [{"url": "/", "description": DOCUMENT["servers"][0]["description"]}]
    assert DOCUMENT["info"]["license"]["identifier"] == "MIT"
    assert all(tag["description"] for tag in DOCUMENT["tags"])
    assert [
        each for each in schemas(DOCUMENT) if each.get("type") == "array" and not each.keys() & {"items", "prefixItems"}
    ] == []


def schemas(value: Any) -> Iterator[dict[str, Any]]:
    """Yield each object within a part of the document."""
    if isinstance(value, dict):
        yield value
    for each in value.values() if isinstance(value, dict) else value if isinstance(value, list) else ():
        yield from schemas(each)


@pytest.mark.parametrize(("path", "operation"), OPERATIONS)
def test_each_call_has_its_parameters_and_its_problems(path: str, operation: dict[str, Any]) -> None:
    named = [each["name"] for each in operation["parameters"] if each["in"] == "path"]
    assert named == re.findall(r"\{(\w+)\}", path)
    assert operation["summary"].endswith(".")
    assert operation["description"].endswith(".")
    assert set(operation["tags"]) < {tag["name"] for tag in DOCUMENT["tags"]}
    for status, answer in operation["responses"].items():
        assert answer["description"]
        if status not in {"304", "401"}:  # the second is the host's own, without a body
            good = "application/octet-stream" if operation["operationId"] == "fetch_cab" else "application/json"
            assert list(answer["content"]) == [good if status[0] == "2" else "application/problem+json"]


def test_what_can_be_wrong_with_a_body_has_its_status() -> None:
    assert {"400", "413", "415"} <= DOCUMENT["paths"]["/api/pulls"]["post"]["responses"].keys()


NAMES = st.sampled_from(
    ["1", "13984104677400476", "", "a b", "a/b", "a\n", "_", "-1", "1fd83f6d-9fe0-96ec-2c47-ef08b65ccbed"]
)
DATES = st.sampled_from([None, "2026-01-02", "2026-01-03", "2026-02-30", "soon", ""])
ANYTHING = st.none() | st.booleans() | st.integers() | st.text(max_size=5) | st.lists(st.text(max_size=3), max_size=3)
BODIES = st.fixed_dictionaries(
    {},
    optional={
        "applicationId": NAMES | ANYTHING,
        "failureHash": st.none() | NAMES | ANYTHING,
        "failureHashes": st.none() | st.lists(NAMES, max_size=3) | ANYTHING,
        "startDate": DATES | ANYTHING,
        "endDate": DATES | ANYTHING,
        "priority": ANYTHING,
    },
)
ASKED = DOCUMENT["paths"]["/api/pulls"]["post"]["requestBody"]["content"]["application/json"]["schema"]


def refusal(body: bytes) -> str:
    """Return why a body is refused; empty where it is not."""
    try:
        PullRequest.decode(body)
    except BadInput as refused:
        return str(refused)
    return ""


@given(BODIES)
def test_a_body_is_accepted_where_its_schema_allows_it_and_nowhere_else(body: dict[str, Any]) -> None:
    # What stands for no id is one by its letters: "-", "null".
    ids = [
        body.get("applicationId"),
        body.get("failureHash"),
        *(hashes if isinstance(hashes := body.get("failureHashes"), list) else []),
    ]
    assume(not any(isinstance(each, str) and each and not normal_id(each) for each in ids))
    told = refusal(json.dumps(body).encode())
    # The order of days is what no schema can say.
    assert is_valid(ASKED, body) == (not told or "is after" in told)


@given(st.text(max_size=70) | st.from_regex(r"[0-9A-Za-z._-]{0,130}", fullmatch=True))
def test_a_name_is_accepted_where_its_schema_allows_it_and_nowhere_else(name: str) -> None:
    for parameter, made in zip(
        (each for each in _PULL["parameters"] if each["in"] == "path"),
        (partial(Failure, name, "a"), partial(Failure, "1", name)),
        strict=True,
    ):
        try:
            made()
        except BadInput:
            assert not is_valid(parameter["schema"], name)
        else:
            assert is_valid(parameter["schema"], name)


@pytest.mark.parametrize(
    ("path", "parameter"),
    [("", PULL_STATE), ("/{applicationId}/{failureHash}/cabs", CAB_STATE), ("", LIMIT), ("", CONTINUATION)],
)
@given(text=st.text(max_size=5) | st.integers(-5, 1_005).map(str) | st.sampled_from(["Failed", "copied", "null"]))
def test_a_parameter_is_accepted_where_its_schema_allows_it_and_nowhere_else(
    path: str, parameter: QueryParameter[Any], text: str
) -> None:
    operation = DOCUMENT["paths"][f"/api/pulls{path}"]["get"]
    (documented,) = (each for each in operation["parameters"] if each["name"] == parameter.name)
    is_number = documented["schema"].get("type") == "integer" and re.fullmatch(r"0|[1-9]\d*", text, re.ASCII)
    fits = is_valid(documented["schema"], int(text) if is_number else text)
    try:
        parameter.read({parameter.name: text})
    except BadInput:
        assert not fits
    else:
        assert fits or (documented["allowEmptyValue"] and not text)


def test_each_call_takes_exactly_the_parameters_that_are_documented() -> None:
    """One that is documented and refused is a client that fails; one that is only taken is never found."""
    documented = {
        operation["operationId"]: {each["name"] for each in operation["parameters"] if each["in"] == "query"}
        for operations in DOCUMENT["paths"].values()
        for operation in operations.values()
    }
    taken = {}
    for path in (ROOT / "functions").glob("http_*.py"):
        for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
            if isinstance(node, ast.FunctionDef) and node.name in documented:
                names = {"answering": lambda *names: set(names), "_FILTERS": _FILTERS}
                taken[node.name] = eval(ast.unparse(node.decorator_list[-1]), names)  # noqa: S307 - our own code
    assert taken.pop("report_ready") == {"*"}, "whoever calls back may add what it likes"
    assert not documented.pop("report_ready")
    assert taken == documented
