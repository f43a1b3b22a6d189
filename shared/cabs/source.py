"""The source of a cab: what its SAS says, and what it answers to a HEAD or GET of ours."""

from __future__ import annotations

import base64
import binascii
import re
from contextlib import contextmanager
from dataclasses import dataclass
from http import HTTPStatus
from typing import TYPE_CHECKING
from urllib.parse import unquote

from shared.core.clock import moment_of
from shared.core.errors import BadAnswer
from shared.core.refusals import Where
from shared.web.http_source import body_of, refusal_in
from shared.web.paced_body import PacedBody

if TYPE_CHECKING:
    from collections.abc import Iterator
    from datetime import datetime
    from urllib.parse import SplitResult

    import requests

    from shared.web.untrusted_source import UntrustedSource

_SAS_EXPIRY = re.compile(r"(?:^|&)se=([^&]+)")
# The bytes as they are stored, without a transfer encoding that would change their length.
_HEADERS = {"Accept-Encoding": "identity"}


@dataclass(frozen=True, slots=True)
class SourceFacts:
    """What a source tells of its cab.

    Args:
        length: Its bytes.
        md5: Its Content-MD5; None where it was stored without one. The service does not verify it on read.
    """

    length: int
    md5: bytes | None


def sas_expiry(parts: SplitResult) -> datetime | None:
    """Return when a URL's SAS expires (its `se`), None where it does not say."""
    named = _SAS_EXPIRY.search(parts.query)
    return moment_of(unquote(named[1])) if named else None


def source_facts(source: UntrustedSource, url: str, name: str) -> SourceFacts:
    """Ask a source for its facts alone.

    Args:
        source: The connections to use.
        url: The cabUrl.
        name: Names the cab in errors.

    Raises:
        CabferryError: As `opened_source`.
    """
    with source.get(url, _HEADERS, f"the source of {name}", method="HEAD") as response:
        return _facts(response, name)


@contextmanager
def opened_source(source: UntrustedSource, url: str, name: str) -> Iterator[tuple[SourceFacts, PacedBody]]:
    """Open a source for reading.

    Args:
        source: The connections to use.
        url: The cabUrl.
        name: Names the cab in errors.

    Raises:
        FreshUrl: The source refuses the SAS (401, 403).
        CabUnavailable: The source is gone (404, 410).
        AgainLater: The source is busy.
        AgainNow: The connection broke.
        BadAnswer: Anything else that is no cab.
    """
    with source.get(url, _HEADERS, what := f"the source of {name}") as response:
        yield _facts(response, name), PacedBody(response, what)


def _facts(response: requests.Response, name: str) -> SourceFacts:
    status = response.status_code
    if status == HTTPStatus.OK:
        length = response.headers.get("Content-Length", "")
        if not length.isdecimal():
            raise BadAnswer(f"the source of {name} does not tell its length")
        return SourceFacts(int(length), _md5(response.headers.get("Content-MD5", "")))
    body = body_of(response, f"the source of {name}")
    raise refusal_in(response, body, Where.CAB_SOURCE).as_error(name)


def _md5(text: str) -> bytes | None:
    try:
        return base64.b64decode(text, validate=True) or None
    except binascii.Error:
        return None
