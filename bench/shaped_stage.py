"""The shaped service as a stage: its processes, the app settings that lead to it, and the lower bound of a pull."""

import heapq
import secrets
from collections.abc import Mapping, Sequence
from contextlib import ExitStack
from types import TracebackType
from typing import Self

import msgspec
import requests

from bench.processes import Program
from bench.shaped.delays import Given, Shape
from bench.shaped.server import FORM, READY, Form, Ports
from bench.stage import CAB_ACCOUNT
from local.azurite.install import install
from local.azurite.server import Azurite, account_key
from local.paths import AZURITE

_SECONDS = 60


class ShapedStage:
    """The shaped service, and an Azurite for its queues, from entering the context to leaving it.

    Args:
        shape: How long answers take.
        size: Bytes of every cab.
    """

    def __init__(self, shape: Shape, size: int) -> None:
        self._form = msgspec.json.encode(Form(shape, size)).decode()
        self._open = ExitStack()

    def __enter__(self) -> Self:
        with ExitStack() as opening:
            azurite = opening.enter_context(Azurite(install(AZURITE, print), {CAB_ACCOUNT: account_key()}))
            service = opening.enter_context(Program("bench.shaped.server", READY, environment={FORM: self._form}))
            self._ports = msgspec.json.decode(service.ready_line.removeprefix(READY), type=Ports)
            self._open = opening.pop_all()
        self.settings = self._settings(azurite)
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._open.close()

    def given(self) -> Given:
        """Return the delays that were given since the last call."""
        answer = requests.get(self.delays_url, timeout=_SECONDS)
        return msgspec.json.decode(answer.content, type=Given)

    @property
    def delays_url(self) -> str:
        """Where the delays are told, and forgotten with that."""
        return f"{self._api}/delays"

    @property
    def _api(self) -> str:
        return f"http://127.0.0.1:{self._ports.api}"

    def _settings(self, azurite: Azurite) -> Mapping[str, str]:
        connection = dict(
            part.split("=", 1) for part in azurite.connection_string(CAB_ACCOUNT).split(";") if "=" in part
        )
        connection["BlobEndpoint"] = f"http://127.0.0.1:{self._ports.blob}/{CAB_ACCOUNT}"
        connection["TableEndpoint"] = f"http://127.0.0.1:{self._ports.table}/{CAB_ACCOUNT}"
        return {
            "CAB_STORAGE": ";".join(f"{name}={value}" for name, value in connection.items()),
            "DEVCENTER_BASE_URL": self._api,
            "DEVCENTER_ACCESS_TOKEN": secrets.token_urlsafe(),
            "CAB_SOURCE_HOSTS": "127.0.0.1",
        }


def lower_bound(given: Given, copies_in_flight: int, pages_in_flight: int, rows_a_page: int = 100) -> float:
    """Return the least time that a pull of one failure can take with the delays that it was given.

    Before the first copy there are the lease and the first page, which the reading of known cabs hides behind; after
    the last copy there are the read-back, the last rows and the end of the lease. In between, pages are asked for in
    their order, each as soon as fewer than `pages_in_flight` are on their way, and no cab is copied before its page is
    there. So, for whichever page one looks at, in the order in which they come:

        bound = lease + listing + last write + release
                + when it comes + the copies of it and of all that come after it / copies in flight

    What a pull writes for the pages before the last can hide behind copying, so it is not in the bound.

    Args:
        given: The delays of the one pull, in seconds.
        copies_in_flight: The limit on copies.
        pages_in_flight: The limit on pages.
        rows_a_page: Rows of a full page.
    """
    pages, copies, tables = given.delays["page"], given.delays["copy"], given.delays["table"]
    # One before the first page and two after the last copy: the first and the last two that the pull asked for.
    serial = tables[0] + sum(tables[-2:]) + sum(given.delays["list"])
    # Copies are asked for in the order in which their pages came.
    left = (
        came + _shared_among(copies_in_flight, copies[number * rows_a_page :])
        for number, came in enumerate(_arrivals(pages, pages_in_flight))
    )
    return serial + max(left)


def _arrivals(delays: Sequence[float], in_flight: int) -> list[float]:
    """Return when pages come at the earliest, the first first."""
    free, came = [0.0] * in_flight, list[float]()
    for delay in delays:
        came.append(heapq.heappop(free) + delay)
        heapq.heappush(free, came[-1])
    return sorted(came)


def _shared_among(in_flight: int, delays: Sequence[float]) -> float:
    """Return the least time for delays of which so many run at once."""
    return max(sum(delays) / in_flight, max(delays, default=0.0))
