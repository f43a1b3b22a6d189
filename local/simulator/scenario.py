"""How the simulator behaves, where the API's documentation and real answers leave it open."""

from dataclasses import dataclass
from enum import StrEnum


class LinkForm(StrEnum):
    """How a page points to the next one."""

    RELATIVE = "relative"  # relative to /v1.0/my/analytics/, not percent-encoded: what sibling endpoints show
    FOREIGN = "foreign"  # to another host, which must never get the token
    NONE = "none"  # never, although there are more rows


class BlobHost(StrEnum):
    """Which host a cab's URL names."""

    STORAGE = "storage"  # the storage account itself: it can be the source of a server-side copy
    FRONT = "front"  # the simulator, which passes on to storage: no storage account can copy from it


@dataclass(frozen=True, slots=True, kw_only=True)
class BatchForm:
    """The shape of the cab batch's answers.

    Args:
        link: How a page points to the next.
        repeat_rows: How many rows of a page come again on the next.
        shift_rows: How many rows, at the start of each further page, have moved to the end of the listing by then.
        largest_page: The most rows of a page, whatever `top` asks.
        cab_host: Which host a cabUrl names.
        clock_ahead: Seconds by which the clock that a page's Date tells goes before this machine's.
    """

    link: LinkForm = LinkForm.RELATIVE
    repeat_rows: int = 0
    shift_rows: int = 0
    largest_page: int = 100
    cab_host: BlobHost = BlobHost.STORAGE
    clock_ahead: float = 0.0


class Location(StrEnum):
    """How a report run's location is given."""

    SAS = "sas"  # with a signature: a plain GET
    FRONT_SAS = "front-sas"  # the same, by the simulator's own address
    BARE = "bare"  # without one: the simulator's own address, which wants a storage token
    STORAGE = "storage"  # without one: the storage account itself, which takes tokens over HTTPS alone


@dataclass(frozen=True, slots=True, kw_only=True)
class ReportForm:
    """The shape of one report run.

    Args:
        status: `Completed` and `Success` have a file; any other (Pending, In Progress, Failed) has none.
        location: How the file's location is given.
        columns: The columns that the template projects; None means all of the IHVDriver view.
    """

    status: str = "Completed"
    location: Location = Location.SAS
    columns: tuple[str, ...] | None = None

    @property
    def has_file(self) -> bool:
        """Whether a run of this status has a file."""
        return self.status in {"Completed", "Success"}
