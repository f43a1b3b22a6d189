"""A first look at what came as a cab: a 200 proves nothing, since what stands between answers so as well."""

from __future__ import annotations

import re

# The archives that a cab was seen to be, and what they hold, should one come bare.
_FORMS = {
    b"PK\x03\x04": "zip",
    b"MSCF": "cab",
    b"PAGEDU64": "kernel dump",
    b"PAGEDUMP": "kernel dump",
    b"MDMP": "minidump",
}
UNKNOWN = "unknown"
_MARKUP = re.compile(rb"(?:\xef\xbb\xbf|\xff\xfe|\xfe\xff)?\s*<[!?A-Za-z]")
_MARKUP_TYPE = re.compile(r"\s*(?:text/html|text/xml|application/xml|application/xhtml\+xml)\b", re.IGNORECASE)
_LOOKED_AT = 256


def form_of(start: bytes) -> str:
    """Return what a cab's first bytes say that it is: zip, cab, kernel dump, minidump, or unknown.

    Args:
        start: Its first bytes.
    """
    return next((form for sign, form in _FORMS.items() if start.startswith(sign)), UNKNOWN)


def is_markup(start: bytes) -> bool:
    """Tell whether first bytes are those of a page, as of a sign-in, in UTF-8 or UTF-16.

    Args:
        start: The first bytes.
    """
    return _MARKUP.match(start[:_LOOKED_AT].replace(b"\0", b"")) is not None


def why_no_cab(length: int, content_type: str) -> str:
    """Return why something of this length and type can be no cab; empty where it can.

    Args:
        length: Its bytes.
        content_type: As it was told.
    """
    if length == 0:
        return "is empty"
    return "is a page of HTML or XML" if _MARKUP_TYPE.match(content_type) else ""
