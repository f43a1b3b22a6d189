"""The calls of the Hardware Dev Center API: schedules, report runs, and raw pages of the cab batch.

Every fact about it stands in docs/api.md with its source.
"""

from __future__ import annotations

import logging
import threading
from contextlib import AbstractContextManager, nullcontext
from http import HTTPStatus
from typing import TYPE_CHECKING, NamedTuple
from urllib.parse import quote, urlencode, urljoin, urlsplit

from shared.core import clock
from shared.core.errors import BadInput
from shared.core.redaction import excerpt
from shared.core.refusals import Meaning, Refusal, Where
from shared.devcenter.reports import Listed, ReportRun, Schedule, runs_in, schedules_in
from shared.web.http_source import HttpSource, at_once_again, body_of, refusal_in

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from shared.core.failure import Window
    from shared.identity.access_tokens import AccessTokens

_log = logging.getLogger(__name__)
_ANALYTICS = "/v1.0/my/analytics/"
_REPORTS = "/analytics/driver/"
_REDIRECTS = {HTTPStatus.FOUND, HTTPStatus.SEE_OTHER, HTTPStatus.TEMPORARY_REDIRECT, HTTPStatus.MOVED_PERMANENTLY}


class _Answer(NamedTuple):
    body: bytes
    location: str


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
        """List the runs of a schedule that were made within the window (`GET /analytics/driver/reportdata/{reportId}`).

        Args:
            report_id: The schedule's id.
            window: Days on which a run was made.
        """
        what = f"the status of report {report_id}"
        return runs_in(self.fetch_page(self.runs_url(report_id, window), what), report_id, what)

    @property
    def schedules_url(self) -> str:
        """Return the address of the schedules."""
        return f"{self._base}{_REPORTS}report"

    def runs_url(self, report_id: str, window: Window) -> str:
        """Return the address of a schedule's runs.

        Args:
            report_id: The schedule's id.
            window: Days on which a run was made.
        """
        dates = {"startDate": window.start.isoformat(), "endDate": window.end.isoformat()}
        return f"{self._base}{_REPORTS}reportdata/{quote(report_id, safe='')}?{urlencode(dates)}"

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
        """Return where a page's next link leads.

        A relative link is relative to `/v1.0/my/analytics/` and not percent-encoded (seen on sibling endpoints), so a
        plain urljoin with the request's URL would give a wrong address.

        Args:
            link: As the page gave it: untrusted.

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

    def _answer(self, url: str, what: str, where: Where) -> _Answer:
        token = self._tokens.current()
        answer = self._ask(url, token, what, where)
        is_refused = isinstance(answer, Refusal) and answer.meaning is Meaning.UNKNOWN_CALLER
        if is_refused and (fresh := self._tokens.renewed(token)) != token:
            answer = self._ask(url, fresh, what, where)
        if isinstance(answer, Refusal):
            raise answer.as_error(what)
        return answer

    def _ask(self, url: str, token: str, what: str, where: Where) -> _Answer | Refusal:
        headers = {"Authorization": f"Bearer {token}", "Accept": "application/json"}
        with self._source.get(url, headers, what) as response:
            clock.compare(response.headers.get("Date", ""))
            body = body_of(response, what)
            location = response.headers.get("Location", "")
            wants_redirect = where is Where.CAB_DOWNLOAD
            is_redirect = response.status_code in _REDIRECTS and bool(location)
            is_good = is_redirect if wants_redirect else response.status_code == HTTPStatus.OK
            return _Answer(body, location) if is_good else refusal_in(response, body, where)
