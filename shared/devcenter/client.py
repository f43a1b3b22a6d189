"""The calls of the Hardware Dev Center API: templates, schedules, report runs, and raw pages of the cab batch.

Every fact about it stands in docs/api.md with its source.
"""

from __future__ import annotations

import logging
import threading
from contextlib import AbstractContextManager, nullcontext
from http import HTTPStatus
from typing import TYPE_CHECKING
from urllib.parse import quote, urlencode, urljoin, urlsplit

from shared.core import clock
from shared.core.errors import AgainLater, AgainNow, BadAnswer, BadInput, Never
from shared.core.metrics import API_CALLS, API_DURATION
from shared.core.redaction import excerpt
from shared.core.refusals import Refusal, Where
from shared.core.values import Immutable, hiding
from shared.devcenter.report_answers import LOOK_FIRST, made_in, runs_in, schedules_in, templates_in
from shared.web.http_source import REDIRECTS, HttpSource, at_once_again, body_of, refusal_in

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from shared.core.failure import Window
    from shared.devcenter.reports import Listed, ReportRun, Schedule, Template
    from shared.identity.access_tokens import AccessTokens

_log = logging.getLogger(__name__)
_ANALYTICS = "/v1.0/my/analytics/"
_REPORTS = "/analytics/driver/"
# What a list answers is 200; what changes the account is documented as 201.
_GOOD = {True: {HTTPStatus.OK}, False: {HTTPStatus.OK, HTTPStatus.CREATED}}


class _Answer(Immutable, frozen=True):
    body: bytes
    location: str

    __repr__ = hiding("body", "location")


