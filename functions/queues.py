"""The queue of pulls, and its poison queue."""

import logging

import azure.functions as func

from shared.settings import binding_expression

blueprint = func.Blueprint()
_log = logging.getLogger(__name__)
_QUEUE = binding_expression("CAB_QUEUE")


@blueprint.queue_trigger("message", _QUEUE, "CAB_STORAGE")
def pull_failure(message: func.QueueMessage) -> None:
    """Pull the one failure that a message names."""
    from shared.pull import pull_failure
    from shared.pull_message import PullMessage
    from shared.services import services

    pull_failure(services().pull_tools, PullMessage.decode(message.get_body()))


@blueprint.queue_trigger("message", f"{_QUEUE}-poison", "CAB_STORAGE")
def abandon_pull(message: func.QueueMessage) -> None:
    """Set the pull of a message that failed too often to Failed, with the last error."""
    from shared.pull_message import failure_named_in
    from shared.redaction import excerpt
    from shared.services import services

    body = message.get_body()
    seen = excerpt(body.decode("utf-8", "replace"))
    failure = failure_named_in(body)
    if failure is None:
        _log.error("a message of the poison queue names no failure and is dropped: %s", seen)
        return
    services().pulls.fail(failure, f"its message failed too often: {seen}")
    _log.error("%s: its message failed too often; its row tells why", failure)
