"""Errors of the host itself as `application/problem+json` (RFC 9457)."""

from http import HTTPStatus

import msgspec
from aiohttp import web


def problem(status: HTTPStatus, detail: str) -> web.Response:
    """Answer with a problem.

    Args:
        status: The HTTP status.
        detail: What is wrong and what to do, for a person.
    """
    body = {"type": "about:blank", "title": status.phrase, "status": status.value, "detail": detail}
    return web.Response(status=status, body=msgspec.json.encode(body), content_type="application/problem+json")
