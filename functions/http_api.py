"""The HTTP API: ask for pulls, look at them and their cabs, check the reports, and tell whether the app is alive."""

from __future__ import annotations

from http import HTTPStatus
from typing import TYPE_CHECKING

import azure.functions as func

from functions.callers import asked_by
from functions.http_answers import Problem, accepted, answer, answering, etag_of, json_body

if TYPE_CHECKING:
    from shared.core.failure import Failure

_FILTERS = ("family", "applicationId", "driver", "version", "state", "text")
CHECK, _FAILURE_CHECK = "/api/reports/check", "/api/failures/check"
blueprint = func.Blueprint(http_auth_level=func.AuthLevel.FUNCTION)


@blueprint.route("pulls", methods=["POST"])
@answering()
def request_pull(req: func.HttpRequest) -> func.HttpResponse:
    """Queue the pulls that the body asks for; 202 and where to look."""
    from shared.api.pulls import PullRequest, ask_for_pulls
    from shared.services import services

    asked = PullRequest.decode(json_body(req))
    return _accepted(*ask_for_pulls(services(), asked, asked_by("POST /api/pulls")))


@blueprint.route("pulls", methods=["GET", "HEAD"])
@answering(*_FILTERS, "sort", "limit", "continuation")
def list_pulls(req: func.HttpRequest) -> func.HttpResponse:
    """Tell how the pulls stand, a page at a time."""
    from shared.api.failure_list import pulls_of
    from shared.api.pulls import PullBody, PullsPage
    from shared.services import services

    rows, following = pulls_of(services(), req.params)
    return answer(PullsPage([PullBody.of(row) for row in rows], following))


@blueprint.route("pulls/{applicationId}/{failureHash}", methods=["GET", "HEAD"])
@answering()
def show_pull(req: func.HttpRequest) -> func.HttpResponse:
    """Tell how one pull stands."""
    from shared.api.pulls import PullBody
    from shared.services import services

    failure = _stored_failure(req)
    row = services().pulls.get(failure)
    if row is None:
        raise _unknown(failure)
    return answer(PullBody.of(row))


@blueprint.route("pulls/{applicationId}/{failureHash}/cabs", methods=["GET", "HEAD"])
@answering("state", "limit", "continuation")
def list_cabs(req: func.HttpRequest) -> func.HttpResponse:
    """Tell what became of a failure's cabs, a page at a time."""
    from shared.api.cabs import CabBody, CabsPage
    from shared.api.requests import CAB_STATE, PageAsked, continuation_text
    from shared.services import services

    failure, state, asked = _stored_failure(req), CAB_STATE.read(req.params), PageAsked.parse(req.params)
    cabs = services().pull_tools.cabs
    rows, following = cabs.page(failure, state, asked.limit, asked.after)
    if not rows and services().pulls.get(failure) is None and not any(cabs.of(failure)):
        raise _unknown(failure)
    return answer(CabsPage([CabBody.of(cab, row) for cab, row in rows], continuation_text(following)))


@blueprint.route("pulls/{applicationId}/{failureHash}/retry", methods=["POST"])
@answering()
def retry_pull(req: func.HttpRequest) -> func.HttpResponse:
    """Send a Failed pull back to the queue, with its own days; 202 and where to look."""
    from shared.core.failure import default_window
    from shared.progress.pull_row import PullState
    from shared.services import services

    failure = _stored_failure(req)
    otherwise = default_window(services().settings.cab_lookback)
    before = services().requests.retry(failure, otherwise, asked_by("POST /api/pulls/.../retry"))
    if before is None:
        raise _unknown(failure)
    if before is not PullState.FAILED:
        raise Problem(HTTPStatus.CONFLICT, f"the pull of {failure} is {before}; only a Failed one can be tried again")
    return _accepted(failure)


