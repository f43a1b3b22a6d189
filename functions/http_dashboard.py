"""The page: its files, which hold no data, and its calls for whoever App Service has signed in.

Where a function key opens the API, the page asks for that key, and calls the API as anyone does. Where App Service
signs people in, they have no key: their calls come by here, and each is let through by the person's role.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from functools import cache
from http import HTTPStatus
from pathlib import Path
from typing import TYPE_CHECKING

import azure.functions as func

from functions.callers import CALLER
from functions.http_answers import Problem, answer, answering, etag_of
from shared.core.events import ASKED

if TYPE_CHECKING:
    from collections.abc import Callable

    from shared.api.principal import Person

_PAGE, _FOLDER = "index.html", Path(__file__).parent / "dashboard"
_KINDS = {".html": "text/html", ".css": "text/css", ".js": "text/javascript", ".svg": "image/svg+xml"}
_HEADERS = {
    # The page loads its own files and calls its own app, and text never becomes HTML or a script.
    "Content-Security-Policy": "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self'; "
    "connect-src 'self'; base-uri 'none'; form-action 'none'; frame-ancestors 'none'; "
    "require-trusted-types-for 'script'",
    "X-Content-Type-Options": "nosniff",
    "Referrer-Policy": "no-referrer",
    "Cross-Origin-Opener-Policy": "same-origin",
    "Cross-Origin-Resource-Policy": "same-origin",
}


@dataclass(frozen=True, slots=True)
class _Call:
    """A call of the API: its method and path, the role that it needs, and what answers it."""

    method: str
    path: re.Pattern[str]
    role: str
    function: Callable[[func.HttpRequest], func.HttpResponse]


# A level that is named here reaches no function: the app has one of its own.
blueprint = func.Blueprint()


@blueprint.route("dashboard", methods=["GET", "HEAD"], auth_level=func.AuthLevel.ANONYMOUS)
@answering("*")
def show_dashboard(req: func.HttpRequest) -> func.HttpResponse:  # noqa: ARG001 - the trigger binds it by name
    """Show the page."""
    return _file(_PAGE)


@blueprint.route("dashboard/files/{file}", methods=["GET", "HEAD"], auth_level=func.AuthLevel.ANONYMOUS)
@answering("*")
def show_dashboard_file(req: func.HttpRequest) -> func.HttpResponse:
    """Show a file of the page."""
    return _file(req.route_params["file"])


@blueprint.route("dashboard/me", methods=["GET", "HEAD"], auth_level=func.AuthLevel.ANONYMOUS)
@answering("*")
def show_dashboard_person(req: func.HttpRequest) -> func.HttpResponse:
    """Tell the page how people sign in, and who looks."""
    from shared.core.settings import people_sign_in

    if not people_sign_in():
        return answer({"signIn": "key"}, headers=_HEADERS)
    person = _person(req)
    told: dict[str, object] = {
        "signIn": "entra",
        "name": person.name if person else None,
        "roles": sorted(person.roles) if person else [],
        "login": "/.auth/login/aad?post_login_redirect_uri=/api/dashboard",
        "logout": "/.auth/logout?post_logout_redirect_uri=/api/dashboard",
    }
    return answer(told, headers=_HEADERS)


@blueprint.route("dashboard/calls/{*path}", methods=["GET", "POST"], auth_level=func.AuthLevel.ANONYMOUS)
@answering("*")
def call_from_dashboard(req: func.HttpRequest) -> func.HttpResponse:
    """Make a call of the API for a person whom App Service has signed in, and whose role allows it."""
    from shared.core.settings import people_sign_in

    if not people_sign_in():
        raise Problem(HTTPStatus.NOT_FOUND, "DASHBOARD_SIGN_IN is key: call /api/ itself, with a function key")
    # A session's cookie comes with whatever another page sends; this header no script can set.
    if req.headers.get("Sec-Fetch-Site") != "same-origin":
        raise Problem(HTTPStatus.FORBIDDEN, "only the dashboard itself may call this")
    person = _person(req)
    if person is None:
        raise Problem(HTTPStatus.UNAUTHORIZED, "sign in first: /.auth/login/aad")
    path = f"/api/{req.route_params['path']}"
    found = next(
        ((each, parts) for each in _calls() if each.method == req.method and (parts := each.path.fullmatch(path))), None
    )
    if found is None:
        raise Problem(HTTPStatus.NOT_FOUND, f"there is no {req.method} {path}")
    (call, parts), role = found, found[0].role
    if role not in person.roles:
        raise Problem(
            HTTPStatus.FORBIDDEN,
            f"{person.name} lacks the role {role!r} of the dashboard's Entra application, which {req.method} needs",
        )
    if role == "ask":
        ASKED.tell(by=person.name, method=req.method, path=path)
    token = CALLER.set(person.name)
    try:
        return call.function(
            func.HttpRequest(
                req.method,
                req.url,
                headers=req.headers,
                params=req.params,
                route_params=parts.groupdict(),
                body=req.get_body(),
            )
        )
    finally:
        CALLER.reset(token)


def _person(req: func.HttpRequest) -> Person | None:
    from shared.api.principal import Person

    header = req.headers.get("X-MS-CLIENT-PRINCIPAL")
    return Person.of(header) if header else None


@cache
def _calls() -> list[_Call]:
    """Return the calls that the OpenAPI document names."""
    from functions import http_api, http_downloads, http_plan, http_preflight, http_reports
    from shared.api.openapi import openapi

    modules = (http_api, http_downloads, http_plan, http_preflight, http_reports)
    functions = {name: each for module in modules for name, each in vars(module).items()}
    return [
        _Call(
            method.upper(),
            re.compile(re.sub(r"\\\{(\w+)\\\}", r"(?P<\1>[^/]+)", re.escape(path))),
            "ask" if method == "post" or operation["operationId"] == "fetch_cab" else "look",
            functions[operation["operationId"]],
        )
        for path, operations in openapi()["paths"].items()
        for method, operation in operations.items()
    ]


def _file(name: str) -> func.HttpResponse:
    # Looked up among what is there: no name from outside becomes a part of a path.
    found = _files().get(name)
    if found is None:
        raise Problem(HTTPStatus.NOT_FOUND, f"the dashboard has no file {name}")
    body, etag = found
    return func.HttpResponse(
        body, headers={**_HEADERS, "ETag": etag}, mimetype=_KINDS[Path(name).suffix], charset="utf-8"
    )


@cache
def _files() -> dict[str, tuple[bytes, str]]:
    """Return the page's files with their ETags, by their names."""
    found = {path.name: path.read_bytes() for path in _FOLDER.iterdir() if path.suffix in _KINDS}
    return {name: (body, etag_of(body)) for name, body in found.items()}
