"""The plan: what the next run would take, under the rules that hold or under others."""

import azure.functions as func

from functions.http_answers import answer, answering, json_body

blueprint = func.Blueprint(http_auth_level=func.AuthLevel.FUNCTION)


@blueprint.route("plan", methods=["GET", "HEAD"])
@answering()
def show_plan(req: func.HttpRequest) -> func.HttpResponse:  # noqa: ARG001 - the trigger binds it by name
    """Tell what the next run would take."""
    from shared.api.plan import plan_now

    return answer(plan_now())


@blueprint.route("plan", methods=["POST"])
@answering()
def try_plan(req: func.HttpRequest) -> func.HttpResponse:
    """Tell what the next run would take under other rules; nothing is changed."""
    from shared.api.plan import PlanAsked, plan_now
    from shared.api.requests import asked_in

    return answer(plan_now(asked_in(json_body(req), PlanAsked).keep))
