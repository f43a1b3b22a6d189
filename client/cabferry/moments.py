"""Times of the catalog: microseconds since 1970."""

from datetime import UTC, datetime

_MICROSECONDS = 1_000_000


def moment(microseconds: int) -> datetime:
    """Return a time of the catalog."""
    return datetime.fromtimestamp(microseconds / _MICROSECONDS, UTC)


def moment_text(microseconds: int | None) -> str | None:
    """Return a time of the catalog as ISO 8601, to the second."""
    return None if microseconds is None else moment(microseconds).strftime("%Y-%m-%dT%H:%M:%SZ")


def now() -> int:
    """Return the time in the catalog's form."""
    return int(datetime.now(UTC).timestamp() * _MICROSECONDS)
