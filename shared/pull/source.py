"""Where the cabs of a failure come from: a port, behind which each family of failures has its own way."""

from __future__ import annotations

from typing import TYPE_CHECKING, Protocol

if TYPE_CHECKING:
    from shared.devcenter.batch import BatchCab, BatchPage
    from shared.devcenter.cursor import PageRequest


class CabSource(Protocol):
    """The cabs of one failure, in one window. Both calls may take a minute, and are made in threads of the pool."""

    def page(self, request: PageRequest) -> BatchPage:
        """Fetch a page of the cabs. The same page is asked for again, once, where a URL that came with it has expired.

        Raises:
            CabferryError: Sorted by what helps.
        """

    def url(self, cab: BatchCab) -> str:
        """Return where a cab can be fetched from; called right before its copy, so this may ask for the URL.

        Raises:
            CabferryError: Sorted by what helps.
        """
