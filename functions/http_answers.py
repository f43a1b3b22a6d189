"""Answers of the HTTP API: JSON, and errors as problem details (RFC 9457)."""

import functools
import json
import logging
from collections.abc import Callable, Mapping
from http import HTTPStatus

import azure.functions as func

from shared.errors import AgainLater, BadInput, CabferryError, NeedsPerson, SettingsError

_log = logging.getLogger(__name__)
type Handler = Callable[[func.HttpRequest], func.HttpResponse]


def answering(handler: Handler) -> Handler:
    """Wrap a handler so that each error becomes a problem that says what to do, and none shows internals.

    Args:
        handler: The function of an HTTP trigger.
    """

    @functools.wraps(handler)
    def wrapped(req: func.HttpRequest) -> func.HttpResponse:
        try:
            return handler(req)
        except CabferryError as error:
            _log.warning("%s: %s", handler.__name__, error)
            return _problem(_status(error), str(error), _wait(error))
        except ImportError as error:
            _log.exception("%s: the app is not installed as it should be", handler.__name__)
            return _problem(
                HTTPStatus.INTERNAL_SERVER_ERROR,
                f"the app is not installed as it should be: {error.name or 'a package'} cannot be imported",
            )
        except Exception:  # noqa: BLE001 - it is logged whole, and the caller must not see internals
            _log.exception("%s failed", handler.__name__)
            return _problem(HTTPStatus.INTERNAL_SERVER_ERROR, "an unexpected error; the app's log has it")

    return wrapped


def answer(
    body: Mapping[str, object], status: HTTPStatus = HTTPStatus.OK, headers: Mapping[str, str] | None = None
) -> func.HttpResponse:
    """Return a JSON answer.

    Args:
        body: What to tell.
        status: The status.
        headers: Further headers.
    """
    return _json(body, status, "application/json", headers or {})


def not_found(detail: str) -> func.HttpResponse:
    """Return a problem that says what is not there."""
    return _problem(HTTPStatus.NOT_FOUND, detail)


def _problem(status: HTTPStatus, detail: str, headers: Mapping[str, str] | None = None) -> func.HttpResponse:
    body = {"type": "about:blank", "title": status.phrase, "status": status.value, "detail": detail}
    return _json(body, status, "application/problem+json", headers or {})


def _json(
    body: Mapping[str, object], status: HTTPStatus, mimetype: str, headers: Mapping[str, str]
) -> func.HttpResponse:
    return func.HttpResponse(
        json.dumps(body, ensure_ascii=False), status_code=status.value, mimetype=mimetype, headers=dict(headers)
    )


def _status(error: CabferryError) -> HTTPStatus:
    match error:
        case BadInput():
            return HTTPStatus.BAD_REQUEST
        case SettingsError() | AgainLater():
            return HTTPStatus.SERVICE_UNAVAILABLE
        case NeedsPerson():
            return HTTPStatus.BAD_GATEWAY
        case _:
            return HTTPStatus.INTERNAL_SERVER_ERROR


def _wait(error: CabferryError) -> dict[str, str]:
    if isinstance(error, AgainLater) and error.wait:
        return {"Retry-After": str(max(1, round(error.wait.total_seconds())))}
    return {}
