"""Let what the app tells of itself belong to the invocation that the host has begun, and be on its way at its end."""

import functools
import inspect
from collections.abc import Callable
from typing import Any

from shared.core import telemetry

_CONTEXT = inspect.Parameter("context", inspect.Parameter.KEYWORD_ONLY)


def traced[**P, T](trigger: Callable[P, T]) -> Callable[P, T]:
    """Wrap a trigger so that it is given the host's context, which the worker binds by its name.

    Args:
        trigger: A function of any trigger; it needs no such parameter itself.
    """

    @functools.wraps(trigger)
    def wrapped(*args: Any, context: Any = None, **options: Any) -> T:
        parent = context.trace_context.trace_parent if context else ""
        with telemetry.invocation(parent or ""):
            return trigger(*args, **options)

    known = inspect.signature(trigger)
    vars(wrapped)["__signature__"] = known.replace(parameters=[*known.parameters.values(), _CONTEXT])
    return wrapped
