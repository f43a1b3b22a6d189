"""Which hosts a cabUrl or report location may name: both are untrusted input."""

import re
from urllib.parse import SplitResult, urlsplit

from shared.core.errors import BadInput
from shared.core.redaction import excerpt
from shared.core.urls import is_loopback

# What a name of DNS or an address may hold: nothing that two parsers could read in two ways.
_PLAIN = re.compile(r"[!-\[\]-~]*")  # printable ASCII without space and backslash
_HOST = re.compile(r"[a-z0-9.-]+|::1")


def checked_source(url: str, allowed: tuple[str, ...], what: str) -> SplitResult:
    """Return the parts of a URL that may be fetched or copied from.

    Args:
        url: A cabUrl or report location, as the API gave it.
        allowed: CAB_SOURCE_HOSTS: host suffixes, each matched at a label boundary.
        what: Names the URL in the error.

    Raises:
        BadInput: It is not a URL of an allowed host, with https (or http where the host is an allowed loopback).
    """
    try:
        parts = urlsplit(url)
        host, _ = (parts.hostname or "").lower(), parts.port
    except ValueError:
        raise BadInput(f"{what} is not a URL: {excerpt(url)}") from None
    if not _PLAIN.fullmatch(url) or parts.username:
        raise BadInput(f"{what} is not a URL that can be passed on byte for byte: {excerpt(url)}")
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
