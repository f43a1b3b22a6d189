"""The HTTP API of what the Dev Center makes: report templates and schedules."""

from __future__ import annotations

import logging
from http import HTTPStatus

import azure.functions as func

from functions.callers import asked_by
from functions.http_answers import accepted, answer, answering, json_body
from functions.http_api import CHECK

_log = logging.getLogger(__name__)
blueprint = func.Blueprint(http_auth_level=func.AuthLevel.FUNCTION)


@blueprint.route("reports/templates", methods=["GET", "HEAD"])
@answering()
def list_templates(req: func.HttpRequest) -> func.HttpResponse:  # noqa: ARG001 - the trigger binds it by name
    """Tell which report templates the account has."""
    from shared.api.schedules import TemplatesBody
    from shared.services import services

    return answer(TemplatesBody.of(services().report_tools.devcenter.templates()))


@blueprint.route("reports/templates", methods=["POST"])
@answering()
def make_template(req: func.HttpRequest) -> func.HttpResponse:
    """Make a template with the columns that the app needs."""
    from shared.api.requests import asked_in
    from shared.api.schedules import TemplateAsked, TemplateMade
    from shared.reports.scheduling import make_template
    from shared.services import services

    asked = asked_in(json_body(req), TemplateAsked)
    made = make_template(services().report_tools.devcenter, asked.report_period or "")
    _log.info("report template %s was made: %s", made, asked_by("POST /api/reports/templates"))
    return answer(TemplateMade(made), HTTPStatus.CREATED)


@blueprint.route("reports/schedules", methods=["GET", "HEAD"])
@answering()
def list_schedules(req: func.HttpRequest) -> func.HttpResponse:  # noqa: ARG001 - the trigger binds it by name
    """Tell which report schedules the account has, and where each stands."""
    from shared.api.schedules import SchedulesBody
    from shared.services import services

    listed = services().report_tools.devcenter.schedules()
    return answer(SchedulesBody.of(listed, services().health.schedules()))


@blueprint.route("reports/schedules", methods=["POST"])
@answering()
def make_schedule(req: func.HttpRequest) -> func.HttpResponse:
    """Let a report be made again and again."""
    from shared.api.requests import asked_in
    from shared.api.schedules import ScheduleAsked, ScheduleMade
    from shared.reports.scheduling import make_schedule
    from shared.services import services

    asked = asked_in(json_body(req), ScheduleAsked)
    made = make_schedule(services().report_tools.devcenter, asked.schedule, asked.template_id or "")
    _log.info("report %s of template %s was scheduled: %s", *made, asked_by("POST /api/reports/schedules"))
    return answer(ScheduleMade(*made), HTTPStatus.CREATED)


@blueprint.route("reports/schedules/{reportId}/pause", methods=["POST"])
@answering()
def pause_schedule(req: func.HttpRequest) -> func.HttpResponse:
    """Let a schedule make no runs until it is resumed."""
    return _set(req, is_active=False)


@blueprint.route("reports/schedules/{reportId}/resume", methods=["POST"])
@answering()
def resume_schedule(req: func.HttpRequest) -> func.HttpResponse:
    """Let a paused schedule go on."""
    return _set(req, is_active=True)


@blueprint.route("reports/callback", methods=["POST"])
@answering("*")
def report_ready(req: func.HttpRequest) -> func.HttpResponse:  # noqa: ARG001 - nothing of it is looked at
    """Look for new runs, since the Dev Center says that there is one: whatever comes means no more than that."""
    from shared.api.checks import CheckAccepted
    from shared.services import services

    services().asked_checks.call_back()
    return accepted(CheckAccepted(CHECK), CHECK)


def _set(req: func.HttpRequest, *, is_active: bool) -> func.HttpResponse:
    from shared.api.schedules import ScheduleSet
    from shared.core.errors import BadInput
    from shared.core.ids import REPORT_ID
    from shared.core.redaction import excerpt
    from shared.services import services

    report_id = req.route_params["reportId"]
    if not REPORT_ID.fullmatch(report_id):
        raise BadInput(f"reportId is {excerpt(report_id, 40)!r}, which is not one")
    services().report_tools.devcenter.set_active(report_id, is_active=is_active)
    call = f"POST /api/reports/schedules/.../{'resume' if is_active else 'pause'}"
    _log.info("report %s was %s: %s", report_id, "resumed" if is_active else "paused", asked_by(call))
    return answer(ScheduleSet(report_id, is_active))
