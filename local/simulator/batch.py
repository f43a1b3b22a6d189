"""Page through a failure's cabs as `cabdownloadbatch` does; without any HTTP."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Self

import msgspec

from local.simulator.catalogue import Cab, FailureKey
from local.simulator.scenario import BatchForm, LinkForm

LARGEST_TOP = 100
DEFAULT_WINDOW = timedelta(days=30)
PATH = "driver/cabdownloadbatch"
_MOMENTS = ("%Y-%m-%d %H:%M:%S", "%Y-%m-%dT%H:%M:%S", "%Y-%m-%dT%H:%M:%SZ")
_DAYS = ("%Y-%m-%d", "%m/%d/%Y", "%Y/%m/%d")


class BadQueryError(Exception):
    """A query parameter is missing or wrong; `problems` says which."""

    def __init__(self, problems: list[str]) -> None:
        super().__init__(" ".join(problems))
        self.problems = problems


@dataclass(frozen=True, slots=True)
class BatchQuery:
    """What a cab batch is asked for.

    Args:
        failure: Which failure.
        start: The start of the window, UTC, included.
        end: The end of the window, UTC, excluded; a day without a time counts as a whole.
        top: The most rows of the page.
        skip: The rows before it.
        dates: `startDate` and `endDate` as they were asked, where they were.
    """

    failure: FailureKey
    start: datetime
    end: datetime
    top: int
    skip: int
    dates: dict[str, str]

    @classmethod
    def parse(cls, query: Mapping[str, str]) -> Self:
        """Read a request's query.

        Args:
            query: Its parameters.

        Raises:
            BadQueryError: Something is missing or wrong.
        """
        problems = [f"{name} parameter is required" for name in ("applicationId", "failureHash") if not query.get(name)]
        top = whole_in(query, "top", LARGEST_TOP, problems)
        if top > LARGEST_TOP:
            problems.append(f"top parameter cannot be more than {LARGEST_TOP}")
        if top == 0:
            problems.append("top parameter must be at least 1")
        skip = whole_in(query, "skip", 0, problems)
        end = moment_in(query, "endDate", datetime.now(UTC), timedelta(days=1), problems)
        start = moment_in(query, "startDate", end - DEFAULT_WINDOW, timedelta(0), problems)
        if problems:
            raise BadQueryError(problems)
        dates = {name: query[name] for name in ("startDate", "endDate") if name in query}
        return cls(FailureKey(query["applicationId"], query["failureHash"].lower()), start, end, top, skip, dates)


@dataclass(frozen=True, slots=True)
class Page:
    """One page of a failure's cabs: its cabs, the skip of the next page (None on the last), and how many there are."""

    cabs: Sequence[Cab]
    next_skip: int | None
    total: int


def page_of(cabs: Sequence[Cab], query: BatchQuery, form: BatchForm) -> Page:
    """Cut the page that was asked for.

    Args:
        cabs: All cabs of the failure, in the listing's order.
        query: What was asked.
        form: How pages overlap and shift.
    """
    top = min(query.top, form.largest_page)
    listed = [cab for cab in cabs if query.start <= cab.collected < query.end]
    listed = _shifted(listed, query.skip, top, form.shift_rows)
    start = max(0, query.skip - min(form.repeat_rows, top - 1)) if query.skip else 0
    end = start + top
    return Page(listed[start:end], end if end < len(listed) else None, len(listed))


def _shifted(cabs: list[Cab], skip: int, top: int, rows: int) -> list[Cab]:
    """Move rows to the end of the listing: some at the start of each page after the first, up to the one asked for.

    So the order differs from page to page, and yet who follows the pages to the end has seen every row.
    """
    for start in range(top, skip + 1, top):
        if start + rows < len(cabs):
            cabs = cabs[:start] + cabs[start + rows :] + cabs[start : start + rows]
    return cabs


class Row(msgspec.Struct, frozen=True, rename="camel"):
    """A row of a cab batch."""

    application_id: str
    submission_id: str
    failure_hash: str
    cab_id_hash: str
    cab_url: str | msgspec.UnsetType
    date: str
    cab_expiration_time: str
    cab_downloadable: bool | msgspec.UnsetType = msgspec.UNSET


def row_of(cab: Cab, url: Callable[[Cab], str]) -> Row:
    """Return a cab's row.

    Args:
        cab: The cab.
        url: Mints its URL; not called where the cab has none.
    """
    return Row(
        application_id=cab.failure.application_id,
        submission_id=cab.submission_id,
        failure_hash=cab.failure.failure_hash,
        cab_id_hash=cab.cab_id_hash,
        cab_url=url(cab) if cab.has_url and cab.downloadable else msgspec.UNSET,
        date=_without_zone(cab.collected),
        cab_expiration_time=_without_zone(cab.expires),
        cab_downloadable=msgspec.UNSET if cab.downloadable else False,
    )


def link_field(page: Page, query: BatchQuery, form: BatchForm, foreign: str) -> dict[str, str | None]:
    """Return the field of a page that points to the next one.

    Args:
        page: The page.
        query: What was asked.
        form: How links look.
        foreign: Another host.
    """
    if page.next_skip is None or form.link is LinkForm.NONE:
        return {"@nextLink": None}
    relative = f"{PATH}?{_link_query(query, page.next_skip)}"
    return {"@nextLink": f"{foreign}/v1.0/my/analytics/{relative}" if form.link is LinkForm.FOREIGN else relative}


def _link_query(query: BatchQuery, skip: int) -> str:
    """Write a link's query; like the real service, without percent-encoding."""
    fields = {"applicationId": query.failure.application_id, "failureHash": query.failure.failure_hash, **query.dates}
    return "&".join(f"{name}={value}" for name, value in {**fields, "top": query.top, "skip": skip}.items())


def _without_zone(moment: datetime) -> str:
    # A page has two hundred of these, and strftime is several times slower.
    return moment.isoformat(" ", "seconds").partition("+")[0]


def whole_in(query: Mapping[str, str], name: str, default: int, problems: list[str]) -> int:
    """Return a parameter that is a whole number; what is wrong with it goes to the problems."""
    text = query.get(name)
    if text is None:
        return default
    if not (text.isascii() and text.isdigit()):
        problems.append(f"{name} parameter must be a whole number")
        return default
    return int(text)


def moment_in(query: Mapping[str, str], name: str, default: datetime, day: timedelta, problems: list[str]) -> datetime:
    """Return a parameter that is a time, or a day, to which `day` is added; what is wrong goes to the problems."""
    text = query.get(name)
    if text is None:
        return default
    for pattern in (*_MOMENTS, *_DAYS):
        try:
            moment = datetime.strptime(text, pattern).replace(tzinfo=UTC)
        except ValueError:
            continue
        return moment + (day if pattern in _DAYS else timedelta(0))
    problems.append(f"{name} parameter is not a date")
    return default
