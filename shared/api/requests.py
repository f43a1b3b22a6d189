"""Read what callers of the HTTP API send: bodies and queries, of which each error says what to send instead."""

from __future__ import annotations

import base64
import binascii
import json
import re
from fnmatch import fnmatchcase
from typing import TYPE_CHECKING, Annotated, Any, Literal, get_args

import msgspec
from msgspec import Meta

from shared.api.scalars import Family
from shared.core.errors import BadInput
from shared.core.ids import APPLICATION_ID, APPLICATION_RULE
from shared.core.json_text import JsonError, as_utf8, decoded
from shared.core.redaction import excerpt
from shared.core.values import Immutable
from shared.progress.cab_row import CabState
from shared.progress.pull_row import PullState

if TYPE_CHECKING:
    from collections.abc import Mapping

    from shared.progress.overview import FailureSeen

type Sort = Literal["newest", "cabs", "missing", "expiry"]
type PullOrder = Literal["ids", "ended"]
BODY_BYTES = 1 << 20
_MOST_ROWS = 1_000
_WHOLE = re.compile(r"\d+", re.ASCII)
_KEYS = {"PartitionKey", "RowKey"}
_NOT_CONTINUED = "continuation is not one that an earlier page returned"


def asked_in[T](body: bytes, wanted: type[T]) -> T:
    """Read a body, of which everything may be left out, and the body as well.

    Args:
        body: As it came.
        wanted: What it must be.

    Raises:
        BadInput: It is not what it should be.
    """
    text = body if body.strip() else b"{}"
    try:
        asked = decoded(text, wanted)
        json.loads(as_utf8(text), object_pairs_hook=_once)
    except JsonError as error:
        raise BadInput(f"the body is not what this call takes: {excerpt(str(error))}") from None
    return asked


class QueryParameter[T](Immutable, frozen=True):
    """A parameter of a query, which may be left out or empty.

    Args:
        name: As in the address.
        form: The type that it must have, for msgspec; a text is read as a number where the type is one.
        meaning: What it does.
        default: What it is where it is left out.
    """

    name: str
    form: Any
    meaning: str
    default: T

    def read(self, query: Mapping[str, str]) -> T:
        """Return its value in a query.

        Raises:
            BadInput: It is not what it should be.
        """
        text = query.get(self.name, "")
        if not text:
            return self.default
        try:
            value: T = msgspec.convert(text, self.form, strict=_WHOLE.fullmatch(text) is None)
        except msgspec.ValidationError:
            raise BadInput(f"{self.name} is {excerpt(text, 40)!r}, not {self._wanted}") from None
        return value

    @property
    def _wanted(self) -> str:
        return str(msgspec.json.schema(self.form)["description"])


def _one_of(kind: Any) -> Any:
    """Return the type of one of some names: those of an enumeration or of a literal."""
    names = get_args(getattr(kind, "__value__", kind)) or kind
    return Annotated[kind, Meta(description=f"one of {', '.join(names)}")]


LIMIT = QueryParameter[int](
    "limit",
    Annotated[int, Meta(ge=1, le=_MOST_ROWS, description=f"a whole number from 1 to {_MOST_ROWS}")],
    "The most rows of a page; it may have fewer, and is the last only where continuation is null.",
    100,
)
CONTINUATION = QueryParameter[str](
    "continuation",
    Annotated[str, Meta(pattern="^[A-Za-z0-9_=-]{0,2048}$(?!\\n)", description="what an earlier page returned")],
    "What the page before returned as its continuation.",
    "",
)
PULL_STATE = QueryParameter[PullState | None](
    "state", _one_of(PullState), "Only those whose pull is in this state.", None
)
FAMILY = QueryParameter[str](
    "family",
    _one_of(Family),
    "Only those of this family.",
    "",
)
APPLICATION = QueryParameter[str](
    "applicationId",
    Annotated[str, Meta(pattern=f"^(?:{APPLICATION_ID.pattern})$(?!\\n)", description=APPLICATION_RULE)],
    "Only those of this application.",
    "",
)
_ANY_TEXT = Annotated[str, Meta(max_length=200, description="a text of at most 200 characters")]
DRIVER = QueryParameter[str](
    "driver", _ANY_TEXT, "Only those whose file or package is called so; * and ? stand for any characters.", ""
)
VERSION = QueryParameter[str](
    "version", _ANY_TEXT, "Only those of which a cab told such a version; * and ? stand for any characters.", ""
)
TEXT = QueryParameter[str](
    "text", _ANY_TEXT, "Only those with this text in their name, file, application or hash; case does not matter.", ""
)
SORT = QueryParameter[Sort](
    "sort",
    _one_of(Sort),
    "What comes first: the newest cab, the most cabs held, the most missing, the next to expire.",
    "newest",
)
PULL_ORDER = QueryParameter[PullOrder](
    "sort",
    _one_of(PullOrder),
    "What comes first: the lowest ids; or what ended last, and nothing that has not ended.",
    "ids",
)
CAB_STATE = QueryParameter[CabState | None]("state", _one_of(CabState), "Only cabs in this state.", None)


