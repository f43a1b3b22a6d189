"""The queue message of a pull: what is asked for, by whom, in which window."""

import binascii
import re
import secrets
from base64 import b64decode, b64encode
from copy import replace
from datetime import date

import msgspec

from shared.core import telemetry
from shared.core.errors import BadInput
from shared.core.failure import Failure, Window, checked_cab_id
from shared.core.json_text import JsonError, decoded
from shared.core.shape import shape_of
from shared.core.values import Immutable
from shared.devcenter.families import checked_family

_PULL_ID = re.compile(r"[0-9A-Za-z-]{1,40}")
_TRACEPARENT = re.compile(r"00-[0-9a-f]{32}-[0-9a-f]{16}-[0-9a-f]{2}")


def new_pull_id() -> str:
    """Return what a pull is found by in the log, from what asked for it to its end."""
    return secrets.token_hex(4)


class PullMessage(Immutable, frozen=True):
    """Ask for one failure's cabs.

    Args:
        failure: The failure to pull.
        window: The days to ask for. It is fixed when the message is made, so that a resumed pull pages the same rows;
            None lets the pull decide when it first starts.
        requested_by: What made the message: a report run, or a call of the HTTP API.
        row_version: The version of the pull's row when the message was sent, free of any lease; empty where it is not
            known. A row that has changed since shows that another message was sooner.
        resumes: Whether that row holds what an earlier try has done. If not, it is as it was queued, and while it is
            still that version a pull need not read it.
        pull_id: What the pull is found by in the log. All that were asked for together share it.
        traceparent: The trace of what asked for it (https://www.w3.org/TR/trace-context); empty where nobody traced.
        cab: The cabIdHash of the one cab that is asked for; empty for all of the failure.
        tries: How often that cab was tried before.
    """

    failure: Failure
    window: Window | None
    requested_by: str
    row_version: str = ""
    resumes: bool = False
    pull_id: str = msgspec.field(default_factory=new_pull_id)
    traceparent: str = msgspec.field(default_factory=telemetry.traceparent)
    cab: str = ""
    tries: int = 0

    def encode(self) -> str:
        """Return the message as JSON, before the base64 that the host expects."""
        return msgspec.json.encode(
            _Message(
                self.failure.application_id,
                self.failure.failure_hash,
                self.window.start if self.window else None,
                self.window.end if self.window else None,
                self.requested_by,
                self.row_version,
                self.resumes,
                self.pull_id,
                self.failure.family,
                self.traceparent,
                self.cab,
                self.tries,
            )
        ).decode()

    @classmethod
    def decode(cls, text: bytes, deliveries: int = 1) -> "PullMessage":
        """Read a message.

        Args:
            text: The JSON as it came from the queue, after base64.
            deliveries: How often it was delivered, this time included. After the first it has no version any more.

        Raises:
            BadInput: It is not JSON, a field is missing, has the wrong type or is not what its name says.

        Ids keep their case: the app names a failure as its row is stored (`PullRows.as_stored`).
        """
        try:
            told = decoded(text, _Message)
        except JsonError as error:
            why = str(error) if _is_utf8(text) else "its text is not UTF-8"
            raise BadInput(f"this is no pull message: {why}; its shape: {shape_of(text)}") from None
        if (told.start_date is None) != (told.end_date is None):
            raise BadInput(f"a pull message has startDate and endDate, or neither; its shape: {shape_of(text)}")
        window = Window(told.start_date, told.end_date) if told.start_date and told.end_date else None
        failure = Failure.spelled(told.application_id, told.failure_hash, checked_family(told.family))
        # One of an older version has no id; what somebody else wrote there does not go into the log as it is.
        pull_id = told.pull_id if _PULL_ID.fullmatch(told.pull_id) else new_pull_id()
        trace = told.traceparent if _TRACEPARENT.fullmatch(told.traceparent) else ""
        cab = checked_cab_id(told.cab_id_hash) if told.cab_id_hash else ""
        message = cls(
            failure, window, told.requested_by, told.row_version, told.resumes, pull_id, trace, cab, max(0, told.tries)
        )
        return message if deliveries == 1 else message.unversioned()

    def unversioned(self) -> "PullMessage":
        """Return the message without the row's version, where it may be this very message that has changed the row."""
        return replace(self, row_version="", resumes=False)


def unwrapped(raw: bytes) -> bytes:
    """Return a message without the base64 that it stands in the queue with.

    host.json lets the host hand on every text as it is, since no function ever sees what the host cannot decode: it
    goes to the poison queue, whose function does not see it either.

    Args:
        raw: The text as it stands in the queue. JSON that somebody sent without base64 is taken as well.

    Raises:
        BadInput: It is neither.
    """
    if raw.lstrip().startswith(b"{"):
        return raw
    try:
        return b64decode(b"".join(raw.split()), validate=True)
    except binascii.Error:
        raise BadInput(f"this is no pull message: its text is not base64; its shape: {shape_of(raw)}") from None


def returned(raw: bytes, deliveries: int) -> str:
    """Return the text with which a message is sent anew that could not be worked on, whatever it says.

    Args:
        raw: As the host delivered it.
        deliveries: How often. One that was delivered before may have changed its row, and names no version.
    """
    if deliveries == 1:
        return raw.decode()
    try:
        return b64encode(PullMessage.decode(unwrapped(raw), deliveries).encode().encode()).decode()
    except BadInput:
        return raw.decode()


def failure_named_in(text: bytes) -> Failure | None:
    """Return the failure that a message names, though the rest of it may be unreadable; None where it names none."""
    try:
        told = decoded(text, _Named)
        return Failure.spelled(told.application_id, told.failure_hash)
    except (JsonError, BadInput):
        return None


class _Named(msgspec.Struct, rename="camel"):
    application_id: str
    failure_hash: str


class _Message(_Named, omit_defaults=True):
    start_date: date | None = None
    end_date: date | None = None
    requested_by: str = "queue message"
    row_version: str = ""
    resumes: bool = False
    pull_id: str = ""
    family: str = ""
    traceparent: str = ""
    cab_id_hash: str = ""
    tries: int = 0


def _is_utf8(text: bytes) -> bool:
    try:
        text.decode()
    except UnicodeDecodeError:
        return False
    return True
