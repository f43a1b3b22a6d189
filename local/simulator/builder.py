"""Make up a world: seeded, realistic in its fields, heavy-tailed in its numbers."""

import random
import uuid
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta

import msgspec

from local.simulator.cabs import ArchiveKind, CabArchive
from local.simulator.catalogue import (
    BlobPlace,
    Cab,
    Failure,
    FailureKey,
    Family,
    Machine,
    Report,
    ReportRun,
    Template,
    World,
)
from local.simulator.report_file import IHV_DRIVER_COLUMNS
from local.simulator.scenario import ReportForm

CAB_ACCOUNTS = ("uswewatcab09", "uswewatcab12")
REPORT_ACCOUNT = "hardwareanalyticsprod"
CAB_RETENTION = timedelta(days=30)
APPLICATION_CAB_RETENTION = timedelta(days=35)

_SELLER = "29989690"
_DRIVERS = ("contosoaudio", "contosonic", "contosofs", "contosogpu", "contosousb", "contososensor")
_BUGS = ("AV", "0x9F_3_POWER_DOWN", "0x139_3_CORRUPT_LIST_ENTRY", "0x133_DPC", "0xC4", "LKD_0x141_Tdr:6")
_FUNCTIONS = (
    "ReadQueue",
    "CompleteIrp",
    "DpcForIsr",
    "EvtDeviceD0Entry",
    "FlushPages",
    "SubmitRender",
    "HandleSurprise",
)
_SYSTEMS = (("10.0.22631.4460", "Windows 11"), ("10.0.26100.2314", "Windows 11"), ("10.0.19045.5131", "Windows 10"))
_MAKERS = (("Fabrikam", "FabBook 14"), ("Litware", "Workstation Z4"), ("Northwind", "Tablet 9"))
_CPUS = ("Intel(R) Core(TM) Ultra 7 155H", "AMD Ryzen 7 7840U", "Snapdragon(R) X Elite")
_MARKETS = ("US", "DE", "JP", "BR", "IN", "Worldwide")
_CAB_TYPES = ("kernel", "MINI", "FULL")
_PRODUCTS = ("Contoso Studio", "Fabrikam Player", "Litware Notes")
_SMALL_DUMP, _LARGE_DUMP = 64 * 1_024, 2 * 1_024 * 1_024
_STORE_LETTERS = "BCDFGHJKLMNPQRSTVWXZ0123456789"


@dataclass(frozen=True, slots=True)
class CabForm:
    """What the cabs to be made are like.

    Args:
        dump_size: Bytes of the minidump: all the same where both are equal, else heavy-tailed between them.
        age: How long ago the failure happened, at least and at most.
        stored: Whether storage holds them.
        downloadable: Whether they may be downloaded.
        has_url: Whether their rows have a URL.
        in_report: Whether reports name them.
    """

    dump_size: tuple[int, int] = (1_024, 1_024)
    age: tuple[timedelta, timedelta] = (timedelta(hours=2), timedelta(days=28))
    stored: bool = True
    downloadable: bool = True
    has_url: bool = True
    in_report: bool = True


