"""What the app tells Azure Monitor of itself: events, metrics and spans, all joined by the trace that they belong to.

Where APPLICATIONINSIGHTS_CONNECTION_STRING is set, shared/core/azure_monitor.py brings them there; it is imported when
the first of them is told, which no cold start waits for. Elsewhere the log alone tells of them. The log's lines go to
Azure by the host, which joins them by the same trace.
"""

from __future__ import annotations

import logging
import os
import threading
from contextlib import contextmanager
from contextvars import ContextVar
from functools import cache, lru_cache
from typing import TYPE_CHECKING

from shared.core.redaction import one_line, redact
from shared.core.threads import thread

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

    from shared.core.azure_monitor import AzureMonitor
    from shared.core.metrics import Metric

_log = logging.getLogger(__name__)
# How long an invocation waits until what it told is on its way; the rest follows when it can.
_FLUSH_SECONDS = 2.0
# The header of https://www.w3.org/TR/trace-context, as it stands; empty where nobody traces.
_TRACEPARENT: ContextVar[str] = ContextVar("traceparent", default="")


class _Invocations:
    """How many there are in this process, and whether they told anything that may still be here."""

    def __init__(self) -> None:
        self.lock, self.flushing = threading.Lock(), threading.Lock()
        self.running, self.has_told = 0, False


_invocations = _Invocations()


def traceparent() -> str:
    """Return what the current work belongs to, for a message or a request that goes on with it."""
    return _TRACEPARENT.get()


def tell(name: str, level: int, attributes: Mapping[str, str]) -> None:
    """Bring an event to Azure Monitor."""
    if monitor := _monitor():
        monitor.tell(name, level, attributes, traceparent())


def record(metric: Metric, value: float, attributes: Mapping[str, str]) -> None:
    """Bring a value of a metric to Azure Monitor."""
    if monitor := _monitor():
        monitor.record(metric, value, _all_shown(attributes))


@contextmanager
def span(name: str, attributes: Mapping[str, str], caused_by: str = "") -> Iterator[None]:
    """Trace a piece of work.

    Args:
        name: What it is.
        attributes: What is told of it.
        caused_by: The `traceparent` of what asked for it; empty where nobody knows.
    """
    monitor = _monitor()
    if monitor is None:
        yield
        return
    with monitor.span(name, _all_shown(attributes), traceparent(), caused_by) as its_own:
        token = _TRACEPARENT.set(its_own)
        try:
            yield
        finally:
            _TRACEPARENT.reset(token)


@contextmanager
def invocation(parent: str) -> Iterator[None]:
    """Let what is told belong to an invocation, and bring it away at its end, if no other is running.

    An instance that has nothing to do may stop at any moment. While others run, what was told goes with theirs, or
    within a minute.

    Args:
        parent: The `traceparent` that the host gave it. Where that is empty, it begins a trace of its own.
    """
    token = _TRACEPARENT.set(parent or f"00-{os.urandom(16).hex()}-{os.urandom(8).hex()}-01")
    with _invocations.lock:
        _invocations.running += 1
    try:
        yield
    finally:
        _TRACEPARENT.reset(token)
        with _invocations.lock:
            _invocations.running -= 1
            must_flush = _invocations.has_told and not _invocations.running
        if must_flush:
            _flush()


def _all_shown(attributes: Mapping[str, str]) -> dict[str, str]:
    return {name: _shown(value) for name, value in attributes.items()}


@lru_cache(1_000)  # Each copy has the same few, and a look for secrets takes as long as all else.
def _shown(value: str) -> str:
    return one_line(redact(value))


def _flush() -> None:
    """Bring away what was told, for two seconds at most; what does not answer holds up nothing."""
    if not _invocations.flushing.acquire(blocking=False):
        return  # Another invocation does.
    _invocations.has_told = False

    def flush() -> None:
        try:
            if monitor := made():
                monitor.flush()
        finally:
            _invocations.flushing.release()

    flushing = thread(flush, "telemetry", daemon=True)
    flushing.start()
    flushing.join(_FLUSH_SECONDS)


def _monitor() -> AzureMonitor | None:
    if not os.environ.get("APPLICATIONINSIGHTS_CONNECTION_STRING"):
        return None
    _invocations.has_told = True
    with _invocations.lock:
        return made()


@cache
def made() -> AzureMonitor | None:
    """Return what brings it there; None where that cannot be made, which is told, and stops no work."""
    try:
        from shared.core.azure_monitor import AzureMonitor

        return AzureMonitor(os.environ["APPLICATIONINSIGHTS_CONNECTION_STRING"])
    except Exception:  # noqa: BLE001 - see above
        _log.exception("events and metrics do not reach Azure Monitor, and its alerts stay silent")
        return None
