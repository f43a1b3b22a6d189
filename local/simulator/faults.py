"""Make the simulator's calls fail on demand."""

import math
import time
from collections.abc import Mapping
from enum import StrEnum

import msgspec


class Call(StrEnum):
    """The calls that can be told apart."""

    SIGN_IN = "token"  # a token of Entra: only where a token endpoint runs beside the simulator
    REPORT = "report"  # the list of schedules, a new one, pausing and resuming one
    REPORT_TEMPLATE = "reporttemplate"
    REPORT_DATA = "reportdata"
    CAB_BATCH = "cabdownloadbatch"
    CAB_DOWNLOAD = "cabdownload"
    FAILURE_HITS = "failurehits"  # of desktop and Store applications
    FAILURE_DETAILS = "failuredetails"
    BLOB = "blob"  # a blob by the simulator's own address: a streamed cab, or a report file
    UNKNOWN = "unknown"  # a path that the API does not have


class FaultKind(StrEnum):
    """What goes wrong."""

    THROTTLED = "429"  # Retry-After in seconds
    THROTTLED_DATE = "429-date"  # Retry-After as an HTTP date
    THROTTLED_SENTENCE = "429-sentence"  # no header: only "Rate limit is exceeded. Try again in N seconds."
    THROTTLED_SILENT = "429-silent"  # neither: nobody says how long
    SERVER_ERROR = "500"
    UNAVAILABLE = "503"
    UNAVAILABLE_WAIT = "503-wait"  # with a Retry-After in seconds
    TIMED_OUT = "408"
    UNAUTHORIZED = "401"
    FORBIDDEN = "403"
    BAD_REQUEST = "400"
    NOT_FOUND = "404"
    CONFLICT = "409"
    PRECONDITION_FAILED = "412"
    HTML = "html"  # 200 with a page
    TRUNCATED = "truncated"  # the right answer, but half of it: JSON that ends early, or a connection that does
    WRONG_TYPE = "wrong-type"  # JSON, with a text where the rows should be
    SLOW = "slow"  # the right answer, late
    DRIP = "drip"  # the right answer, whose body comes in small pieces
    RESET = "reset"  # the connection is reset
    RESET_IN_BODY = "reset-in-body"  # the connection is reset in the middle of the right answer's body
    HANG = "hang"  # no answer for a while, and then a reset connection
    LOST = "lost"  # what was asked for is done, and the connection ends before its answer
    EXPIRED_SAS = "expired-sas"  # a batch whose URLs have expired already
    FOREIGN_HOST = "foreign-host"  # a cab's redirect that leads to another host


class Fault(msgspec.Struct, frozen=True, kw_only=True, rename="camel", forbid_unknown_fields=True):
    """One thing that goes wrong, some times.

    Args:
        call: For which call.
        kind: What goes wrong.
        times: How often; None means until it is removed.
        seconds: For how long; None means until then.
        retry_after: Seconds that a throttled answer names.
        delay: Seconds by which a slow answer is late, that a dripping one takes, or that a hanging one is waited for.
        match: Only for requests with these query parameters (`reportId` for reportdata and pausing, `account`,
            `container`, `blob` for a blob, and `tenant` for a token).
    """

    call: Call
    kind: FaultKind
    times: int | None = 1
    seconds: float | None = None
    retry_after: int = 1
    delay: float = 1.0
    match: dict[str, str] = {}


class FaultScript:
    """The faults to come, in order: the first that fits a request is taken."""

    def __init__(self) -> None:
        self._faults: list[tuple[Fault, float]] = []

    @property
    def waiting(self) -> tuple[Fault, ...]:
        """The faults that have not happened as often, and as long, as they shall."""
        now = time.monotonic()
        self._faults = [(fault, end) for fault, end in self._faults if now < end]
        return tuple(fault for fault, _ in self._faults)

    def add(self, fault: Fault) -> None:
        """Let something go wrong from now on.

        Args:
            fault: What, and how often.
        """
        self._faults.append((fault, math.inf if fault.seconds is None else time.monotonic() + fault.seconds))

    def clear(self) -> None:
        """Let nothing go wrong any more."""
        self._faults.clear()

    def take(self, call: Call, query: Mapping[str, str]) -> Fault | None:
        """Return what goes wrong with a request, and count it; None where it goes right.

        Args:
            call: What was called.
            query: The request's parameters.
        """
        for number, fault in enumerate(self.waiting):
            if fault.call is call and fault.match.items() <= query.items():
                if fault.times is not None:
                    left = msgspec.structs.replace(fault, times=fault.times - 1)
                    self._faults[number : number + 1] = [(left, self._faults[number][1])] if left.times else []
                return fault
        return None
