"""The families of failures by their names: all that the rest of the app knows of one."""

from __future__ import annotations

from typing import TYPE_CHECKING, Protocol

from shared.core.errors import BadInput
from shared.core.failure import DRIVER
from shared.core.redaction import excerpt
from shared.devcenter.applications import ApplicationFamily
from shared.devcenter.driver import DriverFamily

if TYPE_CHECKING:
    from shared.core.failure import Failure, Window
    from shared.devcenter.client import DevCenter
    from shared.devcenter.cursor import PageRequest
    from shared.devcenter.pages import BatchCab, BatchPage


class CabSource(Protocol):
    """The cabs of one failure, in one window. Both calls may take a minute, and are made in threads of the pool."""

    page_rows: int
    # Whether each cab's URL costs a call of the API, so that what is held must be known before.
    calls_for_urls: bool

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


class Family(Protocol):
    """One family of failures."""

    @property
    def name(self) -> str:
        """The name."""

    @property
    def page_rows(self) -> int:
        """How many rows of a batch are asked for at once."""

    def source(self, devcenter: DevCenter, failure: Failure, window: Window) -> CabSource:
        """Return where a failure's cabs come from."""


# Accounts in the Windows Desktop Application program: an application id is a decimal above 2^63, a cab id a GUID.
DESKTOP = ApplicationFamily("desktop", "desktop/", "cabIdHash", "filename", "applicationversion")
# Store apps: an application id is a Store id (9NBLGGGZ5QDR), a cab id a decimal of up to 19 digits, a text everywhere.
APP = ApplicationFamily("app", "", "cabId", "packagename", "packageversion")
FAMILIES: dict[str, Family] = {family.name: family for family in (DriverFamily(), DESKTOP, APP)}
# Those whose failures are looked for application by application, and not by reports.
APPLICATIONS = {family.name: family for family in (DESKTOP, APP)}


def checked_family(name: str) -> str:
    """Return a family's name as somebody outside names it; empty where none is named.

    Raises:
        BadInput: There is no such family.
    """
    if name and name not in FAMILIES:
        raise BadInput(f"family is {excerpt(name, 40)!r}, which is none of {', '.join(FAMILIES)}")
    return name


def source_of(devcenter: DevCenter, failure: Failure, window: Window) -> CabSource:
    """Return where a failure's cabs come from, by its family."""
    return FAMILIES[failure.family or DRIVER].source(devcenter, failure, window)
