"""Tell of a trigger that fails, and let no exception tell a secret: the worker hands its text to the platform."""

import functools
import traceback
from collections.abc import Callable

from functions.invocations import traced
from shared.core.events import FUNCTION_FAILED
from shared.core.redaction import redact


def telling_no_secret[**P](trigger: Callable[P, None]) -> Callable[P, None]:
    """Wrap a trigger whose exceptions the platform logs, so that one that quotes a secret is replaced.

    Args:
        trigger: The function of a queue or timer trigger.
    """

    @traced
    @functools.wraps(trigger)
    def wrapped(*args: P.args, **options: P.kwargs) -> None:
        try:
            trigger(*args, **options)
        except Exception as error:
            FUNCTION_FAILED.tell(function=trigger.__name__, reason=f"{type(error).__name__}: {error}")
            whole = "".join(traceback.format_exception(error))
            if (shown := redact(whole)) == whole:
                raise
        else:
            return
        # Outside of the except block, or the exception would be the context of this one, and be printed with it.
        raise RuntimeError(shown)

    return wrapped
