"""The names of a failure and of its cabs, checked, and where they stand in the container and the tables."""

import re
from dataclasses import dataclass
from datetime import date, timedelta

from shared.core import clock
from shared.core.errors import BadInput
from shared.core.redaction import excerpt

# applicationId is a decimal of 17 digits above 2^53 in every sample, and hashes are GUIDs (devcenter-api.md); the API
# promises neither. What is refused here could break a blob name, a table key or a URL: the underscore of an
# applicationId would make the partition keys of the cabs table ambiguous.
APPLICATION_ID = re.compile(r"[0-9A-Za-z-]{1,64}")
HASH = re.compile(r"[0-9A-Za-z](?:[0-9A-Za-z._-]{0,126}[0-9A-Za-z])?")
_EXTENSION = re.compile(r"(?:\.[0-9A-Za-z]{1,16}){1,4}")


@dataclass(frozen=True, slots=True, order=True)
class Failure:
    """One failure of one application: the unit of work.

    Args:
        application_id: Decimal of 17 digits as a string; never a number, since it is above 2^53.
        failure_hash: Identifies the failure within the application; a GUID in every sample.

    Raises:
        BadInput: A part is missing or holds characters that a blob name or table key could not.
    """

    application_id: str
    failure_hash: str

    def __post_init__(self) -> None:
        _check("applicationId", APPLICATION_ID, self.application_id)
        _check("failureHash", HASH, self.failure_hash)

    def __str__(self) -> str:
        return f"failure {self.failure_hash} of application {self.application_id}"

    @property
    def prefix(self) -> str:
        """Return the prefix of the failure's blobs in the container."""
        return f"{self.application_id}/{self.failure_hash}/"

    @property
    def cabs_partition(self) -> str:
        """Return the PartitionKey of the failure's rows in the cabs table."""
        return f"{self.application_id}_{self.failure_hash}"


@dataclass(frozen=True, slots=True)
class Window:
    """The days that a pull asks for, both included, in UTC."""

    start: date
    end: date

    def __post_init__(self) -> None:
        if self.start > self.end:
            raise BadInput(f"startDate {self.start} is after endDate {self.end}")


def checked_cab_id(text: str) -> str:
    """Return a cabIdHash that is safe as part of a blob name and as a RowKey.

    Raises:
        BadInput: It is not.
    """
    return _check("cabIdHash", HASH, text)


def blob_name(failure: Failure, cab_id_hash: str, source_path: str) -> str:
    """Return where a cab stands in the container: prefix, cabIdHash and the source's extension.

    Args:
        failure: The cab's failure.
        cab_id_hash: The cab's identity, checked.
        source_path: The path of the cabUrl; `.ext.zip` in the sample, and undocumented, so it is kept as it is.
    """
    name = source_path.rsplit("/", 1)[-1]
    extension = name.removeprefix(cab_id_hash) if name.startswith(cab_id_hash) else name[name.find(".") :]
    return failure.prefix + cab_id_hash + (extension if _EXTENSION.fullmatch(extension) else "")


def _check(name: str, pattern: re.Pattern[str], value: str) -> str:
    if not pattern.fullmatch(value):
        raise BadInput(f"{name} is {excerpt(value, 80)!r}, which is {'missing' if not value else 'not one'}")
    return value


def default_window(lookback: timedelta) -> Window:
    """Return the days that a pull asks for when nobody says which.

    It ends tomorrow, so that today is in it however the API reads an end date.

    Args:
        lookback: CAB_LOOKBACK_DAYS.
    """
    today = clock.now().date()
    return Window(today - lookback, today + timedelta(days=1))
