"""Read the values of headers that others sent: what is odd is no value, and never an error."""

import base64
import re
from datetime import UTC, datetime
from email.utils import parsedate_to_datetime

_NUMBER = re.compile(r"[0-9]{1,18}")
_MD5_BYTES = 16


def whole_number(text: str) -> int | None:
    """Return a number without a sign, as a Content-Length is; None where it is none, or larger than any file."""
    number = text.strip()
    return int(number) if _NUMBER.fullmatch(number) else None


def http_date(text: str) -> datetime | None:
    """Return an HTTP date (RFC 9110, section 5.6.7) in UTC; None where it is none."""
    try:
        moment = parsedate_to_datetime(text)
        return (moment if moment.tzinfo else moment.replace(tzinfo=UTC)).astimezone(UTC)
    except (ValueError, OverflowError, TypeError, IndexError):
        return None


def md5_in(text: str) -> bytes | None:
    """Return the 16 bytes of a Content-MD5; None where it holds something else."""
    try:
        md5 = base64.b64decode(text, validate=True)
    except ValueError:
        return None
    return md5 if len(md5) == _MD5_BYTES else None
