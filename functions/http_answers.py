"""Bodies and answers of the HTTP API: JSON, and errors as problem details (RFC 9457)."""

from __future__ import annotations

import functools
import hashlib
import json
import logging
from collections.abc import Callable, Collection, Mapping
from http import HTTPStatus
from typing import TYPE_CHECKING

import azure.functions as func

from functions.invocations import traced
from shared.core.errors import AgainLater, BadInput, CabferryError, NeedsPerson, Never, SettingsError
from shared.core.redaction import excerpt, redact

if TYPE_CHECKING:
    from msgspec import Struct

_log = logging.getLogger(__name__)
type Handler = Callable[[func.HttpRequest], func.HttpResponse]

# The function key, and its name, may stand in a query: the host reads them.
_OF_THE_HOST = {"code", "clientid"}
_READING = {"GET", "HEAD"}
_LOOK_AGAIN_SECONDS = "5"
# The most unknown parameters that a problem names.
_NAMED = 10
# What curl, urllib and others say of a body where nobody named its type: no reason to refuse one.
_UNSAID = {"", "application/x-www-form-urlencoded", "application/octet-stream"}


class Problem(Exception):
    """Answer a request with a problem that has a status of its own.

    Args:
        status: From 400 to 499.
        detail: What is wrong, and what to do.
    """

    def __init__(self, status: HTTPStatus, detail: str) -> None:
        super().__init__(detail)
        self.status = status


def answering(*query: str) -> Callable[[Handler], Handler]:
    """Wrap a handler so that each error becomes a problem that says what to do, and none shows internals.

    What is read again and again carries an ETag, and is 304 without a body where it is still what the caller has.

    Args:
        query: The parameters that its query may have, beside those of the host; `*` for any.
    """

    def wrap(handler: Handler) -> Handler:
        @traced
        @functools.wraps(handler)
        def wrapped(req: func.HttpRequest) -> func.HttpResponse:
            try:
                _refuse_unknown(req.params, query)
                _refuse_blanks(req.route_params)
                return _unless_known(req, handler(req))
            except Problem as problem:
                return _problem(problem.status, str(problem))
            except CabferryError as error:
                _log.warning("%s: %s", handler.__name__, error)
                return _problem(_status(error), str(error), _wait(error))
            except ImportError as error:
                _log.exception("%s: the app is not installed as it should be", handler.__name__)
                # azure-core tells which package it misses in the cause of its own error alone.
                name = error.name or getattr(error.__cause__, "name", None) or "a package"
                return _problem(
                    HTTPStatus.INTERNAL_SERVER_ERROR,
                    f"the app is not installed as it should be: {name} cannot be imported",
                )
            except Exception:  # noqa: BLE001 - it is logged whole, and the caller must not see internals
                _log.exception("%s failed", handler.__name__)
                return _problem(HTTPStatus.INTERNAL_SERVER_ERROR, "an unexpected error; the app's log has it")

        return wrapped

    return wrap


def answer(
    body: Struct | Mapping[str, object], status: HTTPStatus = HTTPStatus.OK, headers: Mapping[str, str] | None = None
) -> func.HttpResponse:
    """Return a JSON answer.

    Args:
        body: What to tell.
        status: The status.
        headers: Further headers.
    """
    from msgspec.json import encode

    return func.HttpResponse(
        encode(body), status_code=status.value, mimetype="application/json", headers=dict(headers or {})
    )


def accepted(body: Struct, location: str) -> func.HttpResponse:
    """Return the answer to what was asked for and is done later.

    Args:
        body: What was asked for.
        location: Where it can be looked at, in some seconds.
    """
    return answer(body, HTTPStatus.ACCEPTED, {"Location": location, "Retry-After": _LOOK_AGAIN_SECONDS})


def json_body(req: func.HttpRequest) -> bytes:
    """Return a request's body, which is not too large and not declared as something else than JSON.

    Raises:
        Problem: It is.
    """
    from shared.api.requests import BODY_BYTES

    kind = req.headers.get("Content-Type", "").partition(";")[0].strip().lower()
    if kind not in _UNSAID and kind != "application/json" and not kind.endswith("+json"):
        raise Problem(HTTPStatus.UNSUPPORTED_MEDIA_TYPE, "the body's Content-Type must be application/json")
    body = req.get_body()
    if len(body) > BODY_BYTES:
        raise Problem(HTTPStatus.REQUEST_ENTITY_TOO_LARGE, f"the body has {len(body)} bytes, more than {BODY_BYTES}")
    return body


def _refuse_unknown(given: Mapping[str, str], known: Collection[str]) -> None:
    """Refuse a parameter that nobody reads: a filter that is misspelled must not show everything."""
    if "*" in known:
        return
    if unknown := sorted(name for name in given if name not in known and name.lower() not in _OF_THE_HOST):
        takes = f"it takes {', '.join(known)}" if known else "it takes none"
        named = " or ".join(repr(excerpt(each, 40)) for each in unknown[:_NAMED])
        named += f" or {len(unknown) - _NAMED} more" if len(unknown) > _NAMED else ""
        raise Problem(HTTPStatus.BAD_REQUEST, f"this call has no query parameter {named}; {takes}")


def _refuse_blanks(parts: Mapping[str, str]) -> None:
    """Refuse a part of a path with a blank or what nobody sees: there it is a slip of the caller, not an export's."""
    for name, value in parts.items():
        if " " in value or not value.isprintable():
            told = excerpt(value, 80)
            raise Problem(HTTPStatus.BAD_REQUEST, f"{name} is {told!r} in the path: leave out blanks and line ends")


def _unless_known(req: func.HttpRequest, made: func.HttpResponse) -> func.HttpResponse:
    """Return an answer with its ETag, or without its body where the caller has it (RFC 9110, section 13.1.2)."""
    if req.method not in _READING or made.status_code != HTTPStatus.OK:
        return made
    etag = made.headers.get("ETag") or etag_of(made.get_body())
    made.headers["ETag"] = etag
    made.headers.setdefault("Cache-Control", "no-cache")
    has = {each.strip().removeprefix("W/") for each in req.headers.get("If-None-Match", "").split(",")}
    if etag.removeprefix("W/") not in has and "*" not in has:
        return made
    return func.HttpResponse(status_code=HTTPStatus.NOT_MODIFIED.value, headers={"ETag": etag})


def etag_of(told: bytes) -> str:
    """Return the ETag of what an answer tells: weak, since the host may compress it.

    Args:
        told: All that makes one answer another.
    """
    return f'W/"{hashlib.sha256(told).hexdigest()[:32]}"'


def _problem(status: HTTPStatus, detail: str, headers: Mapping[str, str] | None = None) -> func.HttpResponse:
    body = {"type": "about:blank", "title": status.phrase, "status": status.value, "detail": redact(detail)}
    # By the standard library: a problem must also be told where no package can be imported.
    return func.HttpResponse(
        json.dumps(body), status_code=status.value, mimetype="application/problem+json", headers=dict(headers or {})
    )


def _status(error: CabferryError) -> HTTPStatus:
    match error:
        case BadInput():
            return HTTPStatus.BAD_REQUEST
        case SettingsError() | AgainLater():
            return HTTPStatus.SERVICE_UNAVAILABLE
        case NeedsPerson() | Never():
            return HTTPStatus.BAD_GATEWAY
        case _:
            return HTTPStatus.INTERNAL_SERVER_ERROR


def _wait(error: CabferryError) -> dict[str, str]:
    if isinstance(error, AgainLater) and error.wait:
        return {"Retry-After": str(max(1, round(error.wait.total_seconds())))}
    return {}
