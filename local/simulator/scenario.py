"""How the simulator behaves: every variant that the API's documentation and real answers leave open, typed."""

from enum import StrEnum

import msgspec


class LinkForm(StrEnum):
    """How a page points to the next one."""

    RELATIVE = "relative"  # relative to /v1.0/my/analytics/, not percent-encoded: what sibling endpoints show
    ABSOLUTE = "absolute"
    FOREIGN = "foreign"  # to another host, which must never get the token
    NONE = "none"  # never, although there are more rows


class LastLink(StrEnum):
    """What the last page has in place of a link."""

    NULL = "null"
    ABSENT = "absent"


class BlobHost(StrEnum):
    """Which host a cab's URL names."""

    STORAGE = "storage"  # the storage account itself: it can be the source of a server-side copy
    FRONT = "front"  # the simulator, which passes on to storage: no storage account can copy from it


class BatchForm(msgspec.Struct, frozen=True, kw_only=True):
    """The shape of the cab batch's answers.

    Args:
        rows_key: The key of the rows.
        link: How a page points to the next.
        link_key: The key of that link.
        last_link: What the last page has in its place.
        total_count: Whether TotalCount is told.
        rewrite_dates: Whether a link's dates are written anew by the server (with a space, and not as asked).
        repeat_rows: How many rows of a page come again on the next.
        shift_rows: How many rows, at the start of each further page, have moved to the end of the listing by then.
        largest_page: The most rows of a page, whatever `top` asks.
        cab_host: Which host a cabUrl names.
        sas_lifetime: Seconds that a URL is good for; below zero it is minted expired.
        clock_ahead: Seconds by which the clock that a page's Date tells goes before this machine's.
    """

    rows_key: str = "Value"
    link: LinkForm = LinkForm.RELATIVE
    link_key: str = "@nextLink"
    last_link: LastLink = LastLink.NULL
    total_count: bool = True
    rewrite_dates: bool = False
    repeat_rows: int = 0
    shift_rows: int = 0
    largest_page: int = 100
    cab_host: BlobHost = BlobHost.STORAGE
    sas_lifetime: float = 3_600.0
    clock_ahead: float = 0.0


class SiblingForm(msgspec.Struct, frozen=True, kw_only=True):
    """The shape of what the analytics of desktop and Store applications answer.

    Args:
        largest_page: The most rows of a page, whatever `top` asks.
    """

    largest_page: int = 10_000


class Location(StrEnum):
    """How a report run's location is given."""

    SAS = "sas"  # with a signature: a plain GET
    FRONT_SAS = "front-sas"  # the same, by the simulator's own address
    BARE = "bare"  # without one: the simulator's own address, which wants a storage token
    STORAGE = "storage"  # without one: the storage account itself, which takes tokens over HTTPS alone


class Header(StrEnum):
    """How a report file's header is spelled."""

    DOCUMENTED = "documented"
    LOWER = "lower"
    UPPER = "upper"


class ReportForm(msgspec.Struct, frozen=True, kw_only=True):
    r"""The shape of one report run.

    Args:
        status: `Completed` and `Success` have a file; any other (Pending, In Progress, Failed) has none.
        location: How the file's location is given.
        delimiter: `\t` or a comma.
        encoding: A Python codec: `utf-8`, `utf-8-sig` and `utf-16` (both with a byte-order mark).
        gzip: Whether the file is compressed.
        extension: The end of its name; says nothing about the bytes.
        header: How the header is spelled.
        quote_all: Whether every field is quoted, or those that need it.
        columns: The columns that the template projects; None means all of the IHVDriver view.
    """

    status: str = "Completed"
    location: Location = Location.SAS
    delimiter: str = "\t"
    encoding: str = "utf-8"
    gzip: bool = True
    extension: str = ".gz"
    header: Header = Header.DOCUMENTED
    quote_all: bool = False
    columns: tuple[str, ...] | None = None

    @property
    def has_file(self) -> bool:
        """Whether a run of this status has a file."""
        return self.status in {"Completed", "Success"}
