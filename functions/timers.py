"""The timers: check the reports, look for failures of applications, and put right what is stuck or missing."""

import azure.functions as func

from functions.exception_guard import telling_no_secret
from shared.core.settings_table import binding_expression

blueprint = func.Blueprint()


@blueprint.timer_trigger("timer", binding_expression("REPORT_POLL_SCHEDULE"), run_on_startup=False, use_monitor=True)
@telling_no_secret
def check_reports(timer: func.TimerRequest) -> None:  # noqa: ARG001 - the trigger binds it by name
    """Check the status of every report and queue what finished runs name.

    Fails where a run could not be read, so that the monitoring of the platform sees it; what was queued stays queued.
    """
    from shared.core.errors import AgainLater
    from shared.reports.check import check_reports
    from shared.services import services

    outcomes = check_reports(services().report_tools)
    unread = [each for each in outcomes if each.is_unread]
    if unread:
        raise AgainLater(
            f"{len(unread)} of {len(outcomes)} report runs could not be read; the first: run "
            f"{unread[0].report_datetime} of report {unread[0].report_id}: {unread[0].error}"
        )


@blueprint.timer_trigger("timer", binding_expression("FAILURE_POLL_SCHEDULE"), run_on_startup=False, use_monitor=True)
@telling_no_secret
def check_failures(timer: func.TimerRequest) -> None:  # noqa: ARG001 - the trigger binds it by name
    """Look for failures of the configured applications and queue what happened since the last look.

    Fails where an application could not be checked, so that the monitoring of the platform sees it.
    """
    from shared.failures.check import check_failures, raise_if_failed
    from shared.services import services

    raise_if_failed(check_failures(services().failure_tools))


@blueprint.timer_trigger("timer", binding_expression("RECONCILE_SCHEDULE"), run_on_startup=False, use_monitor=True)
@telling_no_secret
def reconcile(timer: func.TimerRequest) -> None:  # noqa: ARG001 - the trigger binds it by name
    """Find what is stuck or missing and put it right.

    Fails where a failure could not be looked after, so that the monitoring of the platform sees it.
    """
    from shared.reconcile.run import raise_if_broken, reconcile
    from shared.services import services

    raise_if_broken(reconcile(services().reconcile_tools))