@blueprint.route("cabs/{applicationId}/{cabIdHash}", methods=["POST"])
@answering()
def request_cab(req: func.HttpRequest) -> func.HttpResponse:
    """Let one cab be copied by itself; 202 and where to look."""
    from shared.api.cabs import CabAccepted, CabAsked, ask_for_cab
    from shared.api.requests import asked_in
    from shared.core.failure import checked_cab_id
    from shared.progress.cab_row import CabState
    from shared.services import services

    asked = asked_in(json_body(req), CabAsked)
    application_id, cab = req.route_params["applicationId"], checked_cab_id(req.route_params["cabIdHash"])
    wish = ask_for_cab(services(), application_id, cab, asked, asked_by("POST /api/cabs"))
    if wish.failure is None:
        raise Problem(
            HTTPStatus.NOT_FOUND,
            f"no row names cab {cab} of application {application_id}: say of which failure it is by a body such as "
            '{"failureHash": "..."}; the report that lists the cab tells it',
        )
    if wish.held:
        why = "was removed after RETENTION_DAYS" if wish.held is CabState.RETIRED else "is in the container already"
        raise Problem(HTTPStatus.CONFLICT, f"cab {cab} of {wish.failure} {why}")
    told = CabAccepted.of(wish.failure, cab)
    return accepted(told, told.location)


@blueprint.route("failures", methods=["GET", "HEAD"])
@answering(*_FILTERS, "sort", "limit", "continuation")
def list_failures(req: func.HttpRequest) -> func.HttpResponse:
    """Tell of the failures by name, and what is held of each, a page at a time."""
    from shared.api.failure_list import failures_seen, page_of
    from shared.api.failures import FailureBody, FailuresPage
    from shared.api.requests import CONTINUATION, LIMIT, SORT, Wanted

    wanted, sort = Wanted.parse(req.params), SORT.read(req.params)
    limit, continuation = LIMIT.read(req.params), CONTINUATION.read(req.params)
    found = [each for each in failures_seen().failures.values() if wanted.fits(each)]
    page, following = page_of(found, sort, limit, continuation)
    return answer(FailuresPage([FailureBody.of(each) for each in page], len(found), following))


@blueprint.route("trends", methods=["GET", "HEAD"])
@answering(*_FILTERS)
def show_trends(req: func.HttpRequest) -> func.HttpResponse:
    """Tell how many cabs there were on each day, and of which versions."""
    from shared.api.failure_list import failures_seen
    from shared.api.requests import Wanted
    from shared.api.trends import trends_of

    return answer(trends_of(failures_seen().failures.values(), Wanted.parse(req.params)))


@blueprint.route("failures/{applicationId}/{failureHash}", methods=["GET", "HEAD"])
@answering()
def show_failure(req: func.HttpRequest) -> func.HttpResponse:
    """Tell of one failure, and where its pull and its cabs are told of."""
    from shared.api.failure_list import failure_of
    from shared.api.failures import FailureBody
    from shared.services import services

    failure = _stored_failure(req)
    seen = failure_of(services(), failure)
    if seen is None:
        raise _unknown(failure)
    return answer(FailureBody.of(seen))


@blueprint.route("summary", methods=["GET", "HEAD"])
@answering()
def summary(req: func.HttpRequest) -> func.HttpResponse:  # noqa: ARG001 - the trigger binds it by name
    """Tell how all of it stands, in one cheap call."""
    import msgspec

    from shared.api.summary import summary_now

    told = summary_now()
    # The same numbers a moment later are the same answer.
    return answer(told, headers={"ETag": etag_of(msgspec.json.encode(msgspec.structs.replace(told, at="")))})


@blueprint.route("reports", methods=["GET", "HEAD"])
@answering("limit", "continuation")
def list_runs(req: func.HttpRequest) -> func.HttpResponse:
    """Tell which report runs were seen, a page at a time."""
    from shared.api.bodies import body_of
    from shared.api.checks import RunBody, RunsPage
    from shared.api.requests import PageAsked, continuation_text
    from shared.services import services

    asked = PageAsked.parse(req.params)
    rows, following = services().report_tools.reports.page(asked.limit, asked.after)
    return answer(RunsPage([body_of(RunBody, row) for row in rows], continuation_text(following)))


