"""The OpenAPI 3.1 document of the HTTP API, made of the types that decode and encode it.

`tests/integration/test_indexing.py` holds it against the functions that the host indexes.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import cache
from http import HTTPStatus
from typing import TYPE_CHECKING, Any

from msgspec.json import schema_components

from shared.api.downloads import MOST_BYTES, CabLink
from shared.api.models import (
    BODY_BYTES,
    ApplicationId,
    CabIdHash,
    CabsPage,
    CheckAccepted,
    CheckBody,
    FailureBody,
    FailureCheckBody,
    FailuresPage,
    NamedHash,
    Problem,
    PullBody,
    PullsAccepted,
    PullsAsked,
    PullsPage,
    RunsPage,
)
from shared.api.requests import (
    APPLICATION,
    CAB_STATE,
    CONTINUATION,
    DRIVER,
    FAMILY,
    LIMIT,
    PULL_STATE,
    SORT,
    TEXT,
    VERSION,
)
from shared.api.state import HealthBody, LastPreflightBody, PreflightBody
from shared.api.summary import SummaryBody

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

    from shared.api.requests import QueryParameter

type Json = dict[str, Any]
_REF = "#/components/schemas/{name}"
_PATH_PARAMETERS: Mapping[str, Any] = {"applicationId": ApplicationId, "failureHash": NamedHash, "cabIdHash": CabIdHash}

# What each status means, wherever it comes.
_PROBLEMS = {
    HTTPStatus.BAD_REQUEST: "The request is not what it should be.",
    HTTPStatus.NOT_FOUND: "Nobody asked for this yet.",
    HTTPStatus.CONFLICT: "The pull is in another state, or the app has no identity that may sign a link.",
    HTTPStatus.PRECONDITION_FAILED: "The blob is not the one that If-Match names.",
    HTTPStatus.REQUEST_ENTITY_TOO_LARGE: f"The body has more than {BODY_BYTES} bytes.",
    HTTPStatus.UNSUPPORTED_MEDIA_TYPE: "The body is declared as something else than JSON.",
    HTTPStatus.REQUESTED_RANGE_NOT_SATISFIABLE: "The cab ends before the range.",
    HTTPStatus.INTERNAL_SERVER_ERROR: "Something that nobody foresaw; the app's log has it.",
    HTTPStatus.BAD_GATEWAY: "A person is needed at the Dev Center or at storage.",
    HTTPStatus.SERVICE_UNAVAILABLE: "A setting is missing, or something is busy.",
}
# What a call whose answer is no JSON takes beside its path.
_OF_BYTES = {
    "Range": f"One range that says where it begins; at most {MOST_BYTES} bytes come at once.",
    "If-Match": "The ETag of the part before.",
}
_ANYWHERE = (HTTPStatus.INTERNAL_SERVER_ERROR, HTTPStatus.BAD_GATEWAY, HTTPStatus.SERVICE_UNAVAILABLE)
_HEADERS = {
    "Location": "Where what was asked for can be looked at; the list of pulls where there are several.",
    "Retry-After": "Seconds after which it is worth looking, or asking again.",
}


@dataclass(frozen=True, slots=True)
class _Operation:
    """One call.

    Args:
        function: The name of the function that answers it.
        method: In lower case.
        path: With the parameters in braces.
        summary: What it does.
        answer: The type of the body where all is well; `bytes` for what is no JSON.
        status: The status where all is well.
        query: The parameters of its query.
        body: The type of its body; None where it has none.
        refusals: Further statuses, each with a problem.
    """

    function: str
    method: str
    path: str
    summary: str
    answer: Any
    status: HTTPStatus = HTTPStatus.OK
    query: tuple[QueryParameter[Any], ...] = ()
    body: Any = None
    refusals: tuple[HTTPStatus, ...] = ()

    @property
    def types(self) -> Iterator[Any]:
        """Yield the types whose schemas it needs."""
        yield self.answer
        yield from (each.form for each in self.query)
        if self.body:
            yield self.body


_PULL = "/api/pulls/{applicationId}/{failureHash}"
_FILTERS = (FAMILY, APPLICATION, DRIVER, VERSION, PULL_STATE, TEXT)
_CAB = "/api/failures/{applicationId}/{failureHash}/cabs/{cabIdHash}"
_OPERATIONS = (
    _Operation(
        "request_pull",
        "post",
        "/api/pulls",
        "Ask for pulls.",
        PullsAccepted,
        HTTPStatus.ACCEPTED,
        body=PullsAsked,
        refusals=(
            HTTPStatus.BAD_REQUEST,
            HTTPStatus.REQUEST_ENTITY_TOO_LARGE,
            HTTPStatus.UNSUPPORTED_MEDIA_TYPE,
        ),
    ),
    _Operation(
        "list_pulls",
        "get",
        "/api/pulls",
        "Tell how the pulls stand, a page at a time.",
        PullsPage,
        query=(*_FILTERS, LIMIT, CONTINUATION),
        refusals=(HTTPStatus.BAD_REQUEST,),
    ),
    _Operation(
        "show_pull",
        "get",
        _PULL,
        "Tell how one pull stands.",
        PullBody,
        refusals=(HTTPStatus.BAD_REQUEST, HTTPStatus.NOT_FOUND),
    ),
    _Operation(
        "list_cabs",
        "get",
        f"{_PULL}/cabs",
        "Tell what became of a failure's cabs, a page at a time.",
        CabsPage,
        query=(CAB_STATE, LIMIT, CONTINUATION),
        refusals=(HTTPStatus.BAD_REQUEST, HTTPStatus.NOT_FOUND),
    ),
    _Operation(
        "retry_pull",
        "post",
        f"{_PULL}/retry",
        "Send a Failed pull back to the queue, with its own days.",
        PullsAccepted,
        HTTPStatus.ACCEPTED,
        refusals=(HTTPStatus.BAD_REQUEST, HTTPStatus.NOT_FOUND, HTTPStatus.CONFLICT),
    ),
    _Operation(
        "list_failures",
        "get",
        "/api/failures",
        "Tell of the failures by name, and what is held of each, a page at a time.",
        FailuresPage,
        query=(*_FILTERS, SORT, LIMIT, CONTINUATION),
        refusals=(HTTPStatus.BAD_REQUEST,),
    ),
    _Operation(
        "show_failure",
        "get",
        "/api/failures/{applicationId}/{failureHash}",
        "Tell of one failure, and where its pull and its cabs are told of.",
        FailureBody,
        refusals=(HTTPStatus.BAD_REQUEST, HTTPStatus.NOT_FOUND),
    ),
    _Operation("summary", "get", "/api/summary", "Tell how all of it stands, in one cheap call.", SummaryBody),
    _Operation(
        "link_cab",
        "post",
        f"{_CAB}/link",
        "Make a link that reads one cab for some minutes.",
        CabLink,
        refusals=(HTTPStatus.BAD_REQUEST, HTTPStatus.NOT_FOUND, HTTPStatus.CONFLICT),
    ),
    _Operation(
        "fetch_cab",
        "get",
        f"{_CAB}/content",
        "Return a part of a cab's bytes.",
        bytes,
        HTTPStatus.PARTIAL_CONTENT,
        refusals=(
            HTTPStatus.BAD_REQUEST,
            HTTPStatus.NOT_FOUND,
            HTTPStatus.PRECONDITION_FAILED,
            HTTPStatus.REQUESTED_RANGE_NOT_SATISFIABLE,
        ),
    ),
    _Operation(
        "list_runs",
        "get",
        "/api/reports",
        "Tell which report runs were seen, a page at a time.",
        RunsPage,
        query=(LIMIT, CONTINUATION),
        refusals=(HTTPStatus.BAD_REQUEST,),
    ),
    _Operation(
        "request_check",
        "post",
        "/api/reports/check",
        "Let the reports be checked now.",
        CheckAccepted,
        HTTPStatus.ACCEPTED,
    ),
    _Operation(
        "show_check",
        "get",
        "/api/reports/check",
        "Tell how the check stands that was last asked for, and what it did.",
        CheckBody,
        refusals=(HTTPStatus.NOT_FOUND,),
    ),
    _Operation(
        "request_failure_check",
        "post",
        "/api/failures/check",
        "Let the failures of desktop and Store applications be looked for now.",
        CheckAccepted,
        HTTPStatus.ACCEPTED,
    ),
    _Operation(
        "show_failure_check",
        "get",
        "/api/failures/check",
        "Tell how far the failures of each application were looked for.",
        FailureCheckBody,
    ),
    _Operation("health", "get", "/api/health", "Tell whether the app is alive and set up.", HealthBody),
    _Operation(
        "preflight",
        "post",
        "/api/preflight",
        "Ask everything that a pull needs, and tell what each answered and what to do.",
        PreflightBody,
    ),
    _Operation(
        "show_preflight",
        "get",
        "/api/preflight",
        "Tell what the last preflight found, and when.",
        LastPreflightBody,
        refusals=(HTTPStatus.NOT_FOUND,),
    ),
    _Operation("show_openapi", "get", "/api/openapi.json", "Show this document.", dict[str, Any]),
)


@cache
def openapi() -> Json:
    """Return the document."""
    wanted = [Problem, *_PATH_PARAMETERS.values(), *(each for one in _OPERATIONS for each in one.types)]
    schemas, components = schema_components(wanted, ref_template=_REF)
    # In the order in which they were asked for.
    found = iter(schemas)
    problem = {"application/problem+json": {"schema": next(found)}}
    places = {name: next(found) for name in _PATH_PARAMETERS}
    paths: dict[str, Json] = {}
    for each in _OPERATIONS:
        paths.setdefault(each.path, {})[each.method] = _operation(each, found, places, problem)
    return {
        "openapi": "3.1.0",
        "info": {
            "title": "Cabferry",
            "version": "1",
            "description": "Keeps every failure cab that Microsoft holds for your drivers in your own blob container.",
        },
        "security": [{"functionKey": []}, {"functionCode": []}],
        "paths": paths,
        "components": {
            "schemas": components,
            "securitySchemes": {
                "functionKey": {"type": "apiKey", "in": "header", "name": "x-functions-key"},
                "functionCode": {"type": "apiKey", "in": "query", "name": "code"},
            },
        },
    }


def _operation(each: _Operation, found: Iterator[Json], places: Mapping[str, Json], problem: Json) -> Json:
    answer = _answer(each, next(found))
    parameters = [
        {"name": name, "in": "path", "required": True, "schema": schema}
        for name, schema in places.items()
        if f"{{{name}}}" in each.path
    ]
    parameters += [
        {
            "name": one.name,
            "in": "query",
            "description": one.meaning,
            "allowEmptyValue": True,
            "schema": _with_default(next(found), one.default),
        }
        for one in each.query
    ]
    if each.answer is bytes:
        parameters += [
            {"name": name, "in": "header", "description": told, "schema": {"type": "string"}}
            for name, told in _OF_BYTES.items()
        ]
    refusals = {
        str(status.value): {
            "description": _PROBLEMS[status],
            "content": problem,
            **(_headers("Retry-After") if status is HTTPStatus.SERVICE_UNAVAILABLE else {}),
        }
        for status in (*each.refusals, *_ANYWHERE)
    }
    told: Json = {
        "operationId": each.function,
        "summary": each.summary,
        "parameters": parameters,
        "responses": {
            str(each.status.value): answer,
            "401": {"description": "The function key is missing or wrong; the Functions host says so, without a body."},
            **refusals,
        },
    }
    if each.body:
        told["requestBody"] = {"required": True, "content": {"application/json": {"schema": next(found)}}}
    return told


def _answer(each: _Operation, schema: Json) -> Json:
    content = {"application/octet-stream": {}} if each.answer is bytes else {"application/json": {"schema": schema}}
    answer = {"description": each.status.phrase, "content": content}
    return {**answer, **(_headers(*_HEADERS) if each.status is HTTPStatus.ACCEPTED else {})}


def _headers(*names: str) -> Json:
    return {"headers": {name: {"description": _HEADERS[name], "schema": {"type": "string"}} for name in names}}


def _with_default(schema: Json, default: object) -> Json:
    return {**schema, "default": default} if default else schema
