"""The names of a failure and of its cabs, checked, and where they stand in the container and the tables.

An id that comes from outside is brought into its normal form at the border where it comes in (`Failure.named`,
`checked_cab_id`), so that one failure has one row and one cab one blob, however others spell them. What is stored keeps
the spelling that it was stored under: keys and blob names know no other.
"""

import re
from dataclasses import dataclass, field
from datetime import date, timedelta
from itertools import product
from typing import Self

from shared.core import clock
from shared.core.errors import BadInput
from shared.core.ids import APPLICATION_ID, APPLICATION_RULE
from shared.core.redaction import excerpt
from shared.core.values import Immutable

# The family of a failure whose message or row names none: there was no other at first.
DRIVER = "driver"
# A GUID in every sample (devcenter-api.md), which the API does not promise.
HASH = re.compile(r"[0-9A-Za-z](?:[0-9A-Za-z._-]{0,126}[0-9A-Za-z])?")
HASH_RULE = (
    "1 to 128 letters, digits, dots, dashes or underscores, of which the first and the last are letters or digits"
)
_HEX = "[0-9A-Fa-f]"
GUID = re.compile(rf"{_HEX}{{8}}(?:-{_HEX}{{4}}){{3}}-{_HEX}{{12}}|{_HEX}{{32}}")
_NORMAL_GUID = re.compile(r"[0-9a-f]{8}(?:-[0-9a-f]{4}){3}-[0-9a-f]{12}")
_BRACES = {("{", "}"), ("(", ")")}
# What exports write where there is no value.
_NO_ID = {"-", "--", "null", "(null)", "none", "nil", "undefined", "n/a", "#n/a", "nan", "0" * 32}
_NO_GUID = "00000000-0000-0000-0000-000000000000"
# Byte order marks and zero-width characters, which nobody sees and files carry along.
_BLANK = " \t\r\n\0\xa0\u200b\u200c\u200d\u2060\ufeff"


@dataclass(frozen=True, slots=True, order=True)
class Failure:
    """One failure of one application: the unit of work.

    Args:
        application_id: Decimal of 17 digits as a string; never a number, since it is above 2^53.
        failure_hash: Identifies the failure within the application; a GUID in every sample of drivers.
        family: Which family it is of (shared/devcenter/families.py); empty where nobody said, which means a driver's.
            It is no part of the failure's identity.

    Raises:
        BadInput: A part is missing or holds characters that a blob name or table key could not.
    """

    application_id: str
    failure_hash: str
    family: str = field(default="", compare=False)

    def __post_init__(self) -> None:
        _check("applicationId", self.application_id, APPLICATION_ID, APPLICATION_RULE)
        _check("failureHash", self.failure_hash, HASH, HASH_RULE)

    @classmethod
    def named(cls, application_id: str, failure_hash: str, family: str = "") -> Self:
        """Return the failure that somebody names, its ids in their normal form.

        Args:
            application_id: As it came, from anyone.
            failure_hash: Likewise.
            family: Its family, checked; empty where nobody said.

        Raises:
            BadInput: One of them is missing, a placeholder or not an id.
        """
        return cls(normal_id(application_id), normal_id(failure_hash), family)

    @classmethod
    def spelled(cls, application_id: str, failure_hash: str, family: str = "") -> Self:
        """Return the failure that somebody names, in the case that it was named in: it may be stored so.

        Raises:
            BadInput: As `named`.
        """
        return cls(_bare(application_id), _bare(failure_hash), family)

    @property
    def is_normal(self) -> bool:
        """Tell whether its ids are in their normal form."""
        return (self.application_id, self.failure_hash) == (
            normal_id(self.application_id),
            normal_id(self.failure_hash),
        )

    def other_spellings(self) -> list[Self]:
        """Return how an earlier version, which kept ids as they came, may have stored this failure.

        In upper case, which is how some systems write a GUID, and as it is spelled here; the normal form is not among
        them.
        """
        normal = type(self).named(self.application_id, self.failure_hash, self.family)
        spellings = product(_spellings(self.application_id), _spellings(self.failure_hash))
        return [other for each in spellings if (other := type(self)(*each, self.family)) != normal]

    def __str__(self) -> str:
        return f"failure {self.failure_hash} of application {self.application_id}"

    @property
    def ids(self) -> dict[str, str]:
        """Return its ids by the names that messages, rows and events have for them."""
        return {"applicationId": self.application_id, "failureHash": self.failure_hash}

    @property
    def prefix(self) -> str:
        """Return the prefix of the failure's blobs in the container."""
        return f"{self.application_id}/{self.failure_hash}/"

    @property
    def cabs_partition(self) -> str:
        """Return the PartitionKey of the failure's rows in the cabs table."""
        return f"{self.application_id}_{self.failure_hash}"


class Window(Immutable, frozen=True):
    """The days that a pull asks for, both included, in UTC."""

    start: date
    end: date

    def __post_init__(self) -> None:
        if self.start > self.end:
            raise BadInput(f"startDate {self.start} is after endDate {self.end}")

    def including(self, other: Self) -> Self:
        """Return the days from the first to the last of both."""
        return type(self)(min(self.start, other.start), max(self.end, other.end))


def normal_id(text: str) -> str:
    """Return an id from outside in its normal form, empty where it is a placeholder for none.

    A GUID is lower case with dashes and without braces. Any other id keeps its spelling, less blanks around it.
    """
    if _NORMAL_GUID.fullmatch(text) and text != _NO_GUID:
        return text  # as nearly every id is
    bare = _bare(text)
    if not GUID.fullmatch(bare):
        return bare
    digits = bare.replace("-", "").lower()
    return "-".join((digits[:8], digits[8:12], digits[12:16], digits[16:20], digits[20:]))


def checked_application_id(text: str) -> str:
    """Return the normal form of an applicationId, which is safe as part of a key.

    Raises:
        BadInput: It is missing, a placeholder or not an id.
    """
    return _check("applicationId", normal_id(text), APPLICATION_ID, APPLICATION_RULE)


def checked_cab_id(text: str) -> str:
    """Return the normal form of a cabIdHash, which is safe as part of a blob name and as a RowKey.

    Raises:
        BadInput: It is missing, a placeholder or not an id.
    """
    return _check("cabIdHash", normal_id(text), HASH, HASH_RULE)


def _bare(text: str) -> str:
    """Return an id without blanks and braces, empty where it is a placeholder."""
    text = text.strip(_BLANK)
    if (text[:1], text[-1:]) in _BRACES and GUID.fullmatch(inner := text[1:-1].strip(_BLANK)):
        text = inner
    return "" if text == _NO_GUID or text.lower() in _NO_ID else text


def _spellings(text: str) -> list[str]:
    normal = normal_id(text)
    return list(dict.fromkeys([text, normal, normal.upper()])) if _NORMAL_GUID.fullmatch(normal) else [text]


def _check(name: str, value: str, pattern: re.Pattern[str], rule: str) -> str:
    if not pattern.fullmatch(value):
        wrong = f"not one: it must be {rule}" if value else "missing"
        raise BadInput(f"{name} is {excerpt(value, 80)!r}, which is {wrong}")
    return value


def default_window(lookback: timedelta) -> Window:
    """Return the days that a pull asks for when nobody says which.

    It ends tomorrow, so that today is in it however the API reads an end date.
    """
    today = clock.now().date()
    return Window(today - lookback, today + timedelta(days=1))
