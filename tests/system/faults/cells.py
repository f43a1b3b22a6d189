"""The fault matrix: each fault, on each kind of call, once and for good, and what must become of it."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from enum import StrEnum

from local.simulator.faults import FaultKind


class Call(StrEnum):
    """The kinds of calls, as the table names them."""

    TOKEN = "token"
    REPORT_DATA = "reportdata"
    REPORT_FILE = "report file"
    CAB_BATCH = "cabdownloadbatch"
    COPY = "copy of a cab"
    READ_BACK = "listing of the container"
    ASKED = "pull row, when asked for"
    LEASE = "pull row, at the start"
    CAB_ROWS = "cab rows"
    END = "pull row, at the end"
    MESSAGE = "message of a new pull"
    NEXT_MESSAGE = "message of the next try"


REPORT_CALLS = (Call.REPORT_DATA, Call.REPORT_FILE)
PULL_CALLS = (
    *(Call.CAB_BATCH, Call.COPY, Call.READ_BACK, Call.ASKED, Call.LEASE, Call.CAB_ROWS, Call.END),
    *(Call.MESSAGE, Call.NEXT_MESSAGE),
)


class Fault(StrEnum):
    """The faults, as the table names them."""

    REFUSED = "connection refused"
    RESET = "connection reset"
    RESET_IN_BODY = "reset in mid-body"
    NO_ANSWER = "no answer, then a reset"
    TRUNCATED = "truncated body"
    S400 = "400"
    S401 = "401"
    S403 = "403"
    S404 = "404"
    S408 = "408"
    S409 = "409"
    S412 = "412"
    THROTTLED = "429 with Retry-After"
    THROTTLED_SILENT = "429 without"
    S500 = "500"
    S503 = "503 with Retry-After"
    LOST = "done, but the answer is lost"
    HTML = "200 with an HTML page"
    DRIP = "slow drip"


KINDS: Mapping[Fault, FaultKind] = {
    Fault.RESET: FaultKind.RESET,
    Fault.RESET_IN_BODY: FaultKind.RESET_IN_BODY,
    Fault.NO_ANSWER: FaultKind.HANG,
    Fault.TRUNCATED: FaultKind.TRUNCATED,
    Fault.S400: FaultKind.BAD_REQUEST,
    Fault.S401: FaultKind.UNAUTHORIZED,
    Fault.S403: FaultKind.FORBIDDEN,
    Fault.S404: FaultKind.NOT_FOUND,
    Fault.S408: FaultKind.TIMED_OUT,
    Fault.S409: FaultKind.CONFLICT,
    Fault.S412: FaultKind.PRECONDITION_FAILED,
    Fault.THROTTLED: FaultKind.THROTTLED,
    Fault.THROTTLED_SILENT: FaultKind.THROTTLED_SILENT,
    Fault.S500: FaultKind.SERVER_ERROR,
    Fault.S503: FaultKind.UNAVAILABLE_WAIT,
    Fault.LOST: FaultKind.LOST,
    Fault.HTML: FaultKind.HTML,
    Fault.DRIP: FaultKind.DRIP,
}


class Outcome(StrEnum):
    """What becomes of a pull or a report while the fault is there; afterwards everything is complete, in every cell."""

    COMPLETE = "complete"
    LATER = "complete, later"
    FAILED = "Failed"
    CAB_FAILED = "cab failed"
    REFUSED = "refused"
    WAITS = "waits"
    TOLD = "told"


@dataclass(frozen=True, slots=True)
class Cell:
    """One cell: a fault on a call, once or for good."""

    call: Call
    fault: Fault
    lasts: bool

    def __str__(self) -> str:
        return f"{self.call}: {self.fault}, {'for good' if self.lasts else 'once'}"


# Shorthands for what is the same to most calls. Who is asked to wait does so, for hours before that counts as a try.
_BROKEN = (Fault.RESET, Fault.NO_ANSWER, Fault.LOST)
ASK_FOR_TIME = (Fault.THROTTLED, Fault.S503)
_SILENT = (Fault.S408, Fault.THROTTLED_SILENT, Fault.S500)
_BUSY = (*_SILENT, *ASK_FOR_TIME)

type Outcomes = tuple[Outcome, Outcome]  # once, and for good

# A cell that is not here cannot be: its answers have no body, or its port is shut for an earlier call already.
EXPECTED: Mapping[Call, Mapping[Outcomes, Sequence[Fault]]] = {
    Call.TOKEN: {
        (Outcome.COMPLETE, Outcome.FAILED): (*_BROKEN, Fault.RESET_IN_BODY, *_BUSY),
        (Outcome.LATER, Outcome.FAILED): (
            Fault.REFUSED,
            Fault.TRUNCATED,
            Fault.S404,
            Fault.S409,
            Fault.S412,
            Fault.HTML,
        ),
        (Outcome.FAILED, Outcome.FAILED): (Fault.S400, Fault.S401, Fault.S403),
        (Outcome.COMPLETE, Outcome.COMPLETE): (Fault.DRIP,),
    },
    Call.REPORT_DATA: {
        (Outcome.COMPLETE, Outcome.TOLD): (*_BROKEN, Fault.RESET_IN_BODY),
        (Outcome.TOLD, Outcome.TOLD): (
            *(Fault.REFUSED, Fault.TRUNCATED, Fault.S400, Fault.S404, Fault.S408, Fault.S409, Fault.S412),
            *(Fault.THROTTLED_SILENT, Fault.S500, Fault.HTML),
        ),
        (Outcome.LATER, Outcome.WAITS): ASK_FOR_TIME,
        (Outcome.REFUSED, Outcome.REFUSED): (Fault.S401, Fault.S403),
        (Outcome.COMPLETE, Outcome.COMPLETE): (Fault.DRIP,),
    },
    Call.REPORT_FILE: {
        (Outcome.COMPLETE, Outcome.TOLD): (
            *(*_BROKEN, Fault.RESET_IN_BODY, Fault.TRUNCATED),
            *(Fault.S401, Fault.S403, Fault.S404),
        ),
        (Outcome.TOLD, Outcome.TOLD): (Fault.REFUSED, Fault.S400, Fault.S409, Fault.S412, *_BUSY, Fault.HTML),
        (Outcome.COMPLETE, Outcome.COMPLETE): (Fault.DRIP,),
    },
    Call.CAB_BATCH: {
        (Outcome.COMPLETE, Outcome.FAILED): (*_BROKEN, Fault.RESET_IN_BODY),
        (Outcome.LATER, Outcome.FAILED): (Fault.REFUSED, *_SILENT, Fault.TRUNCATED, Fault.S409, Fault.S412, Fault.HTML),
        (Outcome.LATER, Outcome.WAITS): ASK_FOR_TIME,
        (Outcome.FAILED, Outcome.FAILED): (Fault.S400, Fault.S401, Fault.S403, Fault.S404),
        (Outcome.COMPLETE, Outcome.COMPLETE): (Fault.DRIP,),
    },
    Call.COPY: {
        (Outcome.COMPLETE, Outcome.FAILED): (Fault.RESET, Fault.NO_ANSWER, *_SILENT),
        # The end of the run finds the blob that the lost answer told of.
        (Outcome.COMPLETE, Outcome.LATER): (Fault.LOST,),
        (Outcome.COMPLETE, Outcome.WAITS): ASK_FOR_TIME,
        (Outcome.LATER, Outcome.FAILED): (Fault.REFUSED, Fault.S409, Fault.S412, Fault.HTML),
        (Outcome.CAB_FAILED, Outcome.CAB_FAILED): (Fault.S400,),
        (Outcome.FAILED, Outcome.FAILED): (Fault.S401, Fault.S403, Fault.S404),
        (Outcome.COMPLETE, Outcome.COMPLETE): (Fault.DRIP,),
    },
    Call.READ_BACK: {
        (Outcome.COMPLETE, Outcome.FAILED): (*_BROKEN, Fault.RESET_IN_BODY, Fault.TRUNCATED, *_SILENT),
        (Outcome.COMPLETE, Outcome.WAITS): ASK_FOR_TIME,
        (Outcome.LATER, Outcome.FAILED): (Fault.HTML,),
        (Outcome.FAILED, Outcome.FAILED): (*(Fault.S400, Fault.S401, Fault.S403, Fault.S404, Fault.S409, Fault.S412),),
        (Outcome.COMPLETE, Outcome.COMPLETE): (Fault.DRIP,),
    },
    Call.ASKED: {
        (Outcome.COMPLETE, Outcome.REFUSED): (
            *(*_BROKEN, Fault.RESET_IN_BODY, Fault.TRUNCATED, *_BUSY, Fault.S409, Fault.S412),
        ),
        (Outcome.REFUSED, Outcome.REFUSED): (Fault.REFUSED, Fault.S400, Fault.S401, Fault.S403, Fault.S404, Fault.HTML),
        (Outcome.COMPLETE, Outcome.COMPLETE): (Fault.DRIP,),
    },
    Call.LEASE: {
        (Outcome.COMPLETE, Outcome.WAITS): (*(Fault.RESET, Fault.NO_ANSWER, *_BUSY, Fault.S412, Fault.HTML),),
        (Outcome.WAITS, Outcome.WAITS): (Fault.REFUSED, Fault.S400, Fault.S401, Fault.S403, Fault.S404, Fault.S409),
        (Outcome.COMPLETE, Outcome.COMPLETE): (Fault.LOST, Fault.DRIP),
    },
    Call.CAB_ROWS: {
        (Outcome.COMPLETE, Outcome.FAILED): (Fault.RESET, Fault.NO_ANSWER, *_SILENT),
        (Outcome.COMPLETE, Outcome.WAITS): ASK_FOR_TIME,
        (Outcome.COMPLETE, Outcome.LATER): (Fault.LOST, Fault.RESET_IN_BODY, Fault.TRUNCATED),
        (Outcome.LATER, Outcome.FAILED): (Fault.HTML,),
        (Outcome.FAILED, Outcome.FAILED): (*(Fault.S400, Fault.S401, Fault.S403, Fault.S404, Fault.S409, Fault.S412),),
        (Outcome.COMPLETE, Outcome.COMPLETE): (Fault.DRIP,),
    },
    Call.END: {
        (Outcome.COMPLETE, Outcome.FAILED): (Fault.RESET, Fault.NO_ANSWER, *_SILENT, Fault.S412),
        (Outcome.COMPLETE, Outcome.WAITS): ASK_FOR_TIME,
        (Outcome.LATER, Outcome.FAILED): (Fault.HTML,),
        (Outcome.FAILED, Outcome.FAILED): (Fault.S400, Fault.S401, Fault.S403, Fault.S404, Fault.S409),
        (Outcome.COMPLETE, Outcome.COMPLETE): (Fault.LOST, Fault.DRIP),
    },
    Call.MESSAGE: {
        (Outcome.COMPLETE, Outcome.REFUSED): (
            *(*_BROKEN, Fault.RESET_IN_BODY, Fault.TRUNCATED, Fault.S408, Fault.S500, Fault.S503),
        ),
        (Outcome.REFUSED, Outcome.REFUSED): (
            *(Fault.REFUSED, Fault.S400, Fault.S401, Fault.S403, Fault.S404, Fault.S409, Fault.S412),
            *(Fault.THROTTLED, Fault.THROTTLED_SILENT, Fault.HTML),
        ),
        (Outcome.COMPLETE, Outcome.COMPLETE): (Fault.DRIP,),
    },
    # The function fails where it cannot send, so that the message at hand comes back and serves as the next one.
    Call.NEXT_MESSAGE: {
        (Outcome.LATER, Outcome.LATER): tuple(fault for fault in Fault if fault is not Fault.REFUSED),
    },
}

_OF_DEV_CENTER = {Call.REPORT_DATA, Call.REPORT_FILE, Call.CAB_BATCH}
_IN_A_CONNECTION = {*_BROKEN, Fault.RESET_IN_BODY, Fault.TRUNCATED}
# What the reason must tell, where it is not the status, nor that the connection is at fault.
_SAYS: Mapping[tuple[Call, Fault], str] = {
    (Call.REPORT_DATA, Fault.TRUNCATED): "truncated",
    (Call.REPORT_DATA, Fault.HTML): "markup",
    (Call.CAB_BATCH, Fault.TRUNCATED): "truncated",
    (Call.CAB_BATCH, Fault.HTML): "markup",
    (Call.REPORT_FILE, Fault.HTML): "a page came in its place",
    (Call.COPY, Fault.S409): "was there, and is not any more",
    (Call.COPY, Fault.S412): "was there, and is not any more",
    (Call.READ_BACK, Fault.HTML): "no listing",
    **{(call, Fault.HTML): "no answer of this service" for call in (Call.COPY, Call.ASKED, Call.LEASE, Call.CAB_ROWS)},
    **{(call, Fault.HTML): "no answer of this service" for call in (Call.END, Call.MESSAGE)},
    **{(Call.ASKED, fault): "kept changing" for fault in (Fault.S409, Fault.S412)},
    **{(call, Fault.S412): "kept changing" for call in (Call.LEASE, Call.END)},
    **{(Call.MESSAGE, fault): "Connection broken" for fault in (Fault.RESET_IN_BODY, Fault.TRUNCATED)},
    **{(Call.TOKEN, fault): "AADSTS" for fault in (Fault.S400, Fault.S401, Fault.S403)},
}


def cells(*calls: Call) -> list[Cell]:
    """Return the cells of some calls, but for those of shut ports, which are no answers."""
    return [
        Cell(call, fault, lasts)
        for call in calls
        for faults in EXPECTED[call].values()
        for fault in faults
        if fault is not Fault.REFUSED
        for lasts in (False, True)
    ]


def expected(cell: Cell) -> Outcome:
    """Return what must become of a cell."""
    once, for_good = next(outcomes for outcomes, faults in EXPECTED[cell.call].items() if cell.fault in faults)
    return for_good if cell.lasts else once


def says(cell: Cell) -> str:
    """Return what a cell's reason must tell, where its outcome has one."""
    if told := _SAYS.get((cell.call, cell.fault)):
        return told
    if cell.call is Call.TOKEN:
        return "the token endpoint failed"
    if cell.fault in _IN_A_CONNECTION | {Fault.REFUSED} and cell.call not in _OF_DEV_CENTER:
        return "storage does not answer"
    if cell.fault in _IN_A_CONNECTION:
        return "the connection broke"
    if cell.fault is Fault.REFUSED:
        return "no connection"
    return "Sign in" if cell.fault is Fault.HTML else cell.fault[:3]
