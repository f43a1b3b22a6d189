"""The dashboard opens to those alone whom the platform has signed in, and shows its own files and no other."""

import json
from collections.abc import Mapping
from datetime import date
from typing import Any

import azure.functions as func
import pytest

from functions import http_dashboard
from functions.callers import CALLER, asked_by
from shared.core.askers import RECONCILE, is_person
from shared.core.errors import SettingsError
from shared.core.failure import Window
from shared.progress.pull_row import queued
from tests.unit.api.test_principal import header

ENTRA = {"DASHBOARD_SIGN_IN": "entra", "WEBSITE_AUTH_ENABLED": "True"}
LOOK, ASK = (header(("name", "Ada"), ("roles", role)) for role in ("look", "ask"))
OWN_PAGE = {"Sec-Fetch-Site": "same-origin"}


def ask(handler: Any, method: str = "GET", headers: Mapping[str, str] | None = None, **parts: str) -> func.HttpResponse:
    """Call a function of the dashboard."""
    request = func.HttpRequest(method, "http://127.0.0.1/", headers=headers or {}, route_params=parts, body=b"")
    answered: func.HttpResponse = handler(request)
    return answered


def call(path: str, principal: str | None, method: str = "GET", headers: Mapping[str, str] = OWN_PAGE) -> int:
    """Make a call as the page of somebody who signed in; return its status."""
    shown = {**headers, **({"X-MS-CLIENT-PRINCIPAL": principal} if principal else {})}
    return int(ask(http_dashboard.call_from_dashboard, method, shown, path=path).status_code)


@pytest.fixture
def signed_in(monkeypatch: pytest.MonkeyPatch) -> None:
    """An app whose people sign in; each call that gets through is a 503."""
    for name, value in ENTRA.items():
        monkeypatch.setenv(name, value)

    def services() -> None:
        raise SettingsError("nothing is set up")

    monkeypatch.setattr("shared.services.services", services)


@pytest.mark.usefixtures("signed_in")
def test_a_role_opens_what_it_is_for_and_nothing_else(caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level("INFO", "shared.core.events")
    assert call("pulls", LOOK) == 503
    assert call("pulls", LOOK, "POST") == 403
    assert call("failures/1/a/cabs/b/content", LOOK) == 403
    assert call("failures/1/a/cabs/b/link", LOOK, "POST") == 403
    assert call("pulls/1/a/retry", ASK, "POST") == 503
    assert call("failures/1/a/cabs/b/content", ASK) == 503
    assert "asked: by=Ada method=POST path=/api/pulls/1/a/retry" in caplog.messages
    assert not CALLER.get(), "who asks next is somebody else"
    assert call("pulls", header(("name", "Ada"))) == 403
    assert call("pulls", None) == 401
    assert call("dashboard/me", ASK) == 404
    assert call("../admin/functions", ASK) == 404


@pytest.mark.usefixtures("signed_in")
@pytest.mark.parametrize("site", [{}, {"Sec-Fetch-Site": "cross-site"}, {"Sec-Fetch-Site": "none"}])
def test_another_page_cannot_ask_with_somebodys_session(site: dict[str, str]) -> None:
    assert call("pulls", ASK, "POST", site) == 403


@pytest.mark.parametrize(
    ("settings", "status"),
    [({}, 404), ({"DASHBOARD_SIGN_IN": "entra"}, 503), ({**ENTRA, "WEBSITE_AUTH_ENABLED": "False"}, 503)],
)
def test_where_the_platform_signs_nobody_in_a_made_up_person_is_nobody(
    settings: dict[str, str], status: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The header of a person is then what anyone can send."""
    for name in ENTRA:
        monkeypatch.delenv(name, raising=False)
    for name, value in settings.items():
        monkeypatch.setenv(name, value)
    assert call("pulls", ASK) == status


@pytest.mark.usefixtures("signed_in")
def test_the_page_is_told_who_looks_and_may_ask() -> None:
    told = ask(http_dashboard.show_dashboard_person, headers={"X-MS-CLIENT-PRINCIPAL": ASK})
    assert json.loads(told.get_body())["roles"] == ["ask", "look"]
    assert json.loads(ask(http_dashboard.show_dashboard_person).get_body())["name"] is None


@pytest.mark.parametrize("name", ["..%2fhttp_api.py", "../http_api.py", "/etc/passwd", "missing.js", ""])
def test_no_file_but_those_of_the_page_is_shown(name: str) -> None:
    assert ask(http_dashboard.show_dashboard_file, file=name).status_code == 404


def test_a_file_that_the_browser_has_is_not_sent_again() -> None:
    first = ask(http_dashboard.show_dashboard_file, file="app.js")
    assert first.mimetype == "text/javascript"
    policy = first.headers["Content-Security-Policy"]
    assert policy.startswith("default-src 'none'; script-src 'self'; ")
    assert "unsafe" not in policy
    again = ask(http_dashboard.show_dashboard_file, headers={"If-None-Match": first.headers["ETag"]}, file="app.js")
    assert (again.status_code, again.get_body()) == (304, b"")


def test_a_pull_tells_who_asked_for_it() -> None:
    assert asked_by("POST /api/pulls") == "POST /api/pulls"
    token = CALLER.set("ada@contoso.com")
    assert asked_by("POST /api/pulls") == "ada@contoso.com (POST /api/pulls)"
    CALLER.reset(token)


@pytest.mark.parametrize("name", ["", "reconcile@contoso.com", "reconcile", "report 7 2026-11-28", "check of x", '"'])
def test_no_person_is_taken_for_a_machine_whatever_the_name_is(name: str) -> None:
    """A rule leaves out what a report asks for, and nothing that somebody does."""
    token = CALLER.set(name)
    asks = str(queued(Window(date(2026, 11, 1), date(2026, 11, 28)), asked_by("POST /api/pulls"))["requestedBy"])
    CALLER.reset(token)
    assert is_person(asks)
    assert not asks.startswith("report "), "the catalog tells which report asked"


@pytest.mark.parametrize("asks", [RECONCILE, "report 43007 2026-11-28T03:00:00", "check of application 7"])
def test_no_machine_is_taken_for_a_person(asks: str) -> None:
    assert not is_person(asks)
    assert is_person("reconcile@contoso.com (POST /api/pulls)"), "as it stands in rows of earlier versions"