class DevCenter:
    """Call the Dev Center as one Entra application.

    Args:
        base_url: Scheme and host; every token goes there and nowhere else.
        tokens: The application's tokens.
        source: The connections to use.
        guard: Surrounds each call of an application, or about reports: the circuit breaker, which raises CircuitOpen
            in its place. None is a probe's.
        calls_in_flight: How many calls are on their way at once, whoever makes them: the API's limit is not documented.
    """

    def __init__(
        self,
        base_url: str,
        tokens: AccessTokens,
        source: HttpSource,
        guard: Callable[..., AbstractContextManager[object]] = nullcontext,
        calls_in_flight: int = 4,
    ) -> None:
        self._base, self._tokens, self._source, self._guard = base_url, tokens, source, guard
        self._places = threading.BoundedSemaphore(calls_in_flight)

    def schedules(self) -> Listed[Schedule]:
        """List the schedules of the account (`GET /analytics/driver/report`).

        Raises:
            CabferryError: Sorted by what helps, as every call here.
        """
        what = "the list of report schedules"
        return schedules_in(self.fetch_page(self.schedules_url, what), what)

    def report_runs(self, report_id: str, window: Window) -> Listed[ReportRun]:
        """List the runs of a schedule that were made on these days (`GET /analytics/driver/reportdata/{reportId}`)."""
        what = f"the status of report {report_id}"
        return runs_in(self.fetch_page(self.runs_url(report_id, window), what), report_id, what)

    def templates(self) -> Listed[Template]:
        """List the templates of the account (`GET /analytics/driver/reporttemplate`)."""
        what = "the list of report templates"
        return templates_in(self.fetch_page(self._report_url("reporttemplate"), what), what)

    def template(self, template_id: str) -> Template:
        """Return one template (`GET /analytics/driver/reporttemplate/{templateId}`).

        Raises:
            BadInput: The Dev Center does not know it.
            BadAnswer: The answer holds no template.
        """
        what = f"report template {template_id}"
        try:
            body = self.fetch_page(self._report_url("reporttemplate", template_id), what)
        except Never as error:
            raise BadInput(str(error)) from None
        found = templates_in(body, what)
        if not found.items:
            raise BadAnswer(next(iter(found.odd), f"{what}: the answer holds none"))
        return found.items[0]

    def create_template(self, definition: bytes) -> str:
        """Make a template (`POST /analytics/driver/reporttemplate`), and return its id.

        Args:
            definition: Its view, projection and dateRange, as JSON.

        Raises:
            BadInput: The Dev Center refuses it.
        """
        what = "making a report template"
        return made_in(self._post(self._report_url("reporttemplate"), what, definition), "templateid", what)

    def create_schedule(self, definition: bytes) -> str:
        """Make a schedule (`POST /analytics/driver/report`), and return its reportId.

        Args:
            definition: Its templateId, schedule and CallbackURL, as JSON.

        Raises:
            BadInput: The Dev Center refuses it.
        """
        what = "scheduling a report"
        return made_in(self._post(self.schedules_url, what, definition), "reportid", what)

    def set_active(self, report_id: str, *, is_active: bool) -> None:
        """Pause a schedule, or let it go on (`POST /analytics/driver/report/{pause or resume}/{reportId}`).

        Raises:
            BadInput: The Dev Center refuses it.
        """
        verb = "resume" if is_active else "pause"
        self._post(self._report_url("report", verb, report_id), f"the wish to {verb} report {report_id}", b"")

    @property
    def schedules_url(self) -> str:
        """Return the address of the schedules."""
        return self._report_url("report")

    def runs_url(self, report_id: str, window: Window) -> str:
        """Return the address of a schedule's runs."""
        dates = {"startDate": window.start.isoformat(), "endDate": window.end.isoformat()}
        return f"{self._report_url('reportdata', report_id)}?{urlencode(dates)}"

    def _report_url(self, *parts: str) -> str:
        return f"{self._base}{_REPORTS}{'/'.join(quote(each, safe='') for each in parts)}"

    def analytics_url(self, path: str, query: Mapping[str, str]) -> str:
        """Return the address of a call of the analytics.

        Args:
            path: Below `/v1.0/my/analytics/`.
            query: Its parameters.
        """
        return f"{self._base}{_ANALYTICS}{path}?{urlencode(query)}"

    def url_of(self, link: str, counted: str) -> str:
        """Return the address of a page: where its link leads, or as it is counted.

        Args:
            link: The next link of the page before: untrusted; empty where there was none. One that leads away from our
                host is not followed: the rows behind it are still ours to fetch, by counting.
            counted: The address by counting rows.
        """
        if not link:
            return counted
        try:
            return self.next_url(link)
        except BadInput as error:
            _log.warning("%s; it is gone on by counting", error)
            return counted

    def next_url(self, link: str) -> str:
        """Return where a page's next link leads, which is untrusted.

        A relative link is relative to `/v1.0/my/analytics/` and not percent-encoded (seen on sibling endpoints), so a
        plain urljoin with the request's URL would give a wrong address.

        Raises:
            BadInput: It leads to another host, which must never receive the token.
        """
        if link.startswith(("http:", "https:", "//")):
            url = link if not link.startswith("//") else f"{urlsplit(self._base).scheme}:{link}"
        elif link.startswith("/"):
            url = self._base + link
        else:
            url = self._base + ("/" if link.startswith(_ANALYTICS[1:]) else _ANALYTICS) + link
        if not self._is_ours(url):
            raise BadInput(f"a next link leads away from {self._base}: {excerpt(link)}")
        return quote(url, safe="%/:?#[]@!$&()*+,;=~'")

    def fetch_page(self, url: str, what: str, application: str = "") -> bytes:
        """Fetch a page of a list.

        Args:
            url: From `analytics_url` or `url_of`.
            what: Names the page in errors.
            application: Whose failures it is about; empty for the reports.

        Raises:
            NeedsPerson: 401 with a fresh token too, or 403.
            Never: The request itself is refused (400, 404).
            AgainLater: 408, 429, 5xx, no connection, no answer in time.
            BadAnswer: Anything else that is no page.
        """
        return self._answered(url, what, application, Where.DEVCENTER).body

    def redirect(self, url: str, what: str, application: str) -> str:
        """Ask for a cab, and return where its redirect leads: untrusted. It is not followed, so the token stays here.

        Args:
            url: From `analytics_url`.
            what: Names the cab in errors.
            application: Whose cab it is.

        Raises:
            CabUnavailable: It is gone (404, 410), or may not be downloaded (403).
            BadInput: It leads to what is no URL.
            CabferryError: As `fetch_page`.
        """
        location = self._answered(url, what, application, Where.CAB_DOWNLOAD).location
        try:
            return urljoin(url, location)  # A location may be relative to what was asked (RFC 9110, section 10.2.2).
        except ValueError:
            raise BadInput(f"{what}: its redirect leads to what is no URL: {excerpt(location)}") from None

    def _post(self, url: str, what: str, content: bytes) -> bytes:
        """Ask for something that changes the account: once, since a second try could make a second of it."""
        with self._places, self._guard():
            try:
                return self._answer(url, what, Where.DEVCENTER, content).body
            except (AgainNow, AgainLater) as error:
                wait = error.wait if isinstance(error, AgainLater) else None
                raise AgainLater(f"{error}; {LOOK_FIRST}", wait, outage=error.outage) from None
            except Never as error:
                raise BadInput(str(error)) from None

    def _answered(self, url: str, what: str, application: str, where: Where) -> _Answer:
        if not self._is_ours(url):
            raise BadInput(f"{what}: {excerpt(url)} is not an address of {self._base}")
        with self._places, self._guard(application) if application else self._guard():
            return at_once_again(lambda: self._answer(url, what, where))

    def _is_ours(self, url: str) -> bool:
        try:
            ours, theirs = urlsplit(self._base), urlsplit(url)
            same_port = ours.port == theirs.port
        except ValueError:
            return False
        named_plainly = url.isprintable() and not ("@" in theirs.netloc or "\\" in url)
        return named_plainly and same_port and (ours.scheme, ours.hostname) == (theirs.scheme, theirs.hostname)

    def _answer(self, url: str, what: str, where: Where, content: bytes | None = None) -> _Answer:
        answer = self._tokens.shown(lambda token: self._ask(url, token, what, where, content))
        if isinstance(answer, Refusal):
            raise answer.as_error(what)
        return answer

    def _ask(self, url: str, token: str, what: str, where: Where, content: bytes | None) -> _Answer | Refusal:
        headers = {"Authorization": f"Bearer {token}", "Accept": "application/json"}
        if content is not None:
            headers["Content-Type"] = "application/json"
        began, status = clock.monotonic(), "none"
        try:
            with self._source.ask(url, headers, what, "GET" if content is None else "POST", content) as response:
                status = str(response.status_code)
                clock.compare(response.headers.get("Date", ""))
                body = body_of(response, what)
                location = response.headers.get("Location", "")
                wants_redirect = where is Where.CAB_DOWNLOAD
                is_redirect = response.status_code in REDIRECTS and bool(location)
                is_good = is_redirect if wants_redirect else response.status_code in _GOOD[content is None]
                return _Answer(body, location) if is_good else refusal_in(response, body, where)
        finally:
            API_CALLS.record(1, status=status)
            API_DURATION.record(clock.monotonic() - began)
