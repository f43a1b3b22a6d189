"""The queue of pulls, its poison queue, and the queue of checks that somebody asked for."""

import azure.functions as func

from functions.exception_guard import telling_no_secret
from functions.kept_messages import keep, parts_or_keep
from shared.core import stopping
from shared.core.settings_table import binding_expression

blueprint = func.Blueprint()
# Signals can be listened for in the main thread only, which is where the worker imports its functions.
stopping.listen()
_QUEUE = binding_expression("CAB_QUEUE")


@blueprint.queue_trigger("message", _QUEUE, "CAB_STORAGE")
@telling_no_secret
def pull_failure(message: func.QueueMessage) -> None:
    """Pull the one failure that a message names, or copy the one cab."""
    from shared.core.errors import BadInput
    from shared.progress.messages import PullMessage, unwrapped
    from shared.pull.one_cab import copy_cab
    from shared.pull.one_failure import pull_failure

    if (parts := parts_or_keep(message)) is None:
        return
    try:
        asked = PullMessage.decode(unwrapped(message.get_body()), message.dequeue_count or 1)
    except BadInput:
        # No further try makes a message of it.
        parts.poison_messages.settle(message.get_body())
    else:
        (copy_cab if asked.cab else pull_failure)(parts.pull_tools, asked)


@blueprint.queue_trigger("message", f"{_QUEUE}-poison", "CAB_STORAGE")
@telling_no_secret
def abandon_pull(message: func.QueueMessage) -> None:
    """Send a pull that moved back to the queue, or set it to Failed with the last error; keep what names none."""
    if (parts := parts_or_keep(message, "-poison")) is None:
        return
    try:
        parts.poison_messages.settle(message.get_body())
    except Exception as error:  # noqa: BLE001 - a message that no host takes from here any more would be lost
        keep(message, "-poison", error)


@blueprint.queue_trigger("message", f"{_QUEUE}-checks", "CAB_STORAGE")
@telling_no_secret
def run_check(message: func.QueueMessage) -> None:
    """Make the check that somebody asked for; `GET` of the address that asked tells what was found."""
    from shared.failures.asked_check import asked_for_failures, run

    if (parts := parts_or_keep(message, "-checks")) is None:
        return
    if (asked_at := asked_for_failures(message.get_body())) is not None:
        run(parts.failure_tools, asked_at, parts.checks)
    else:
        parts.asked_checks.run(parts.report_tools, message.get_body())
