"""The calls of the Hardware Dev Center API: schedules, report runs, and raw pages of the cab batch.

Every fact about it stands in docs/api.md with its source.
"""

from collections.abc import Callable
from contextlib import AbstractContextManager, nullcontext
from http import HTTPStatus
from urllib.parse import quote, urlencode, urlsplit

from shared.core import clock
from shared.core.errors import BadInput
from shared.core.failure import Failure, Window
from shared.core.redaction import excerpt
from shared.core.refusals import Meaning, Refusal, Where
from shared.devcenter.reports import ReportRun, Schedule, runs_in, schedules_in
from shared.identity.access_tokens import AccessTokens
from shared.web.http_source import HttpSource, at_once_again, body_of, refusal_in

PAGE_ROWS = 100
_ANALYTICS = "/v1.0/my/analytics/"
_BATCH = _ANALYTICS + "driver/cabdownloadbatch"
_REPORTS = "/analytics/driver/"


class DevCenter:
    """Call the Dev Center as one Entra application.

    Args:
        base_url: Scheme and host; every token goes there and nowhere else.
        tokens: The application's tokens.
        source: The connections to use.
        guard: Surrounds each call of an application, or about reports: the circuit breaker, which raises CircuitOpen
            in its place. None is a probe's.
    """

    def __init__(
        self,
        base_url: str,
        tokens: AccessTokens,
        source: HttpSource,
        guard: Callable[..., AbstractContextManager[object]] = nullcontext,
    ) -> None:
        self._base, self._tokens, self._source, self._guard = base_url, tokens, source, guard

    def schedules(self) -> list[Schedule]:
        """List the schedules of the account (`GET /analytics/driver/report`).

        Raises:
            CabferryError: Sorted by what helps, as every call here.
        """
        what = "the list of report schedules"
        return schedules_in(self.fetch_page(self.schedules_url, what), what)

    def report_runs(self, report_id: str, window: Window) -> list[ReportRun]:
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

    def batch_url(self, failure: Failure, window: Window, skip: int) -> str:
        """Return the address of a page of the cab batch.

        Args:
            failure: Whose cabs.
            window: Days of the cabs.
            skip: How many rows come before the page.
        """
        query = {
            "applicationId": failure.application_id,
            "failureHash": failure.failure_hash,
            "startDate": window.start.isoformat(),
            "endDate": window.end.isoformat(),
            "top": PAGE_ROWS,
            "skip": skip,
        }
        return f"{self._base}{_BATCH}?{urlencode(query)}"

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
        """Fetch a page of the cab batch.

        Args:
            url: From `batch_url` or `next_url`.
            what: Names the page in errors.
            application: Whose failures it is about; empty for the reports.

        Raises:
            NeedsPerson: 401 with a fresh token too, or 403.
            Never: The request itself is refused (400, 404).
            AgainLater: 408, 429, 5xx, no connection, no answer in time.
            BadAnswer: Anything else that is no page.
        """
        if not self._is_ours(url):
            raise BadInput(f"{what}: {excerpt(url)} is not an address of {self._base}")
        with self._guard(application) if application else self._guard():
            return at_once_again(lambda: self._answer(url, what))

    def _is_ours(self, url: str) -> bool:
        try:
            ours, theirs = urlsplit(self._base), urlsplit(url)
            same_port = ours.port == theirs.port
        except ValueError:
            return False
        named_plainly = not (theirs.username or theirs.password or "\\" in url or any(c < " " for c in url))
        return named_plainly and same_port and (ours.scheme, ours.hostname) == (theirs.scheme, theirs.hostname)

    def _answer(self, url: str, what: str) -> bytes:
        token = self._tokens.current()
        answer = self._ask(url, token, what)
        is_refused = isinstance(answer, Refusal) and answer.meaning is Meaning.UNKNOWN_CALLER
        if is_refused and (fresh := self._tokens.renewed(token)) != token:
            answer = self._ask(url, fresh, what)
        if isinstance(answer, Refusal):
            raise answer.as_error(what)
        return answer

    def _ask(self, url: str, token: str, what: str) -> bytes | Refusal:
        headers = {"Authorization": f"Bearer {token}", "Accept": "application/json"}
        with self._source.get(url, headers, what) as response:
            clock.compare(response.headers.get("Date", ""))
            body = body_of(response, what)
            is_good = response.status_code == HTTPStatus.OK
            return body if is_good else refusal_in(response, body, Where.DEVCENTER)
