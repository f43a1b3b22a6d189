"""The source of a cab: what its SAS says, and what it answers to a HEAD or GET of ours."""

from __future__ import annotations

import re
from contextlib import contextmanager
from http import HTTPStatus
from typing import TYPE_CHECKING, Literal
from urllib.parse import unquote

from shared.cabs.content import why_no_cab
from shared.core.clock import moment_of
from shared.core.errors import BadAnswer
from shared.core.headers import md5_in, whole_number
from shared.core.refusals import Where
from shared.core.values import Immutable
from shared.web.http_source import body_of, refusal_in
from shared.web.paced_body import PacedBody

if TYPE_CHECKING:
    from collections.abc import Iterator
    from datetime import datetime
    from urllib.parse import SplitResult

    import requests

    from shared.web.untrusted_source import UntrustedSource

_SAS_TIMES = {name: re.compile(rf"(?:^|&){name}=([^&]+)") for name in ("st", "se")}
_PART = re.compile(r"bytes ([0-9]{1,18})-[0-9]{1,18}/([0-9]{1,18})")
# The bytes as they are stored, without a transfer encoding that would change their length.
_HEADERS = {"Accept-Encoding": "identity"}


class SourceFacts(Immutable, frozen=True):
    """What a source tells of its cab.

    Args:
        length: Its bytes.
        md5: Its Content-MD5; None where it was stored without one. The service does not verify it on read.
        version: What tells its bytes from those of any other time; empty where nothing does.
    """

    length: int
    md5: bytes | None
    version: str = ""


class OpenedSource(Immutable, frozen=True):
    """A source whose bytes can be read.

    Args:
        facts: What it tells of the whole cab.
        begins: The first byte that comes.
        body: The bytes from there on.
    """

    facts: SourceFacts
    begins: int
    body: PacedBody


def sas_time(parts: SplitResult, name: Literal["st", "se"]) -> datetime | None:
    """Return from when on a URL's SAS is good (`st`), or when it expires (`se`); None where it does not say."""
    named = _SAS_TIMES[name].search(parts.query)
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
def opened_source(
    source: UntrustedSource, url: str, name: str, begins: int = 0, until: float | None = None
) -> Iterator[OpenedSource]:
    """Open a source for reading.

    Args:
        source: The connections to use.
        url: The cabUrl.
        name: Names the cab in errors.
        begins: From which byte on; a source that knows no ranges begins at the first all the same.
        until: When reading ends before the body does, by `clock.monotonic()`.

    Raises:
        FreshUrl: The source refuses the SAS (401, 403).
        CabUnavailable: The source is gone (404, 410).
        AgainLater: The source is busy.
        AgainNow: The connection broke.
        BadAnswer: Anything else that is no cab.
    """
    headers = {**_HEADERS, "Range": f"bytes={begins}-"} if begins else _HEADERS
    with source.get(url, headers, what := f"the source of {name}") as response:
        is_part = begins > 0 and response.status_code == HTTPStatus.PARTIAL_CONTENT
        facts = _facts_of_part(response, name, begins) if is_part else _facts(response, name)
        yield OpenedSource(facts, begins if is_part else 0, PacedBody(response, what, until=until))


def _facts(response: requests.Response, name: str) -> SourceFacts:
    status = response.status_code
    if status == HTTPStatus.OK:
        length = whole_number(response.headers.get("Content-Length", ""))
        if length is None:
            raise BadAnswer(f"the source of {name} does not tell its length")
        if why := why_no_cab(length, response.headers.get("Content-Type", "")):
            raise BadAnswer(f"the source of {name} answered {status} with what is no cab: it {why}")
        return SourceFacts(length, md5_in(response.headers.get("Content-MD5", "")), _version(response, length))
    body = body_of(response, f"the source of {name}")
    raise refusal_in(response, body, Where.CAB_SOURCE).as_error(name)


def _facts_of_part(response: requests.Response, name: str, begins: int) -> SourceFacts:
    told = _PART.fullmatch(response.headers.get("Content-Range", ""))
    if told is None or int(told[1]) != begins:
        raise BadAnswer(f"the source of {name} answered with another part than was asked for")
    # Its Content-MD5 is that of the part.
    length = int(told[2])
    return SourceFacts(length, None, _version(response, length))


def _version(response: requests.Response, length: int) -> str:
    told = " ".join(filter(None, (response.headers.get(name, "") for name in ("ETag", "Last-Modified"))))
    return told and f"{told} {length}"
