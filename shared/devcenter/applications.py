"""The families of applications: the analytics name their failures and cabs, and one call gives the URL of one cab.

Facts: docs/api.md (Microsoft Store analytics API). Lists have up to 10,000 rows a page; a cab's URL is minted by its
call, so that is asked for when the copy is about to begin, and what is held must be known before.
"""

from __future__ import annotations

import hashlib
from functools import partial
from typing import TYPE_CHECKING

from shared.core.clock import moment_of
from shared.core.facts import CabFacts, fact
from shared.core.failure import Failure, checked_cab_id, normal_id
from shared.core.values import Immutable
from shared.devcenter.fields import envelope_in
from shared.devcenter.pages import BatchCab, BatchPage, Page, cabs_query

if TYPE_CHECKING:
    from datetime import date

    import msgspec

    from shared.core.failure import Window
    from shared.devcenter.client import DevCenter
    from shared.devcenter.cursor import PageRequest
    from shared.devcenter.fields import Fields


class FailureHit(Immutable, frozen=True):
    """One row of failurehits: a failure happened on a day.

    Args:
        failure: Which.
        day: When; None where the row tells none.
        events: How often, sampled: a fraction, which may be near 0.
        name: The failure's name.
        product: The application's name.
        file: Its file or package.
        version: Its version.
    """

    failure: Failure
    day: date | None
    events: float
    name: str
    product: str
    file: str
    version: str


class HitsPage(Page, frozen=True):
    """One page of failurehits; its mark is that of all its rows, since a failure comes in many, maybe millions.

    Args:
        hits: Its readable rows.
    """

    hits: tuple[FailureHit, ...] = ()


class ApplicationFamily(Immutable, frozen=True):
    """Failures of one kind of application.

    Args:
        name: The family, as messages and rows name it.
        path: What comes before the calls' names, below `/v1.0/my/analytics/`.
        cab_key: The key of a cab's id, in a row and in the query of its download.
        file_key: The key of the file or package that failed.
        version_key: The key of its version.
        page_rows: How many rows are asked for at once, at most 10,000.
    """

    name: str
    path: str
    cab_key: str
    file_key: str
    version_key: str
    page_rows: int = 10_000

    def source(self, devcenter: DevCenter, failure: Failure, window: Window) -> ApplicationCabs:
        """Return where a failure's cabs come from."""
        return ApplicationCabs(self, devcenter, failure, window)

    def hits(self, devcenter: DevCenter, application_id: str, window: Window, request: PageRequest) -> HitsPage:
        """Fetch a page of the failures that happened.

        Args:
            devcenter: The API.
            application_id: Whose failures.
            window: On which days; the API knows the last 30.
            request: Which page.

        Raises:
            CabferryError: As `DevCenter.fetch_page`.
        """
        what = f"the failures of {self.name} application {application_id} after {request.skip} rows"
        url = devcenter.url_of(request.link, self.hits_url(devcenter, application_id, window, request.skip))
        return self.hits_page(devcenter.fetch_page(url, what, application_id), what, application_id)

    def hits_url(self, devcenter: DevCenter, application_id: str, window: Window, skip: int) -> str:
        """Return the address of a page of the failures that happened."""
        query = {
            "applicationId": application_id,
            "startDate": f"{window.start:%m/%d/%Y}",
            "endDate": f"{window.end:%m/%d/%Y}",
            "top": str(self.page_rows),
            "skip": str(skip),
        }
        return devcenter.analytics_url(f"{self.path}failurehits", query)

    def hits_page(self, body: bytes, what: str, application_id: str) -> HitsPage:
        """Read a page of the failures that happened, each row on its own.

        Raises:
            BadAnswer: It is no page.
        """
        page = envelope_in(body, what, self.page_rows)
        hits, _, unreadable = page.read("failureHash", partial(self._hit, application_id))
        told = len(page.rows), unreadable, page.link, page.has_link_key, page.total
        return HitsPage(*told, _mark(page.rows), hits)

    def _hit(self, application_id: str, told: Fields) -> FailureHit:
        moment = moment_of(told.text("date"))
        return FailureHit(
            failure=Failure.named(application_id, told.text("failurehash"), self.name),
            day=moment.date() if moment else None,
            events=told.number("eventcount"),
            name=fact(told.text("failurename")),
            product=fact(told.text("productname") or told.text("appname") or told.text("applicationname")),
            file=fact(told.text(self.file_key)),
            version=fact(told.text(self.version_key)),
        )


class ApplicationCabs:
    """The cabs of one failure and window."""

    calls_for_urls = True

    def __init__(self, family: ApplicationFamily, devcenter: DevCenter, failure: Failure, window: Window) -> None:
        self._family, self._devcenter, self._failure, self._window = family, devcenter, failure, window
        self.page_rows = family.page_rows

    def page(self, request: PageRequest) -> BatchPage:
        """Fetch a page of failuredetails.

        Raises:
            CabferryError: As `DevCenter.fetch_page`.
        """
        what = f"the details of {self._failure} after {request.skip} rows"
        query = cabs_query(self._failure, self._window, self.page_rows, request.skip)
        asked = self._devcenter.analytics_url(f"{self._family.path}failuredetails", query)
        url = self._devcenter.url_of(request.link, asked)
        page = envelope_in(self._devcenter.fetch_page(url, what, self._failure.application_id), what, self.page_rows)
        cabs, without_cab, unreadable = page.read(self._family.cab_key, self._cab)
        told = len(page.rows), unreadable, page.link, page.has_link_key, page.total
        return BatchPage(*told, _mark(without_cab), cabs, len(without_cab))

    def url(self, cab: BatchCab) -> str:
        """Ask for a cab: the answer is a redirect to its SAS, minted now.

        Raises:
            CabUnavailable: It is gone, or may not be downloaded.
            CabferryError: As `DevCenter.redirect`.
        """
        query = {"applicationId": self._failure.application_id, self._family.cab_key: cab.cab_id_hash}
        asked = self._devcenter.analytics_url(f"{self._family.path}cabdownload", query)
        return self._devcenter.redirect(asked, f"cab {cab.cab_id_hash}", self._failure.application_id)

    def _cab(self, told: Fields) -> BatchCab | None:
        # A number, where the API writes it as one, is an id all the same.
        if not normal_id(named := told.text(self._family.cab_key.lower())):
            return None
        return BatchCab(
            cab_id_hash=checked_cab_id(named),
            url=None,
            submission_id="",
            date=told.text("date"),
            expires=told.text("cabexpirationtime"),
            downloadable=not told.says_no("cabdownloadable"),
            facts=CabFacts(
                failure_name=fact(told.text("failurename")),
                driver_name=fact(told.text(self._family.file_key)),
                driver_version=fact(told.text(self._family.version_key)),
                os_version=fact(told.text("osbuild") or told.text("osversion")),
                architecture=fact(told.text("osarchitecture")),
                market=fact(told.text("market")),
            ),
        )


def _mark(rows: list[msgspec.Raw]) -> str:
    """Return what tells some rows from those of another page; empty where there are none."""
    digest = hashlib.md5(usedforsecurity=False)
    for row in rows:
        digest.update(bytes(row))
    return digest.hexdigest() if rows else ""
