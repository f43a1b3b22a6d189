"""The HTTP API: ask for pulls, look at them, check the reports now, and tell whether the app is alive."""

from http import HTTPStatus

import azure.functions as func

from functions.http_answers import answer, answering, not_found

blueprint = func.Blueprint(http_auth_level=func.AuthLevel.FUNCTION)


@blueprint.route("pulls", methods=["POST"])
@answering
def request_pull(req: func.HttpRequest) -> func.HttpResponse:
    """Queue the pulls that the body asks for; 202 and where to look."""
    from shared.api_models import PullRequest
    from shared.pull import default_window
    from shared.services import services

    asked = PullRequest.decode(req.get_body())
    window = asked.window or default_window(services().settings.cab_lookback)
    services().requests.make(asked.failures, window, "POST /api/pulls")
    pulls = [
        {
            "applicationId": each.application_id,
            "failureHash": each.failure_hash,
            "location": f"/api/pulls/{each.application_id}/{each.failure_hash}",
        }
        for each in asked.failures
    ]
    location = pulls[0]["location"] if len(pulls) == 1 else "/api/pulls"
    return answer({"pulls": pulls}, HTTPStatus.ACCEPTED, {"Location": location, "Retry-After": "5"})


@blueprint.route("pulls/{applicationId}/{failureHash}", methods=["GET"])
@answering
def show_pull(req: func.HttpRequest) -> func.HttpResponse:
    """Tell how one pull stands."""
    from shared.api_models import pull_body
    from shared.failure import Failure
    from shared.services import services

    failure = Failure(req.route_params["applicationId"], req.route_params["failureHash"])
    row = services().pulls.get(failure)
    return answer(pull_body(row)) if row else not_found(f"nobody asked for a pull of {failure}")


@blueprint.route("pulls", methods=["GET"])
@answering
def list_pulls(req: func.HttpRequest) -> func.HttpResponse:
    """Tell how the pulls stand, a page at a time."""
    from shared.api_models import PullsQuery, continuation_text, pull_body
    from shared.services import services

    query = PullsQuery.parse(req.params)
    rows, following = services().pulls.page(query.state, query.limit, query.after)
    return answer({"pulls": [pull_body(row) for row in rows], "continuation": continuation_text(following)})


@blueprint.route("reports/check", methods=["POST"])
@answering
def request_check(req: func.HttpRequest) -> func.HttpResponse:  # noqa: ARG001 - the trigger binds it by name
    """Check the reports now, and tell what was found."""
    from shared.api_models import run_body
    from shared.report_check import check_reports
    from shared.services import services

    return answer({"runs": [run_body(outcome) for outcome in check_reports(services().report_tools)]})


@blueprint.route("health", methods=["GET"])
@answering
def health(req: func.HttpRequest) -> func.HttpResponse:  # noqa: ARG001 - the trigger binds it by name
    """Tell that the app is alive and its settings are complete; a missing one is named."""
    from shared.settings import Settings

    Settings.from_environment()
    return answer({"status": "ok"})
