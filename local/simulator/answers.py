"""The bodies of the API and of the gateway before it, as its documentation and real answers show them."""

import uuid
from collections.abc import Callable, Mapping
from datetime import UTC, datetime, timedelta
from email.utils import format_datetime

import msgspec
from aiohttp import web

from local.simulator.faults import Fault, FaultKind


def as_json(body: object, status: int = 200, headers: dict[str, str] | None = None) -> web.Response:
    """Return a JSON answer.

    Args:
        body: Anything that msgspec encodes.
        status: The HTTP status.
        headers: Further headers.
    """
    encoded = msgspec.json.encode(body)
    return web.Response(body=encoded, status=status, headers=headers, content_type="application/json", charset="utf-8")


def bad_request(problems: list[str]) -> web.Response:
    """Return the API's 400 for query parameters that are missing or wrong."""
    inner = {"code": "InvalidQueryParameters", "data": problems, "details": [], "message": "", "source": "AnalyticsAPI"}
    message = "The request has invalid query parameters. " + " ".join(problems)
    return as_json({"code": "BadRequest", "innererror": inner, "message": message, "source": "AnalyticsAPI"}, 400)


def forbidden() -> web.Response:
    """Return the API's 403 for an application without the role that it needs."""
    inner = {"data": [], "details": [], "message": "User UnauthorizedException EC5", "source": "AnalyticsAPI"}
    message = "Access to the requested resource is forbidden."
    return as_json({"code": "Forbidden", "innererror": inner, "message": message, "source": "AnalyticsAPI"}, 403)


def gateway(status: int, message: str, headers: dict[str, str] | None = None) -> web.Response:
    """Return an answer of the gateway, which knows only a status and a sentence."""
    return as_json({"statusCode": status, "message": message}, status, headers)


def unauthorized() -> web.Response:
    """Return the gateway's 401 for a token that is missing, wrong or expired."""
    return gateway(401, "Unauthorized. Access token is missing or invalid.")


def report_error(status: int, code: str, message: str) -> web.Response:
    """Return an error of the report calls, whose items carry Code, Message and TrackingId."""
    item = {"Code": code, "Message": message, "TrackingId": str(uuid.uuid4())}
    return as_json({"data": [], "errors": [item]}, status)


def storage_error(status: int, code: str, message: str) -> web.Response:
    """Return an error as blob storage writes it: XML, and its code in a header too."""
    body = f'<?xml version="1.0" encoding="utf-8"?><Error><Code>{code}</Code><Message>{message}</Message></Error>'
    return web.Response(text=body, status=status, headers={"x-ms-error-code": code}, content_type="application/xml")


def failing(fault: Fault) -> web.Response | None:
    """Return the answer that a fault gives in place of the right one; None where it only spoils the right one.

    Args:
        fault: What goes wrong.
    """
    answer = _FAILING.get(fault.kind)
    return answer(fault) if answer else None


def _sign_in_page() -> web.Response:
    page = "<!DOCTYPE html><html><head><title>Sign in to your account</title></head><body></body></html>"
    return web.Response(text=page, content_type="text/html")


def _throttled(fault: Fault) -> web.Response:
    headers = {}
    if fault.kind is FaultKind.THROTTLED_SILENT:
        return gateway(429, "Rate limit is exceeded.")
    if fault.kind is FaultKind.THROTTLED:
        headers["Retry-After"] = str(fault.retry_after)
    elif fault.kind is FaultKind.THROTTLED_DATE:
        # An HTTP date has no fractions of a second: one more keeps the wait from being shorter than it says.
        until = datetime.now(UTC) + timedelta(seconds=fault.retry_after + 1)
        headers["Retry-After"] = format_datetime(until, usegmt=True)
    return gateway(429, f"Rate limit is exceeded. Try again in {fault.retry_after} seconds.", headers)


_FAILING: Mapping[FaultKind, Callable[[Fault], web.Response]] = {
    FaultKind.THROTTLED: _throttled,
    FaultKind.THROTTLED_DATE: _throttled,
    FaultKind.THROTTLED_SENTENCE: _throttled,
    FaultKind.THROTTLED_SILENT: _throttled,
    FaultKind.SERVER_ERROR: lambda _: gateway(500, "Internal server error"),
    FaultKind.UNAVAILABLE: lambda _: gateway(503, "Service Unavailable"),
    FaultKind.UNAVAILABLE_WAIT: lambda fault: gateway(
        503, "Service Unavailable", {"Retry-After": str(fault.retry_after)}
    ),
    FaultKind.TIMED_OUT: lambda _: gateway(408, "Request Timeout"),
    FaultKind.UNAUTHORIZED: lambda _: unauthorized(),
    FaultKind.FORBIDDEN: lambda _: forbidden(),
    FaultKind.BAD_REQUEST: lambda _: bad_request(["the fault script says so"]),
    FaultKind.NOT_FOUND: lambda _: gateway(404, "Resource not found"),
    FaultKind.CONFLICT: lambda _: gateway(409, "Conflict"),
    FaultKind.PRECONDITION_FAILED: lambda _: gateway(412, "Precondition Failed"),
    FaultKind.HTML: lambda _: _sign_in_page(),
    FaultKind.WRONG_TYPE: lambda _: as_json({"Value": "none", "data": "none", "errors": "none"}),
}
