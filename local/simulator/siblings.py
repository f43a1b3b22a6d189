"""What the analytics of desktop and Store applications tell: failurehits and failuredetails; without any HTTP.

Rows, keys and spellings as Microsoft's pages document and sample them: counts are fractions, dates of failurehits are
mm/dd/yyyy, a link is not encoded and may hold a parameter that the server itself breaks.
"""

import random
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from enum import StrEnum
from typing import Self

from local.simulator.batch import BadQueryError, moment_in, whole_in
from local.simulator.catalogue import Cab, Failure, FailureKey, Family, World

LARGEST_TOP = 10_000
WINDOW = timedelta(days=30)

type Row = dict[str, object]


class Kind(StrEnum):
    """Which list is asked for, as its path names it."""

    HITS = "failurehits"
    DETAILS = "failuredetails"


@dataclass(frozen=True, slots=True)
class ListQuery:
    """What a list is asked for.

    Args:
        family: Whose list.
        kind: Which.
        application_id: Whose failures.
        failure_hash: Of failuredetails: whose cabs; empty for failurehits.
        start: The start of the days, UTC, included; never more than 30 days ago.
        end: Their end, UTC, excluded.
        top: The most rows of a page.
        skip: The rows before it.
        group_by: The fields to group by; empty for rows of every day, market, device type and version.
        asked: All parameters but top and skip, as they were asked: a link repeats them.
    """

    family: Family
    kind: Kind
    application_id: str
    failure_hash: str
    start: datetime
    end: datetime
    top: int
    skip: int
    group_by: tuple[str, ...]
    asked: dict[str, str]

    @classmethod
    def parse(cls, family: Family, kind: Kind, query: Mapping[str, str]) -> Self:
        """Read a request's query.

        Raises:
            BadQueryError: Something is missing or wrong.
        """
        needed = ("applicationId", "failureHash") if kind is Kind.DETAILS else ("applicationId",)
        problems = [f"{name} parameter is required" for name in needed if not query.get(name)]
        top = whole_in(query, "top", LARGEST_TOP, problems)
        if not 1 <= top <= LARGEST_TOP:
            problems.append(f"top parameter cannot be more than {LARGEST_TOP}")
        skip = whole_in(query, "skip", 0, problems)
        now = datetime.now(UTC)
        today = now.replace(hour=0, minute=0, second=0, microsecond=0)
        end = moment_in(query, "endDate", today + timedelta(days=1), timedelta(days=1), problems)
        default = today if kind is Kind.HITS else today - WINDOW
        start = max(moment_in(query, "startDate", default, timedelta(0), problems), today - WINDOW)
        if problems:
            raise BadQueryError(problems)
        grouped = tuple(name.strip() for name in query.get("groupby", "").split(",") if name.strip())
        asked = {name: value for name, value in query.items() if name not in {"top", "skip"}}
        failure_hash = query.get("failureHash", "")
        return cls(family, kind, query["applicationId"], failure_hash, start, end, top, skip, grouped, asked)


@dataclass(frozen=True, slots=True)
class Listing:
    """One page of a list: its rows, the skip of the next page (None on the last), and how many rows there are."""

    rows: Sequence[Row]
    next_skip: int | None
    total: int


def listing_of(world: World, query: ListQuery, longest: int) -> Listing:
    """Cut the page that was asked for.

    Args:
        world: What there is.
        query: What was asked.
        longest: The most rows of a page, whatever `top` asks.
    """
    rows = list(_hits(world, query) if query.kind is Kind.HITS else _details(world, query))
    end = query.skip + min(query.top, longest)
    return Listing(rows[query.skip : end], end if end < len(rows) else None, len(rows))


def envelope_of(page: Listing, query: ListQuery) -> Row:
    """Return the body of a page; a list of one page has no link key at all, the last of several has null."""
    body: Row = {"Value": page.rows}
    if page.next_skip is not None:
        prefix = "desktop/" if query.family is Family.DESKTOP else ""
        body["@nextLink"] = f"{prefix}{query.kind}?{_link_query(query, page.next_skip)}"
    elif query.skip:
        body["@nextLink"] = None
    return body | {"TotalCount": page.total}


def _link_query(query: ListQuery, skip: int) -> str:
    """Write a link's query: not encoded, its dates written anew, and of desktop/failurehits with a broken endDate."""
    fields = dict(query.asked)
    for name, moment in (("startDate", query.start), ("endDate", query.end - timedelta(days=1))):
        if name in fields:
            fields[name] = f"{moment:%Y/%m/%d}" if query.kind is Kind.HITS else f"{moment:%Y-%m-%d %H:%M:%S}"
    pairs = [f"{name}={value}" for name, value in (fields | {"top": str(query.top), "skip": str(skip)}).items()]
    if query.family is Family.DESKTOP and query.kind is Kind.HITS:
        pairs = [pair.replace("endDate=", "endDate") for pair in pairs]
    return "&".join(pairs)


