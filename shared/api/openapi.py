"""The OpenAPI 3.1 document of the HTTP API, made of the types that decode and encode it.

`tests/integration/test_indexing.py` holds it against the functions that the host indexes.
"""

from __future__ import annotations

from functools import cache
from http import HTTPStatus
from typing import TYPE_CHECKING, Any

from msgspec.json import schema_components

from shared.api.downloads import MOST_BYTES, CabLink
from shared.api.models import (
    BODY_BYTES,
    ApplicationId,
    CabAccepted,
    CabAsked,
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
from shared.api.plan import PlanAsked, PlanBody
from shared.api.requests import (
    APPLICATION,
    CAB_STATE,
    CONTINUATION,
    DRIVER,
    FAMILY,
    LIMIT,
    PULL_ORDER,
    PULL_STATE,
    SORT,
    TEXT,
    VERSION,
)
from shared.api.schedules import (
    ReportId,
    ScheduleAsked,
    ScheduleMade,
    SchedulesBody,
    ScheduleSet,
    TemplateAsked,
    TemplateMade,
    TemplatesBody,
)
from shared.api.state import HealthBody, LastPreflightBody, PreflightBody
from shared.api.summary import SummaryBody
from shared.api.trends import TrendsBody
from shared.core.values import Immutable

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

    from shared.api.requests import QueryParameter

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
_TAGS = {
    "Pulls": "Bring the cabs of a failure into the container.",
    "Failures": "What is known of each failure, and held of it.",
    "Checks": "Find what is to be pulled.",
    "Schedules": "What the Dev Center reports of drivers, and when.",
    "State": "Whether all is well.",
    "This document": "What a client is made from.",
}
_HEADERS = {
    "Location": "Where what was asked for can be looked at; the list of pulls where there are several.",
    "ETag": "Names this answer, for If-None-Match.",
    "Retry-After": "Seconds after which it is worth looking, or asking again.",
}


class _Operation(Immutable, frozen=True):
    """One call.

    Args:
        function: The name of the function that answers it.
        method: In lower case.
        path: With the parameters in braces.
        summary: What it does.
        description: What else a caller should know.
        tag: What it is about.
        answer: The type of the body where all is well; `bytes` for what is no JSON.
        status: The status where all is well.
        query: The parameters of its query.
        body: The type of its body; None where it has none.
        needs_body: Whether that may not be left out.
        refusals: Further statuses, each with a problem.
    """

    function: str
    method: str
    path: str
    summary: str
    description: str
    tag: str
    answer: Any
    status: HTTPStatus = HTTPStatus.OK
    query: tuple[QueryParameter[Any], ...] = ()
    body: Any = None
    needs_body: bool = True
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
_SCHEDULE = "/api/reports/schedules/{reportId}"
_CAB = "/api/failures/{applicationId}/{failureHash}/cabs/{cabIdHash}"
_OPERATIONS = (
    _Operation(
        "request_pull",
        "post",
        "/api/pulls",
        "Ask for pulls.",
        "Each failure is queued once. Without dates: the last CAB_LOOKBACK_DAYS. What is held is not copied again.",
        "Pulls",
        PullsAccepted,
        HTTPStatus.ACCEPTED,
        body=PullsAsked,
        refusals=(HTTPStatus.REQUEST_ENTITY_TOO_LARGE, HTTPStatus.UNSUPPORTED_MEDIA_TYPE),
    ),
    _Operation(
        "list_pulls",
        "get",
        "/api/pulls",
        "Tell how the pulls stand, a page at a time.",
        "With driver, version, text or sort, a page has at most 100, and may be empty and still not be the last.",
        "Pulls",
        PullsPage,
        query=(*_FILTERS, PULL_ORDER, LIMIT, CONTINUATION),
    ),
    _Operation(
        "show_pull",
        "get",
        _PULL,
        "Tell how one pull stands.",
        "Look again after some seconds while it is Queued or Running, with If-None-Match.",
        "Pulls",
        PullBody,
        refusals=(HTTPStatus.NOT_FOUND,),
    ),
    _Operation(
        "list_cabs",
        "get",
        f"{_PULL}/cabs",
        "Tell what became of a failure's cabs, a page at a time.",
        "In the order of their ids, whether they are in the container or not, each with the reason where it is not.",
        "Pulls",
        CabsPage,
        query=(CAB_STATE, LIMIT, CONTINUATION),
        refusals=(HTTPStatus.NOT_FOUND,),
    ),
    _Operation(
        "retry_pull",
        "post",
        f"{_PULL}/retry",
        "Send a Failed pull back to the queue, with its own days.",
        "It begins with the first page again, and copies only what is not held. Any but a Failed pull stays as it is.",
        "Pulls",
        PullsAccepted,
        HTTPStatus.ACCEPTED,
        refusals=(HTTPStatus.NOT_FOUND, HTTPStatus.CONFLICT),
    ),
    _Operation(
        "request_cab",
        "post",
        "/api/cabs/{applicationId}/{cabIdHash}",
        "Copy one cab, by the call for one cab.",
        "The pull of its failure stays as it is. The body says of which failure the cab is where no row tells it, and "
        "spares storage a look at every row of the application. A cab that is here, or was, is 409.",
        "Pulls",
        CabAccepted,
        HTTPStatus.ACCEPTED,
        body=CabAsked,
        needs_body=False,
        refusals=(
            HTTPStatus.NOT_FOUND,
            HTTPStatus.CONFLICT,
            HTTPStatus.REQUEST_ENTITY_TOO_LARGE,
            HTTPStatus.UNSUPPORTED_MEDIA_TYPE,
        ),
    ),
    _Operation(
        "list_failures",
        "get",
        "/api/failures",
        "Tell of the failures by name, and what is held of each, a page at a time.",
        "Every failure that was ever asked for. Its cabs are as a pull or the reconcile last counted them.",
        "Failures",
        FailuresPage,
        query=(*_FILTERS, SORT, LIMIT, CONTINUATION),
    ),
    _Operation(
        "show_trends",
        "get",
        "/api/trends",
        "Tell how many cabs there were on each day, and of which versions.",
        "Of the failures that the filters ask for; with version, of these versions alone.",
        "Failures",
        TrendsBody,
        query=_FILTERS,
    ),
    _Operation(
        "show_failure",
        "get",
        "/api/failures/{applicationId}/{failureHash}",
        "Tell of one failure, and where its pull and its cabs are told of.",
        "The same as in the list; where no pull of this version of the app has counted its cabs, they are counted now.",
        "Failures",
        FailureBody,
        refusals=(HTTPStatus.NOT_FOUND,),
    ),
    _Operation(
        "summary",
        "get",
        "/api/summary",
        "Tell how all of it stands, in one cheap call.",
        "Answers within seconds whatever is broken: what is not known is null, and unknown says why.",
        "State",
        SummaryBody,
    ),
    _Operation(
        "link_cab",
        "post",
        f"{_CAB}/link",
        "Make a link that reads one cab for some minutes.",
        "A SAS that an identity signs, of that blob alone. Where a key opens the storage there is none: 409.",
        "Failures",
        CabLink,
        refusals=(HTTPStatus.NOT_FOUND, HTTPStatus.CONFLICT),
    ),
    _Operation(
        "fetch_cab",
        "get",
        f"{_CAB}/content",
        "Return a cab's bytes, or a part of them.",
        "For who cannot have a link: ask for the parts one after the other, each with the ETag of the first. "
        "Without Range a cab that is larger than a part is refused, so that a part is never taken for all.",
        "Failures",
        bytes,
        refusals=(
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
        "In the order of their reports and dates.",
        "Checks",
        RunsPage,
        query=(LIMIT, CONTINUATION),
    ),
    _Operation(
        "request_check",
        "post",
        "/api/reports/check",
        "Let the reports be checked now.",
        "It runs from a queue, since it may take longer than a call may. Who asks while one waits gets that one.",
        "Checks",
        CheckAccepted,
        HTTPStatus.ACCEPTED,
    ),
    _Operation(
        "show_check",
        "get",
        "/api/reports/check",
        "Tell how the check stands that was last asked for, and what it did.",
        "What the timer checks by itself is not told here; its runs are in the list of the reports.",
        "Checks",
        CheckBody,
        refusals=(HTTPStatus.NOT_FOUND,),
    ),
    _Operation(
        "report_ready",
        "post",
        "/api/reports/callback",
        "Look for new runs, since the Dev Center says that there is one.",
        "For the CallbackURL of a schedule. Nothing that comes is read. At most one check a minute, whoever calls.",
        "Checks",
        CheckAccepted,
        HTTPStatus.ACCEPTED,
    ),
    _Operation(
        "list_templates",
        "get",
        "/api/reports/templates",
        "Tell which report templates the account has.",
        "The Dev Center is asked. missingColumns tells whether the app can use one.",
        "Schedules",
        TemplatesBody,
    ),
    _Operation(
        "make_template",
        "post",
        "/api/reports/templates",
        "Make a template with every column that the app shows.",
        "Of the view IHVDriver, and without DeviceId and HardwareId.",
        "Schedules",
        TemplateMade,
        HTTPStatus.CREATED,
        body=TemplateAsked,
        needs_body=False,
        refusals=(HTTPStatus.REQUEST_ENTITY_TOO_LARGE, HTTPStatus.UNSUPPORTED_MEDIA_TYPE),
    ),
    _Operation(
        "list_schedules",
        "get",
        "/api/reports/schedules",
        "Tell which report schedules the account has, and where each stands.",
        "The Dev Center is asked.",
        "Schedules",
        SchedulesBody,
    ),
    _Operation(
        "make_schedule",
        "post",
        "/api/reports/schedules",
        "Let a report be made again and again.",
        "A template without ApplicationId or FailureHash is refused, and so is what the Dev Center would not take. "
        "Where an answer does not come, look at the list before asking again: a second schedule is a second report.",
        "Schedules",
        ScheduleMade,
        HTTPStatus.CREATED,
        body=ScheduleAsked,
        needs_body=False,
        refusals=(HTTPStatus.REQUEST_ENTITY_TOO_LARGE, HTTPStatus.UNSUPPORTED_MEDIA_TYPE),
    ),
    _Operation(
        "pause_schedule",
        "post",
        f"{_SCHEDULE}/pause",
        "Let a schedule make no runs until it is resumed.",
        "What it has made stays.",
        "Schedules",
        ScheduleSet,
    ),
    _Operation(
        "resume_schedule",
        "post",
        f"{_SCHEDULE}/resume",
        "Let a paused schedule go on.",
        "One that has made all its runs makes no more.",
        "Schedules",
        ScheduleSet,
    ),
    _Operation(
        "request_failure_check",
        "post",
        "/api/failures/check",
        "Let the failures of desktop and Store applications be looked for now.",
        "It runs from a queue. Who asks twice gets one check.",
        "Checks",
        CheckAccepted,
        HTTPStatus.ACCEPTED,
    ),
    _Operation(
        "show_failure_check",
        "get",
        "/api/failures/check",
        "Tell how far the failures of each application were looked for.",
        "One entry for each application that was ever checked.",
        "Checks",
        FailureCheckBody,
    ),
    _Operation(
        "health",
        "get",
        "/api/health",
        "Tell whether the app is alive and set up.",
        "503 names every setting that is missing or malformed. degraded says in problems what a person should look at.",
        "State",
        HealthBody,
    ),
    _Operation(
        "preflight",
        "post",
        "/api/preflight",
        "Ask everything that a pull needs, and tell what each answered and what to do.",
        "Always 200: the report came about, and whether the app is ready is what it tells. It may take twenty seconds.",
        "State",
        PreflightBody,
    ),
    _Operation(
        "show_preflight",
        "get",
        "/api/preflight",
        "Tell what the last preflight found, and when.",
        "Nothing is asked and nothing written.",
        "State",
        LastPreflightBody,
        refusals=(HTTPStatus.NOT_FOUND,),
    ),
    _Operation(
        "show_plan",
        "get",
        "/api/plan",
        "Tell what the next run would take, and what the rules of the settings file leave out.",
        "Made of how cabs were last counted: cabs that no report has listed yet are in no number.",
        "Checks",
        PlanBody,
    ),
    _Operation(
        "try_plan",
        "post",
        "/api/plan",
        "Tell what the next run would take under other rules.",
        "Nothing is changed. What is wrong with them is told as by the app that reads the file.",
        "Checks",
        PlanBody,
        body=PlanAsked,
        refusals=(HTTPStatus.REQUEST_ENTITY_TOO_LARGE, HTTPStatus.UNSUPPORTED_MEDIA_TYPE),
    ),
    _Operation(
        "show_openapi",
        "get",
        "/api/openapi.json",
        "Show this document.",
        "It is made of the types that the app decodes and encodes with.",
        "This document",
        dict[str, Any],
    ),
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
            "description": "Keeps every failure cab that Microsoft holds for your drivers and applications in your own "
            "blob container. Times are in UTC. Whatever takes GET takes HEAD. A query parameter that a call does not "
            "know is refused.",
            "contact": {"name": "Whoever runs this app"},
            "license": {"name": "MIT", "identifier": "MIT"},
        },
        "servers": [{"url": "/", "description": "The app that this document comes from."}],
        "tags": [{"name": name, "description": meaning} for name, meaning in _TAGS.items()],
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
    reads = each.method == "get" and each.status is HTTPStatus.OK
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
        for status in (*each.refusals, *_ANYWHERE)
    }
    told: Json = {
        "operationId": each.function,
        "summary": each.summary,
        "description": each.description,
        "tags": [each.tag],
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


def _answer(each: _Operation, schema: Json) -> Json:
    content = {"application/octet-stream": {}} if each.answer is bytes else {"application/json": {"schema": schema}}
    names = (
        ("Location", "Retry-After") if each.status is HTTPStatus.ACCEPTED else ("ETag",) if each.method == "get" else ()
    )
    return {"description": each.status.phrase, "content": content, **_headers(*names)}


def _headers(*names: str) -> Json:
    return {"headers": {name: {"description": _HEADERS[name], "schema": {"type": "string"}} for name in names}}


def _with_default(schema: Json, default: object) -> Json:
    return {**schema, "default": default} if default else schema
