"""Run probes side by side, each bounded in time: one that hangs costs its own answer and no other."""

from __future__ import annotations

import logging
import socket
import time
from concurrent.futures import Future, wait
from functools import partial
from typing import TYPE_CHECKING
from urllib.parse import urlsplit

from shared.core.errors import CabferryError, SettingsError
from shared.core.redaction import redact
from shared.core.threads import thread
from shared.core.values import Immutable

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

_log = logging.getLogger(__name__)


class Probe(Immutable, frozen=True):
    """A question to one part.

    Args:
        name: What the answer is known by.
        ask: Asks, and tells what was answered; raises `ProbeFailed` where that is not as it should be.
        asks: Whom it asks, for a person who looks for what stands between.
    """

    name: str
    ask: Callable[[], str]
    asks: str


class ProbeResult(Immutable, frozen=True):
    """What a probe found.

    Args:
        name: The probe's.
        answered: What was answered, without secrets.
        milliseconds: How long that took.
        what_to_do: What a person should do; None where all is well.
    """

    name: str
    answered: str
    milliseconds: int
    what_to_do: str | None

    @property
    def is_ok(self) -> bool:
        """Tell whether all is well."""
        return self.what_to_do is None


class ProbeFailed(CabferryError):
    """The answer is not as it should be.

    Args:
        answered: What was answered.
        what_to_do: What a person should do about it.
    """

    def __init__(self, answered: str, what_to_do: str) -> None:
        super().__init__(answered)
        self.what_to_do = redact(what_to_do)


def results(probes: Sequence[Probe], seconds: float) -> list[ProbeResult]:
    """Ask all probes at once, and return what each found, in their order.

    Args:
        probes: What to ask.
        seconds: How long to wait for all of them together.
    """
    asked = [(probe, Future[ProbeResult]()) for probe in probes]
    for probe, found in asked:
        # A daemon: one that hangs in a connection must not keep the process from ending.
        thread(partial(_answer, probe, found), probe.name, daemon=True).start()
    in_time = wait([found for _, found in asked], seconds).done
    return [found.result() if found in in_time else _hanging(probe, seconds) for probe, found in asked]


def unreachable(url: str, answered: str, setting: str) -> ProbeFailed:
    """Return what to do where nothing answers, by whether the name is known at all.

    Args:
        url: What was asked.
        answered: What was seen of it.
        setting: Which setting names it.
    """
    host, port = urlsplit(url).hostname or "", urlsplit(url).port
    try:
        socket.getaddrinfo(host, port)
    except OSError:
        return ProbeFailed(
            f"{answered}; the name {host} cannot be resolved",
            f"Check the host in {setting}, and the DNS of the app's network.",
        )
    return ProbeFailed(
        f"{answered}; the name {host} resolves",
        f"Check {setting}, and what stands between the app and {host}: a firewall, a proxy, a private endpoint. "
        "Nothing listens there, or it is cut off.",
    )


def _answer(probe: Probe, found: Future[ProbeResult]) -> None:
    found.set_result(_asked(probe))


def _asked(probe: Probe) -> ProbeResult:
    start, what_to_do = time.monotonic(), None
    try:
        answered = redact(probe.ask())
    except ProbeFailed as failed:
        answered, what_to_do = str(failed), failed.what_to_do
    except SettingsError as error:
        answered, what_to_do = str(error), "Set what is named; docs/operate.md lists every setting."
    except CabferryError as error:
        answered, what_to_do = str(error), "Do what it says, and ask again."
    except Exception as error:  # noqa: BLE001 - it is logged whole, and told as what the probe found
        _log.exception("the probe %s failed in a way that nobody foresaw", probe.name)
        answered, what_to_do = (
            f"an unexpected error ({type(error).__name__})",
            "Look into the app's log: it has it whole.",
        )
    return ProbeResult(probe.name, answered, round((time.monotonic() - start) * 1_000), what_to_do)


def _hanging(probe: Probe, seconds: float) -> ProbeResult:
    return ProbeResult(
        probe.name,
        f"no answer within {seconds:.0f} seconds",
        round(seconds * 1_000),
        f"Find out why {probe.asks} does not answer the app: a firewall that drops packets, a proxy, or an outage.",
    )