def _hits(world: World, query: ListQuery) -> Iterator[Row]:
    for failure in world.failures.values():
        if failure.family is not query.family or failure.key.application_id != query.application_id:
            continue
        seen: set[tuple[object, ...]] = set()
        for row in _hits_of(world, failure, query):
            if not query.group_by:
                yield row
                continue
            names = ("date", "applicationId", "applicationName", "productName", *query.group_by)
            kept = {name: row[name] for name in names if name in row} | {"eventCount": row["eventCount"]}
            group = tuple(kept.get(name) for name in ("date", *query.group_by))
            if group not in seen:
                seen.add(group)
                yield kept


def _hits_of(world: World, failure: Failure, query: ListQuery) -> Iterator[Row]:
    """Yield a row for each day and market in which the failure was seen."""
    cabs = world.cabs(failure.key)
    groups = {(f"{cab.collected:%Y-%m-%d}", cab.machine.market): cab.machine.os_version for cab in cabs}
    # Many crashes leave no cab.
    groups = groups or {(f"{datetime.now(UTC) - timedelta(days=1):%Y-%m-%d}", "US"): ""}
    for (day, market), build in groups.items():
        at = datetime.strptime(day, "%Y-%m-%d").replace(tzinfo=UTC)
        if query.start <= at < query.end:
            # The same row has the same counts each time; below 1 where sampling made it so.
            count = random.Random(f"{failure.key}{day}{market}").uniform(0.001, 9.5)  # noqa: S311 - made-up data
            yield {
                "date": day,
                "applicationId": failure.key.application_id,
                **_application(failure),
                "failureName": failure.name,
                "failureHash": failure.key.failure_hash,
                "symbol": failure.name.partition("_")[2],
                "osVersion": "Windows 11",
                "osBuild": build,
                "osRelease": "Version 24H2",
                "eventType": "crash",
                "market": market,
                "deviceType": "PC",
                **_version(failure),
                "deviceCount": count / 2,
                "eventCount": count,
            }


def _details(world: World, query: ListQuery) -> Iterator[Row]:
    key = FailureKey(query.application_id, query.failure_hash)
    failure = world.failures.get(key)
    if failure is None or failure.family is not query.family:
        return
    for cab in world.cabs(key):
        if query.start <= cab.collected < query.end:
            yield _detail(failure, cab)
    for number in range(failure.occurrences_without_cab):
        yield _without_cab(failure, number)


def _detail(failure: Failure, cab: Cab) -> Row:
    return {
        **_identity(failure),
        "date": f"{cab.collected:%Y-%m-%d %H:%M:%S}",
        cab_key(failure.family): cab.cab_id_hash,
        "cabExpirationTime": f"{cab.expires:%Y-%m-%d %H:%M:%S}",
        "cabDownloadable": cab.downloadable,
        "market": cab.machine.market,
        "osBuild": cab.machine.os_version,
        "osVersion": cab.machine.os_name,
        "osRelease": "Version 24H2",
        "osArchitecture": cab.machine.architecture,
        "deviceModel": cab.machine.model,
        "deviceType": "PC",
        **_version(failure),
    }


def _without_cab(failure: Failure, number: int) -> Row:
    yesterday = datetime.now(UTC) - timedelta(days=1)
    return {
        **_identity(failure),
        "date": f"{yesterday:%Y-%m-%d} 00:00:00",
        cab_key(failure.family): None if number % 2 else "",
        "cabExpirationTime": None,
        "cabDownloadable": False,
        "market": "US",
        "osBuild": f"10.0.26100.{1_000 + number}",
        "deviceType": "PC",
        **_version(failure),
    }


def cab_key(family: Family) -> str:
    """Return the key of a cab's id in a row, and in the query of its download."""
    return "cabIdHash" if family is Family.DESKTOP else "cabId"


def _identity(failure: Failure) -> Row:
    return {
        "applicationId": failure.key.application_id,
        "failureHash": failure.key.failure_hash,
        "failureName": failure.name,
    }


def _application(failure: Failure) -> Row:
    if failure.family is Family.DESKTOP:
        return {"productName": failure.product, "fileName": failure.driver}
    return {"applicationName": failure.product}


def _version(failure: Failure) -> Row:
    if failure.family is Family.DESKTOP:
        return {"applicationVersion": failure.driver_version, "fileName": failure.driver}
    return {"packageName": failure.driver, "packageVersion": failure.driver_version}
