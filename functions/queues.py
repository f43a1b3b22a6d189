"""The queue of pulls, and its poison queue."""

import azure.functions as func

from functions.exception_guard import telling_no_secret
from shared.core import stopping
from shared.core.settings import binding_expression

blueprint = func.Blueprint()
# Signals can be listened for in the main thread only, which is where the worker imports its functions.
stopping.listen()
_QUEUE = binding_expression("CAB_QUEUE")


@blueprint.queue_trigger("message", _QUEUE, "CAB_STORAGE")
@telling_no_secret
def pull_failure(message: func.QueueMessage) -> None:
    """Pull the one failure that a message names."""
    from shared.progress.messages import PullMessage
    from shared.pull.run import pull_failure
    from shared.services import services

    pull_failure(services().pull_tools, PullMessage.decode(message.get_body(), message.dequeue_count or 1))


@blueprint.queue_trigger("message", f"{_QUEUE}-poison", "CAB_STORAGE")
@telling_no_secret
def abandon_pull(message: func.QueueMessage) -> None:
    """Set the pull of a message that failed too often to Failed, with the last error; keep one that names none."""
    from shared.reconcile.poison import abandon
    from shared.services import services

    parts = services()
    abandon(parts.pulls, parts.health, parts.poison, message.get_body())