class WorldBuilder:
    """Add to a world. What it adds is listed once the server has published it."""

    def __init__(self, world: World, seed: int, now: datetime | None = None) -> None:
        """Start from a seed.

        Args:
            world: What is added to.
            seed: The same seed, and the same calls, give the same identities and bytes.
            now: What dates count from, UTC; None takes the clock.
        """
        self._world = world
        self._random = random.Random(seed)  # noqa: S311 (made-up data, no secret)
        self._now = (now or datetime.now(UTC)).replace(microsecond=0)
        self._applications: dict[str, str] = {}

    def failure(self, cabs: int = 0, form: CabForm | None = None, occurrences_without_cab: int = 1) -> Failure:
        """Add a failure with cabs.

        Args:
            cabs: How many.
            form: What they are like; small by default.
            occurrences_without_cab: Rows of a report that name no cab.
        """
        pick = self._random
        driver = pick.choice(_DRIVERS)
        failure = Failure(
            key=FailureKey(self._application(driver), self._guid()),
            name=f"{pick.choice(_BUGS)}_{driver}!{pick.choice(_FUNCTIONS)}",
            driver=f"{driver}.sys",
            driver_version=f"{pick.randint(1, 9)}.{pick.randint(0, 20)}.{pick.randint(100, 9999)}.{pick.randint(0, 9)}",
            occurrences_without_cab=occurrences_without_cab,
        )
        self._world.failures[failure.key] = failure
        self.cabs(failure, cabs, form)
        return failure

    def application_failure(
        self,
        family: Family,
        cabs: int = 0,
        form: CabForm | None = None,
        occurrences_without_cab: int = 1,
        number: int = 0,
    ) -> Failure:
        """Add a failure of a desktop or Store application, with cabs.

        Args:
            family: Which of the two.
            cabs: How many.
            form: What they are like; small by default.
            occurrences_without_cab: Rows that name no cab.
            number: Which application of the family.
        """
        pick = self._random
        product = _PRODUCTS[number % len(_PRODUCTS)]
        file = product.replace(" ", "").lower()
        # A sample's hash has the form of a GUID but for its first part.
        odd = f"{pick.getrandbits(24):06d}"[:6] + self._guid()[8:]
        failure = Failure(
            key=FailureKey(self._product(family, number), odd if number == 0 and cabs == 1 else self._guid()),
            name=f"{pick.choice(_BUGS[:1])}_{file}!{pick.choice(_FUNCTIONS)}",
            driver=f"{file}.exe" if family is Family.DESKTOP else f"{product.replace(' ', '.')}_8wekyb3d8bbwe",
            driver_version=f"{pick.randint(1, 9)}.{pick.randint(0, 20)}.{pick.randint(100, 9999)}.0",
            occurrences_without_cab=occurrences_without_cab,
            family=family,
            product=product,
        )
        self._world.failures[failure.key] = failure
        self.cabs(failure, cabs, form)
        return failure

    def cabs(self, failure: Failure, count: int, form: CabForm | None = None) -> Sequence[Cab]:
        """Add cabs to a failure.

        Args:
            failure: A failure of this world.
            count: How many.
            form: What they are like; small by default.
        """
        cabs = [self._cab(failure, form or CabForm(), number) for number in range(count)]
        self._world.waiting_cabs += cabs
        return cabs

    def report(
        self,
        failures: Sequence[Failure],
        form: ReportForm | None = None,
        at: datetime | None = None,
        active: bool = True,
    ) -> Report:
        """Add a schedule with one run.

        Args:
            failures: What the run tells of.
            form: Its shape.
            at: When it was generated, UTC; None means an hour ago.
            active: Whether the schedule runs on.
        """
        created = self._now - timedelta(days=20)
        asked = {"view": "IHVDriver", "projection": IHV_DRIVER_COLUMNS, "dateRange": {"reportPeriod": "Last30Days"}}
        definition = msgspec.json.encode(asked).decode()
        report = self.schedule(self.template(Template(definition, IHV_DRIVER_COLUMNS, created)), created)
        report.active = active
        self.run(report, failures, form, at or self._now - timedelta(hours=1))
        return report

    def template(self, template: Template) -> int:
        """Add a template, and return its number."""
        number = 925 + len(self._world.templates)
        self._world.templates[number] = template
        return number

    def schedule(self, template_id: int, created: datetime) -> Report:
        """Add a schedule that has no run yet.

        Args:
            template_id: What it makes.
            created: When it was scheduled, UTC.
        """
        number = 43_000 + len(self._world.reports) * 7
        self._world.reports[number] = Report(number, template_id, created)
        return self._world.reports[number]

    def run(
        self, report: Report, failures: Sequence[Failure], form: ReportForm | None = None, at: datetime | None = None
    ) -> ReportRun:
        """Add a run to a schedule.

        Args:
            report: A report of this world.
            failures: What the run tells of.
            form: Its shape.
            at: When it was generated, UTC; None means now.
        """
        at = at or datetime.now(UTC).replace(microsecond=0)
        form = form or ReportForm()
        # A number of the seed's in the name: runs of one minute, and of several worlds on one storage, stay apart.
        name = f"{_SELLER}_{report.template_id}_{report.report_id}_{at:%Y%m%d%H%M}_{self._random.getrandbits(32):08x}"
        place = BlobPlace(REPORT_ACCOUNT, f"driver-reports-{_SELLER}", f"{name}.gz")
        run = ReportRun(at, form, tuple(failure.key for failure in failures), place)
        self._world.waiting_runs.append((report, run))
        return run

    def playground(self) -> None:
        """Add some 230 cabs, under 40 MB: failures of very different sizes, and two reports and applications of them.

        One failure of a driver has no cab, one a single one, one more than a page of a listing has; nine share some
        sixty.
        """
        small, drawn = CabForm((_SMALL_DUMP, _SMALL_DUMP)), CabForm((_SMALL_DUMP, _LARGE_DUMP))
        cabs = [(0, drawn), (1, drawn), (130, small), *((share, drawn) for share in self._shares(60, 9))]
        failures = [self.failure(count, form, self._random.randint(1, 20)) for count, form in cabs]
        for number in range(2):
            self.report(failures[number::2])
        for family in (Family.DESKTOP, Family.APP):
            for count in (0, 1, 12):
                failure = self.application_failure(family, count, small, self._random.randint(1, 5))
                # About half of the rows of a real sample were not downloadable.
                self.cabs(failure, count // 2, CabForm(downloadable=False))

    def _shares(self, total: int, parts: int) -> list[int]:
        """Split a number into parts of which a few are large, each at least one."""
        weights = [self._random.paretovariate(1.1) for _ in range(parts)]
        return [max(1, round(total * weight / sum(weights))) for weight in weights]

    def _cab(self, failure: Failure, form: CabForm, number: int) -> Cab:
        pick, key = self._random, failure.key
        youngest, oldest = form.age
        collected = (self._now - youngest - (oldest - youngest) * pick.random()).replace(microsecond=0)
        # Of a Store app a cab has a number of up to 19 digits.
        cab_id_hash = str(pick.randint(10**17, 10**19 - 1)) if failure.family is Family.APP else self._guid()
        retention = CAB_RETENTION if failure.family is Family.DRIVER else APPLICATION_CAB_RETENTION
        kind = ArchiveKind.CAB if number % 3 == 1 else ArchiveKind.ZIP
        extension = ".ext.zip" if kind is ArchiveKind.ZIP else ".cab"
        least, most = form.dump_size
        size = min(most, round(least * pick.paretovariate(0.9))) if most > least else least
        return Cab(
            failure=key,
            cab_id_hash=cab_id_hash,
            submission_id=f"{_SELLER}_{key.application_id}_{pick.randint(10**18, 2 * 10**18)}",
            collected=collected,
            expires=collected + retention,
            cab_type=pick.choice(_CAB_TYPES),
            machine=self._machine(),
            archive=CabArchive(kind, pick.getrandbits(32), size),
            place=BlobPlace(pick.choice(CAB_ACCOUNTS), f"kernel-{collected:%Y%m%d}", cab_id_hash + extension),
            stored=form.stored,
            downloadable=form.downloadable,
            has_url=form.has_url,
            in_report=form.in_report,
        )

    def _machine(self) -> Machine:
        pick = self._random
        (os_version, os_name), (oem, model), cpu = pick.choice(_SYSTEMS), pick.choice(_MAKERS), pick.choice(_CPUS)
        return Machine(
            os_version=os_version,
            os_name=os_name,
            architecture="Arm64" if cpu.startswith("Snapdragon") else "X64",
            oem=oem,
            model=model,
            cpu=cpu,
            market=pick.choice(_MARKETS),
            device_id=f"s:{self._guid().upper()}",
            hardware_id=f"PCI\\VEN_8086&DEV_{pick.getrandbits(16):04X}&SUBSYS_{pick.getrandbits(32):08X}",
        )

    def _application(self, driver: str) -> str:
        """Return the driver's application id: 17 digits, so above 2^53."""
        return self._applications.setdefault(driver, str(self._random.randint(10**16, 10**17 - 1)))

    def _product(self, family: Family, number: int) -> str:
        """Return an application's id: a decimal above 2^63, or a Store id of twelve characters."""
        pick = self._random
        return self._applications.setdefault(
            f"{family} {number}",
            str(pick.randint(2**63, 2**64 - 1))
            if family is Family.DESKTOP
            else "9" + "".join(pick.choices(_STORE_LETTERS, k=11)),
        )

    def _guid(self) -> str:
        return str(uuid.UUID(int=self._random.getrandbits(128), version=4))
