"""Tell what a person must hear of although the platform takes it for a success: a pull that was given up.

Each event is one line of the log with a fixed beginning. Only the text of a line is sure to arrive in Azure (the worker
forwards neither the record's name nor what was added to it), so that is what `infra/app/alerts.bicep` looks for.
"""

import logging

from shared.core.failure import Failure

_log = logging.getLogger(__name__)


def tell_pull_failed(failure: Failure, pull_id: str, kind: str, reason: str) -> None:
    """Tell that a pull has become Failed; once for each time, after its row says so.

    Args:
        failure: Whose pull.
        pull_id: What its other lines have; empty where it never ran.
        kind: What would help, as the row's `lastErrorKind`.
        reason: What happened, and what to do.
    """
    _log.error(
        "pullFailed: applicationId=%s failureHash=%s pull=%s kind=%s reason=%s",
        *(failure.application_id, failure.failure_hash, pull_id or "none", kind, reason),
    )


def tell_message_kept(reason: str) -> None:
    """Tell that a message was put aside, since no pull can be made of it.

    Args:
        reason: Why.
    """
    _log.error("messageKept: the table health has it: reason=%s", reason)
