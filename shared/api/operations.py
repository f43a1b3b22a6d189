"""Every call of the HTTP API: what it takes, tells and refuses, by what it is about."""

from __future__ import annotations

from http import HTTPStatus
from typing import TYPE_CHECKING, Any

from shared.api.cabs import CabAccepted, CabAsked, CabsPage
from shared.api.checks import CheckAccepted, CheckBody, FailureCheckBody, RunsPage
from shared.api.downloads import CabLink
from shared.api.failures import FailureBody, FailuresPage
from shared.api.plan import PlanAsked, PlanBody
from shared.api.pulls import PullBody, PullsAccepted, PullsAsked, PullsPage
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


class Operation(Immutable, frozen=True):
    """One call.

    Args:
        function: The name of the function that answers it.
        call: Its method and path, with the parameters in braces.
        summary: What it does.
        description: What else a caller should know.
        answer: The type of the body where all is well; `bytes` for what is no JSON.
        status: The status where all is well.
        query: The parameters of its query.
        body: The type of its body; None where it has none.
        needs_body: Whether that may not be left out.
        refusals: Statuses that not every call, or every call with a body, may have; each comes with a problem.
    """

    function: str
    call: str
    summary: str
    description: str
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
_PULLS = (
    Operation(
        "request_pull",
        "POST /api/pulls",
        "Ask for pulls.",
        "Each failure is queued once. Without dates: the last CAB_LOOKBACK_DAYS. What is held is not copied again.",
        PullsAccepted,
        HTTPStatus.ACCEPTED,
        body=PullsAsked,
    ),
    Operation(
        "list_pulls",
        "GET /api/pulls",
        "Tell how the pulls stand, a page at a time.",
        "With driver, version, text or sort, a page has at most 100, and may be empty and still not be the last.",
        PullsPage,
        query=(*_FILTERS, PULL_ORDER, LIMIT, CONTINUATION),
    ),
    Operation(
        "show_pull",
        f"GET {_PULL}",
        "Tell how one pull stands.",
        "Look again after some seconds while it is Queued or Running, with If-None-Match.",
        PullBody,
        refusals=(HTTPStatus.NOT_FOUND,),
    ),
    Operation(
        "list_cabs",
        f"GET {_PULL}/cabs",
        "Tell what became of a failure's cabs, a page at a time.",
        "In the order of their ids, whether they are in the container or not, each with the reason where it is not.",
        CabsPage,
        query=(CAB_STATE, LIMIT, CONTINUATION),
        refusals=(HTTPStatus.NOT_FOUND,),
    ),
    Operation(
        "retry_pull",
        f"POST {_PULL}/retry",
        "Send a Failed pull back to the queue, with its own days.",
        "It begins with the first page again, and copies only what is not held. Any but a Failed pull stays as it is.",
        PullsAccepted,
        HTTPStatus.ACCEPTED,
        refusals=(HTTPStatus.NOT_FOUND, HTTPStatus.CONFLICT),
    ),
    Operation(
        "request_cab",
        "POST /api/cabs/{applicationId}/{cabIdHash}",
        "Copy one cab, by the call for one cab.",
        "The pull of its failure stays as it is. The body says of which failure the cab is where no row tells it, and "
        "spares storage a look at every row of the application. A cab that is here, or was, is 409.",
        CabAccepted,
        HTTPStatus.ACCEPTED,
        body=CabAsked,
        needs_body=False,
        refusals=(
            HTTPStatus.NOT_FOUND,
            HTTPStatus.CONFLICT,
        ),
    ),
)
_FAILURES = (
    Operation(
        "list_failures",
        "GET /api/failures",
        "Tell of the failures by name, and what is held of each, a page at a time.",
        "Every failure that was ever asked for. Its cabs are as a pull or the reconcile last counted them.",
        FailuresPage,
        query=(*_FILTERS, SORT, LIMIT, CONTINUATION),
    ),
    Operation(
        "show_trends",
        "GET /api/trends",
        "Tell how many cabs there were on each day, and of which versions.",
        "Of the failures that the filters ask for; with version, of these versions alone.",
        TrendsBody,
        query=_FILTERS,
    ),
    Operation(
        "show_failure",
        "GET /api/failures/{applicationId}/{failureHash}",
        "Tell of one failure, and where its pull and its cabs are told of.",
        "The same as in the list; where no pull of this version of the app has counted its cabs, they are counted now.",
        FailureBody,
        refusals=(HTTPStatus.NOT_FOUND,),
    ),
    Operation(
        "link_cab",
        f"POST {_CAB}/link",
        "Make a link that reads one cab for some minutes.",
        "A SAS that an identity signs, of that blob alone. Where a key opens the storage there is none: 409.",
        CabLink,
        refusals=(HTTPStatus.NOT_FOUND, HTTPStatus.CONFLICT),
    ),
    Operation(
        "fetch_cab",
        f"GET {_CAB}/content",
        "Return a cab's bytes, or a part of them.",
        "For who cannot have a link: ask for the parts one after the other, each with the ETag of the first. "
        "Without Range a cab that is larger than a part is refused, so that a part is never taken for all.",
        bytes,
        refusals=(
            HTTPStatus.NOT_FOUND,
            HTTPStatus.PRECONDITION_FAILED,
            HTTPStatus.REQUESTED_RANGE_NOT_SATISFIABLE,
        ),
    ),
)
_CHECKS = (
    Operation(
        "list_runs",
        "GET /api/reports",
        "Tell which report runs were seen, a page at a time.",
        "In the order of their reports and dates.",
        RunsPage,
        query=(LIMIT, CONTINUATION),
    ),
    Operation(
        "request_check",
        "POST /api/reports/check",
        "Let the reports be checked now.",
        "It runs from a queue, since it may take longer than a call may. Who asks while one waits gets that one.",
        CheckAccepted,
        HTTPStatus.ACCEPTED,
    ),
    Operation(
        "show_check",
        "GET /api/reports/check",
        "Tell how the check stands that was last asked for, and what it did.",
        "What the timer checks by itself is not told here; its runs are in the list of the reports.",
        CheckBody,
        refusals=(HTTPStatus.NOT_FOUND,),
    ),
    Operation(
        "report_ready",
        "POST /api/reports/callback",
        "Look for new runs, since the Dev Center says that there is one.",
        "For the CallbackURL of a schedule. Nothing that comes is read. At most one check a minute, whoever calls.",
        CheckAccepted,
        HTTPStatus.ACCEPTED,
    ),
    Operation(
        "request_failure_check",
        "POST /api/failures/check",
        "Let the failures of desktop and Store applications be looked for now.",
        "It runs from a queue. Who asks twice gets one check.",
        CheckAccepted,
        HTTPStatus.ACCEPTED,
    ),
    Operation(
        "show_failure_check",
        "GET /api/failures/check",
        "Tell how far the failures of each application were looked for.",
        "One entry for each application that was ever checked.",
        FailureCheckBody,
    ),
    Operation(
        "show_plan",
        "GET /api/plan",
        "Tell what the next run would take, and what the rules of the settings file leave out.",
        "Made of how cabs were last counted: cabs that no report has listed yet are in no number.",
        PlanBody,
    ),
    Operation(
        "try_plan",
        "POST /api/plan",
        "Tell what the next run would take under other rules.",
        "Nothing is changed. What is wrong with them is told as by the app that reads the file.",
        PlanBody,
        body=PlanAsked,
    ),
)
_SCHEDULES = (
    Operation(
        "list_templates",
        "GET /api/reports/templates",
        "Tell which report templates the account has.",
        "The Dev Center is asked. missingColumns tells whether the app can use one.",
        TemplatesBody,
    ),
    Operation(
        "make_template",
        "POST /api/reports/templates",
        "Make a template with every column that the app shows.",
        "Of the view IHVDriver, and without DeviceId and HardwareId.",
        TemplateMade,
        HTTPStatus.CREATED,
        body=TemplateAsked,
        needs_body=False,
    ),
    Operation(
        "list_schedules",
        "GET /api/reports/schedules",
        "Tell which report schedules the account has, and where each stands.",
        "The Dev Center is asked.",
        SchedulesBody,
    ),
    Operation(
        "make_schedule",
        "POST /api/reports/schedules",
        "Let a report be made again and again.",
        "A template without ApplicationId or FailureHash is refused, and so is what the Dev Center would not take. "
        "Where an answer does not come, look at the list before asking again: a second schedule is a second report.",
        ScheduleMade,
        HTTPStatus.CREATED,
        body=ScheduleAsked,
        needs_body=False,
    ),
    Operation(
        "pause_schedule",
        f"POST {_SCHEDULE}/pause",
        "Let a schedule make no runs until it is resumed.",
        "What it has made stays.",
        ScheduleSet,
    ),
    Operation(
        "resume_schedule",
        f"POST {_SCHEDULE}/resume",
        "Let a paused schedule go on.",
        "One that has made all its runs makes no more.",
        ScheduleSet,
    ),
)
_STATE = (
    Operation(
        "summary",
        "GET /api/summary",
        "Tell how all of it stands, in one cheap call.",
        "Answers within seconds whatever is broken: what is not known is null, and unknown says why.",
        SummaryBody,
    ),
    Operation(
        "health",
        "GET /api/health",
        "Tell whether the app is alive and set up.",
        "503 names every setting that is missing or malformed. degraded says in problems what a person should look at.",
        HealthBody,
    ),
    Operation(
        "preflight",
        "POST /api/preflight",
        "Ask everything that a pull needs, and tell what each answered and what to do.",
        "Always 200: the report came about, and whether the app is ready is what it tells. It may take twenty seconds.",
        PreflightBody,
    ),
    Operation(
        "show_preflight",
        "GET /api/preflight",
        "Tell what the last preflight found, and when.",
        "Nothing is asked and nothing written.",
        LastPreflightBody,
        refusals=(HTTPStatus.NOT_FOUND,),
    ),
)
_DOCUMENT = (
    Operation(
        "show_openapi",
        "GET /api/openapi.json",
        "Show this document.",
        "It is made of the types that the app decodes and encodes with.",
        dict[str, Any],
    ),
)
# What calls are about, what that means, and these calls.
OPERATIONS: Mapping[tuple[str, str], tuple[Operation, ...]] = {
    ("Pulls", "Bring the cabs of a failure into the container."): _PULLS,
    ("Failures", "What is known of each failure, and held of it."): _FAILURES,
    ("Checks", "Find what is to be pulled."): _CHECKS,
    ("Schedules", "What the Dev Center reports of drivers, and when."): _SCHEDULES,
    ("State", "Whether all is well."): _STATE,
    ("This document", "What a client is made from."): _DOCUMENT,
}