@blueprint.route("reports/check", methods=["POST"])
@answering()
def request_check(req: func.HttpRequest) -> func.HttpResponse:  # noqa: ARG001 - the trigger binds it by name
    """Let the reports be checked now; 202 and where to look."""
    from shared.api.checks import CheckAccepted
    from shared.services import services

    services().asked_checks.ask()
    return accepted(CheckAccepted(CHECK), CHECK)


@blueprint.route("reports/check", methods=["GET", "HEAD"])
@answering()
def show_check(req: func.HttpRequest) -> func.HttpResponse:  # noqa: ARG001 - the trigger binds it by name
    """Tell how the check stands that was last asked for, and what it did."""
    from shared.api.checks import CheckBody
    from shared.services import services

    last = services().asked_checks.last()
    if last is None:
        raise Problem(HTTPStatus.NOT_FOUND, f"nobody asked for a check of the reports yet: POST {CHECK}")
    return answer(CheckBody.of(last))


@blueprint.route("failures/check", methods=["POST"])
@answering()
def request_failure_check(req: func.HttpRequest) -> func.HttpResponse:  # noqa: ARG001 - the trigger binds it by name
    """Let the failures of applications be looked for now; 202 and where to look."""
    from shared.api.checks import CheckAccepted
    from shared.failures.asked_check import ask
    from shared.services import services

    ask(services().checks)
    return accepted(CheckAccepted(_FAILURE_CHECK), _FAILURE_CHECK)


@blueprint.route("failures/check", methods=["GET", "HEAD"])
@answering()
def show_failure_check(req: func.HttpRequest) -> func.HttpResponse:  # noqa: ARG001 - the trigger binds it by name
    """Tell how far the failures of each application were looked for."""
    from shared.api.bodies import body_of
    from shared.api.checks import ApplicationBody, FailureCheckBody
    from shared.services import services

    checks = services().failure_tools.failures.checks()
    return answer(FailureCheckBody([body_of(ApplicationBody, each) for each in checks]))


@blueprint.route("openapi.json", methods=["GET", "HEAD"])
@answering()
def show_openapi(req: func.HttpRequest) -> func.HttpResponse:  # noqa: ARG001 - the trigger binds it by name
    """Show the OpenAPI document of these calls."""
    from shared.api.openapi import openapi

    return answer(openapi())


@blueprint.route("health", methods=["GET", "HEAD"])
@answering()
def health(req: func.HttpRequest) -> func.HttpResponse:  # noqa: ARG001 - the trigger binds it by name
    """Tell that the app is alive, what keeps it from working, and which cabs are missing."""
    from shared.core.settings import Settings

    # First, since it needs no package: a missing setting is named even where nothing else can be imported.
    Settings.from_environment()
    from shared.api.state import HealthBody
    from shared.preflight.health import look

    return answer(HealthBody.of(look()))


def _stored_failure(req: func.HttpRequest) -> Failure:
    """Return the failure that a path names, in the spelling that its pull is stored under."""
    from shared.core.failure import Failure
    from shared.services import services

    named = Failure.spelled(req.route_params["applicationId"], req.route_params["failureHash"])
    return services().pulls.as_stored(named)


def _unknown(failure: Failure) -> Problem:
    return Problem(HTTPStatus.NOT_FOUND, f"nobody asked for a pull of {failure}")


def _accepted(*failures: Failure) -> func.HttpResponse:
    from shared.api.pulls import PullLocation, PullsAccepted

    pulls = [PullLocation.of(failure) for failure in failures]
    return accepted(PullsAccepted(pulls), pulls[0].location if len(pulls) == 1 else "/api/pulls")