class Wanted(Immutable, frozen=True):
    """Which failures, or pulls, a query asks for; an empty value asks for all.

    Args:
        state: Where its pull stands.
        family: Its family.
        application_id: Its application.
        driver: Its file or package, `*` and `?` standing for any characters; case does not matter.
        version: A version that a cab of it told, likewise.
        text: Stands somewhere in its name, file, application or hash; case does not matter.
    """

    state: PullState | None
    family: str
    application_id: str
    driver: str
    version: str
    text: str

    @classmethod
    def parse(cls, query: Mapping[str, str]) -> Wanted:
        """Read a query.

        Raises:
            BadInput: A parameter is not what it should be.
        """
        driver, version, text = (each.read(query).lower() for each in (DRIVER, VERSION, TEXT))
        return cls(PULL_STATE.read(query), FAMILY.read(query), APPLICATION.read(query), driver, version, text)

    @property
    def names_any(self) -> bool:
        """Tell whether it asks for names, which storage cannot look for."""
        return bool(self.driver or self.version or self.text)

    def fits(self, failure: FailureSeen) -> bool:
        """Tell whether a failure is asked for."""
        return (
            self.fits_state(failure.state)
            and (not self.family or failure.family == self.family)
            and (not self.application_id or failure.application_id == self.application_id)
            and self._fits_names(failure)
        )

    def fits_state(self, state: PullState | None) -> bool:
        """Tell whether a pull in a state is asked for."""
        return self.state is None or state is self.state

    def fits_version(self, version: str) -> bool:
        """Tell whether a version is asked for."""
        return not self.version or fnmatchcase(version.lower(), self.version)

    def _fits_names(self, failure: FailureSeen) -> bool:
        if self.driver and not fnmatchcase(failure.driver_name.lower(), self.driver):
            return False
        versions = failure.tally.versions if failure.tally else ()
        if self.version and not any(map(self.fits_version, versions)):
            return False
        told = (failure.failure_name, failure.driver_name, *failure.key)
        return not self.text or any(self.text in each.lower() for each in told)


class PageAsked(Immutable, frozen=True):
    """Which page of rows a query asks for.

    Args:
        limit: The most rows of it.
        after: Where the page before ended; None for the first.
    """

    limit: int
    after: dict[str, str] | None

    @classmethod
    def parse(cls, query: Mapping[str, str]) -> PageAsked:
        """Read a query.

        Raises:
            BadInput: A parameter is not what it should be.
        """
        after = continued(CONTINUATION.read(query), dict[str, str])
        if after is not None and set(after) != _KEYS:
            raise BadInput(_NOT_CONTINUED)
        return cls(LIMIT.read(query), after)


def continuation_text(following: object) -> str | None:
    """Return what continues after a page as text for a URL; None where nothing does."""
    return base64.urlsafe_b64encode(msgspec.json.encode(following)).decode() if following else None


def continued[T](text: str, kind: type[T]) -> T | None:
    """Return what continues after a page; None for the first.

    Args:
        text: As a page returned it.
        kind: What it is made of.

    Raises:
        BadInput: No page returned such a text.
    """
    if not text:
        return None
    try:
        return decoded(base64.b64decode(text.encode("ascii", "replace"), altchars=b"-_", validate=True), kind)
    except (binascii.Error, JsonError):
        raise BadInput(_NOT_CONTINUED) from None


def _once(pairs: list[tuple[str, object]]) -> None:
    """Refuse a name that comes twice, of which parsers take the first, the last or neither (RFC 8259, section 4)."""
    names = set[str]()
    for name, _ in pairs:
        if name in names:
            raise JsonError(f"{name} comes twice")
        names.add(name)
