"""The family of drivers: reports name their failures, and each row of a failure's cab batch has its cabUrl."""

from __future__ import annotations

from typing import TYPE_CHECKING

from shared.core.errors import BadAnswer, BadInput, Never
from shared.core.failure import checked_cab_id
from shared.devcenter.fields import envelope_in
from shared.devcenter.pages import BatchCab, BatchPage, cabs_query

if TYPE_CHECKING:
    from shared.core.failure import Failure, Window
    from shared.devcenter.client import DevCenter
    from shared.devcenter.cursor import PageRequest
    from shared.devcenter.fields import Fields

# The most that the API gives (docs/api.md).
PAGE_ROWS = 100


class DriverFamily:
    """Failures of drivers. What another family needs is told by CONTRIBUTING.md, *Where a change belongs*."""

    name, page_rows = "driver", PAGE_ROWS

    def source(self, devcenter: DevCenter, failure: Failure, window: Window) -> CabBatch:
        """Return where a failure's cabs come from."""
        return CabBatch(devcenter, failure, window)


class CabBatch:
    """The batch of one failure and window."""

    page_rows = PAGE_ROWS
    calls_for_urls = False

    def __init__(self, devcenter: DevCenter, failure: Failure, window: Window) -> None:
        self._devcenter, self._failure, self._window = devcenter, failure, window

    def page(self, request: PageRequest) -> BatchPage:
        """Fetch a page. The URLs in it are fresh each time.

        Raises:
            CabferryError: As `DevCenter.fetch_page`.
        """
        what = f"the cab batch of {self._failure} after {request.skip} rows"
        url = self._devcenter.url_of(
            request.link, batch_url(self._devcenter, self._failure, self._window, request.skip)
        )
        return page_in(self._devcenter.fetch_page(url, what, self._failure.application_id), what)

    def url(self, cab: BatchCab) -> str:
        """Return where a cab can be fetched from: its row tells, or else the call for one cab, a redirect to its SAS.

        Raises:
            BadInput: Its row has no URL, and the Dev Center gives none by itself.
            CabferryError: As `DevCenter.redirect`.
        """
        if cab.url is not None:
            return cab.url
        query = {"applicationId": self._failure.application_id, "cabIdHash": cab.cab_id_hash}
        asked = self._devcenter.analytics_url("driver/cabdownload", query)
        what = f"cab {cab.cab_id_hash}"
        try:
            return self._devcenter.redirect(asked, what, self._failure.application_id)
        except (Never, BadAnswer) as error:
            raise BadInput(f"{what} has no cabUrl, and the call for one cab gives none: {error}") from None


def batch_url(devcenter: DevCenter, failure: Failure, window: Window, skip: int) -> str:
    """Return the address of a page of the cab batch."""
    return devcenter.analytics_url("driver/cabdownloadbatch", cabs_query(failure, window, PAGE_ROWS, skip))


def page_in(body: bytes, what: str) -> BatchPage:
    """Read a page of the batch, each row on its own.

    Raises:
        BadAnswer: It is no page.
    """
    page = envelope_in(body, what, PAGE_ROWS)
    cabs, _, unreadable = page.read("cabIdHash", _cab)
    return BatchPage(len(page.rows), unreadable, page.link, page.has_link_key, page.total, cabs=cabs)


def _cab(told: Fields) -> BatchCab:
    return BatchCab(
        cab_id_hash=checked_cab_id(told.quoted("cabidhash")),
        url=told.quoted("caburl") or None,
        submission_id=told.text("submissionid"),
        date=told.text("date"),
        expires=told.text("cabexpirationtime"),
        downloadable=not told.says_no("cabdownloadable"),
    )
