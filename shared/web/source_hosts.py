"""Which hosts a cabUrl or report location may name: both are untrusted input."""

import re
from urllib.parse import SplitResult, quote, urlsplit

from shared.core.errors import BadInput
from shared.core.redaction import excerpt
from shared.core.urls import is_loopback

# Printable ASCII without space and backslash: nothing that two parsers could read in two ways.
_PLAIN = re.compile(r"[!-\[\]-~]*")
# What a name of DNS or an address may hold.
_HOST = re.compile(r"[a-z0-9.-]+|::1")
# All that a URL may hold (RFC 3986, section 2), and the escape itself.
_URL_SAFE = ":/?#[]@!$&'()*+,;=-._~%"
_NOT_MENDED = re.compile(r"[\x00-\x1f\x7f\\\ud800-\udfff]")


def sendable(url: str) -> str:
    """Return a URL in which what no URL may hold is encoded; all else, `%` and signature, stays byte for byte.

    A raw space, or a letter that is not ASCII, is a slip that can be mended in one way only. A host with such a letter,
    a control character, or a backslash, which some take for a slash, cannot: these stay, and `checked_source` refuses.
    """
    start, separator, rest = (url := url.strip()).partition("://")
    host, slash, path = rest.partition("/")
    if not slash or not _PLAIN.fullmatch(start + host) or _NOT_MENDED.search(path):
        return url
    return start + separator + host + slash + quote(path, safe=_URL_SAFE)


def checked_source(url: str, allowed: tuple[str, ...], what: str) -> SplitResult:
    """Return the parts of a URL that may be fetched or copied from, as `sendable` makes it.

    Args:
        url: A cabUrl or report location, as the API gave it.
        allowed: CAB_SOURCE_HOSTS: host suffixes, each matched at a label boundary.
        what: Names the URL in the error.

    Raises:
        BadInput: It is not a URL of an allowed host, with https (or http where the host is an allowed loopback).
    """
    url = sendable(url)
    try:
        parts = urlsplit(url)
        host, _ = (parts.hostname or "").lower(), parts.port
    except ValueError:
        raise BadInput(f"{what} is not a URL: {excerpt(url)}") from None
    if not _PLAIN.fullmatch(url):
        raise BadInput(f"{what} is not a URL that can be passed on byte for byte: {excerpt(url)}")
    if "@" in parts.netloc:
        raise BadInput(f"{what} names a user or password before its host")
    if not _HOST.fullmatch(host) or not any(_within(host, suffix) for suffix in allowed):
        raise BadInput(
            f"{what} names the host {excerpt(host, 100)!r}, which CAB_SOURCE_HOSTS does not allow "
            f"({', '.join(allowed)})"
        )
    if parts.scheme != "https" and not (parts.scheme == "http" and is_loopback(host)):
        raise BadInput(f"{what} is not https: {excerpt(url)}")
    return parts


def carries_sas(parts: SplitResult) -> bool:
    """Tell whether a location carries its own signature, and so must be fetched without any token."""
    return any(pair.startswith("sig=") for pair in parts.query.split("&"))


def _within(host: str, suffix: str) -> bool:
    label = suffix.removeprefix(".")
    return host == suffix or (host.endswith("." + label) and not is_loopback(host))
