"""What the simulator knows: failures with their cabs, and reports with their runs."""

from collections.abc import Iterable
from dataclasses import dataclass, field
from datetime import datetime
from enum import StrEnum

from local.simulator.cabs import CabArchive
from local.simulator.scenario import ReportForm


class Family(StrEnum):
    """Which of the analytics tells of a failure."""

    DRIVER = "driver"
    DESKTOP = "desktop"
    APP = "app"


@dataclass(frozen=True, slots=True)
class FailureKey:
    """The unit of work: what a cab batch is asked for.

    Args:
        application_id: A decimal of 17 digits (a driver), a decimal above 2^63 (a desktop application), or a Store id;
            a string everywhere.
        failure_hash: A GUID, or what looks like one.
    """

    application_id: str
    failure_hash: str


@dataclass(frozen=True, slots=True)
class Failure:
    """One failure of a driver or an application, with what a report or a row tells about it.

    Args:
        key: Its application and failure hash.
        name: The failure's name, as `AV_contoso!ReadQueue`.
        driver: The driver's file name, an application's, or a package's name.
        driver_version: Its version.
        occurrences_without_cab: How many rows tell of it without a cab.
        family: Whose failure it is.
        product: The application's name; empty for a driver.
    """

    key: FailureKey
    name: str
    driver: str
    driver_version: str
    occurrences_without_cab: int
    family: Family = Family.DRIVER
    product: str = ""


@dataclass(frozen=True, slots=True)
class BlobPlace:
    """Where a blob is: account, container and name."""

    account: str
    container: str
    name: str


@dataclass(frozen=True, slots=True)
class Machine:
    """The machine that a cab came from, as a report's row tells of it."""

    os_version: str
    os_name: str
    architecture: str
    oem: str
    model: str
    cpu: str
    market: str
    device_id: str
    hardware_id: str


@dataclass(frozen=True, slots=True)
class Cab:
    """One failure cab.

    Args:
        failure: The failure it shows.
        cab_id_hash: Its identity: a GUID, or for a Store app up to 19 decimal digits.
        submission_id: `{seller}_{applicationId}_{number}`.
        collected: When the failure happened, UTC.
        expires: From when it is gone, UTC.
        cab_type: `kernel`, `MINI` or `FULL`.
        machine: Where it came from.
        archive: Its bytes.
        place: Where they are held.
        stored: Whether they are held at all; a cab that is not answers 404.
        downloadable: False gives a row `cabDownloadable: false` without a URL.
        has_url: False gives a row that lacks its cabUrl.
        in_report: Whether a report's row names it.
    """

    failure: FailureKey
    cab_id_hash: str
    submission_id: str
    collected: datetime
    expires: datetime
    cab_type: str
    machine: Machine
    archive: CabArchive
    place: BlobPlace
    stored: bool = True
    downloadable: bool = True
    has_url: bool = True
    in_report: bool = True


@dataclass(frozen=True, slots=True)
class Held:
    """What storage holds of a cab: its length in bytes, and its MD5 in hexadecimal."""

    length: int
    md5: str


@dataclass(frozen=True, slots=True)
class ReportRun:
    """One run of a report.

    Args:
        at: When it was generated, UTC.
        form: Its status, its file's shape and how its location is given.
        failures: What the file tells of.
        place: Where the file is held.
    """

    at: datetime
    form: ReportForm
    failures: tuple[FailureKey, ...]
    place: BlobPlace


@dataclass(frozen=True, slots=True)
class Template:
    """What a report is made of.

    Args:
        definition: Its JSON, as it was sent.
        columns: Those that it projects.
        created: When it was made, UTC.
    """

    definition: str
    columns: tuple[str, ...]
    created: datetime


@dataclass(slots=True)
class Report:
    """One schedule: it gives runs.

    Args:
        report_id: Its number.
        template_id: The number of the template it runs.
        created: When it was scheduled, UTC.
        active: Whether it runs on.
        runs: Its runs, oldest first.
        starts: When its first run is due, UTC; None means when it was scheduled.
        interval: Hours between two runs.
        recurrence: How many runs it makes in all.
        callback: The URL that is told of each run; empty for none.
        modified: When it was last paused or resumed, UTC.
    """

    report_id: int
    template_id: int
    created: datetime
    active: bool = True
    runs: list[ReportRun] = field(default_factory=list)
    starts: datetime | None = None
    interval: int = 24
    recurrence: int = 90
    callback: str = field(default="", repr=False)
    modified: datetime | None = None


class World:
    """All of it. What is added waits until the server has put its bytes into storage, and is listed only then."""

    def __init__(self) -> None:
        self.failures: dict[FailureKey, Failure] = {}
        self.templates: dict[int, Template] = {}
        self.reports: dict[int, Report] = {}
        self.held: dict[str, Held] = {}
        self._cabs: dict[FailureKey, list[Cab]] = {}
        self._by_id: dict[tuple[str, str], Cab] = {}
        self.waiting_cabs: list[Cab] = []
        self.waiting_runs: list[tuple[Report, ReportRun]] = []

    def cabs(self, key: FailureKey) -> tuple[Cab, ...]:
        """Return a failure's listed cabs, newest first; none where the failure is unknown."""
        return tuple(self._cabs.get(key, ()))

    def report(self, number: str) -> Report | None:
        """Return a schedule by its number, or None."""
        return self.reports.get(int(number)) if number.isdecimal() else None

    def cab(self, application_id: str, cab_id_hash: str) -> Cab | None:
        """Return a listed cab by its identity, or None."""
        return self._by_id.get((application_id, cab_id_hash))

    def applications(self, family: Family) -> list[str]:
        """Return the ids of a family's applications."""
        return list(dict.fromkeys(key.application_id for key, each in self.failures.items() if each.family is family))

    def all_cabs(self) -> tuple[Cab, ...]:
        """Return every listed cab, failure by failure."""
        return tuple(self._by_id.values())

    def list_cabs(self, cabs: list[Cab]) -> None:
        """Make cabs part of their failures' listings, which are kept newest first.

        Args:
            cabs: What storage holds by now.
        """
        for cab in cabs:
            self._cabs.setdefault(cab.failure, []).append(cab)
            self._by_id[cab.failure.application_id, cab.cab_id_hash] = cab
        for key in {cab.failure for cab in cabs}:
            self._cabs[key].sort(key=lambda cab: (cab.collected, cab.cab_id_hash), reverse=True)

    def unlist_cabs(self, cabs: Iterable[Cab]) -> None:
        """Take cabs out of their failures' listings, as happens when they are deleted; `held` still knows their bytes.

        Args:
            cabs: Listed ones.
        """
        for cab in cabs:
            self._cabs[cab.failure].remove(cab)
            del self._by_id[cab.failure.application_id, cab.cab_id_hash]
