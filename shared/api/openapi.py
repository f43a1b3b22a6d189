"""The OpenAPI 3.1 document of the HTTP API, made of the types that decode and encode it.

`tests/integration/test_indexing.py` holds it against the functions that the host indexes.
"""

from __future__ import annotations

from functools import cache
from http import HTTPStatus
from typing import TYPE_CHECKING, Annotated, Any

from msgspec import Meta, Struct
from msgspec.json import schema_components

from shared.api.downloads import MOST_BYTES
from shared.api.operations import OPERATIONS
from shared.api.requests import BODY_BYTES
from shared.api.scalars import ApplicationId, CabIdHash, NamedHash
from shared.api.schedules import ReportId

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

    from shared.api.operations import Operation

type Json = dict[str, Any]
_REF = "#/components/schemas/{name}"
_PATH_PARAMETERS: Mapping[str, Any] = {
    "applicationId": ApplicationId,
    "failureHash": NamedHash,
    "cabIdHash": CabIdHash,
    "reportId": ReportId,
}

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
    "Range": f"One range that says where it begins, of which at most {MOST_BYTES} bytes come. Without one the whole "
    "cab comes, where it has no more than these; else 400.",
    "If-Match": "The ETag of the part before.",
    "If-Range": "Likewise; where the blob is another one by now, it is as if there were no Range.",
}
_OF_READING = {
    "If-None-Match": "The ETag of the answer that the caller has; 304 without a body where that is still the answer.",
}
_ANYWHERE = (
    HTTPStatus.BAD_REQUEST,
    HTTPStatus.INTERNAL_SERVER_ERROR,
    HTTPStatus.BAD_GATEWAY,
    HTTPStatus.SERVICE_UNAVAILABLE,
)
_OF_A_BODY = (HTTPStatus.REQUEST_ENTITY_TOO_LARGE, HTTPStatus.UNSUPPORTED_MEDIA_TYPE)
_HEADERS = {
    "Location": "Where what was asked for can be looked at; the list of pulls where there are several.",
    "ETag": "Names this answer, for If-None-Match.",
    "Retry-After": "Seconds after which it is worth looking, or asking again.",
}


class Problem(Struct, frozen=True):
    """An error (RFC 9457)."""

    type: str
    title: str
    status: int
    detail: Annotated[str, Meta(description="What happened, and what to do.")]


@cache
def openapi() -> Json:
    """Return the document."""
    operations = [(tag, each) for (tag, _), some in OPERATIONS.items() for each in some]
    wanted = [Problem, *_PATH_PARAMETERS.values(), *(each for _, one in operations for each in one.types)]
    schemas, components = schema_components(wanted, ref_template=_REF)
    # In the order in which they were asked for.
    found = iter(schemas)
    problem = {"application/problem+json": {"schema": next(found)}}
    places = {name: next(found) for name in _PATH_PARAMETERS}
    paths: dict[str, Json] = {}
    for tag, each in operations:
        method, path = each.call.split()
        paths.setdefault(path, {})[method.lower()] = {"tags": [tag], **_operation(each, found, places, problem)}
    return {
        "openapi": "3.1.0",
        "info": {
            "title": "Cabferry",
            "version": "1",
            "description": "Keeps every failure cab that Microsoft holds for your drivers and applications in your own "
            "blob container. Times are in UTC. Whatever takes GET takes HEAD. A query parameter that a call does not "
            "know is refused.",
            "contact": {"name": "Whoever runs this app"},
            "license": {"name": "MIT", "identifier": "MIT"},
        },
        "servers": [{"url": "/", "description": "The app that this document comes from."}],
        "tags": [{"name": name, "description": meaning} for name, meaning in OPERATIONS],
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


def _operation(each: Operation, found: Iterator[Json], places: Mapping[str, Json], problem: Json) -> Json:
    answer = _answer(each, next(found))
    parameters = [
        {"name": name, "in": "path", "required": True, "schema": schema}
        for name, schema in places.items()
        if f"{{{name}}}" in each.call
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
    reads = each.call.startswith("GET ")
    takes = {**(_OF_BYTES if each.answer is bytes else {}), **(_OF_READING if reads else {})}
    parameters += [
        {"name": name, "in": "header", "description": told, "schema": {"type": "string"}}
        for name, told in takes.items()
    ]
    refusals = {
        str(status.value): {
            "description": _PROBLEMS[status],
            "content": problem,
            **(_headers("Retry-After") if status is HTTPStatus.SERVICE_UNAVAILABLE else {}),
        }
        for status in (*each.refusals, *(_OF_A_BODY if each.body else ()), *_ANYWHERE)
    }
    told: Json = {
        "operationId": each.function,
        "summary": each.summary,
        "description": each.description,
        "parameters": parameters,
        "responses": {
            str(each.status.value): answer,
            **({"206": {**answer, "description": "The part that Range asks for."}} if each.answer is bytes else {}),
            **(
                {"304": {"description": "It is still the answer that the caller has.", **_headers("ETag")}}
                if reads
                else {}
            ),
            "401": {"description": "The function key is missing or wrong; the Functions host says so, without a body."},
            **refusals,
        },
    }
    if each.body:
        told["requestBody"] = {"required": each.needs_body, "content": {"application/json": {"schema": next(found)}}}
    return told


def _answer(each: Operation, schema: Json) -> Json:
    content = {"application/octet-stream": {}} if each.answer is bytes else {"application/json": {"schema": schema}}
    is_read = each.call.startswith("GET ")
    names = ("Location", "Retry-After") if each.status is HTTPStatus.ACCEPTED else ("ETag",) if is_read else ()
    return {"description": each.status.phrase, "content": content, **_headers(*names)}


def _headers(*names: str) -> Json:
    return {"headers": {name: {"description": _HEADERS[name], "schema": {"type": "string"}} for name in names}}


def _with_default(schema: Json, default: object) -> Json:
    return {**schema, "default": default} if default else schema
