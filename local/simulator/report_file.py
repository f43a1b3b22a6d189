"""Write report files, in flat memory."""

import csv
import random
import zlib
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from itertools import chain

from local.simulator.catalogue import Cab, Failure, ReportRun, World

IHV_DRIVER_COLUMNS = (
    *("ReportId", "FailureDate", "FailureDateTime", "ApplicationId", "SubmissionId", "FailureName", "FailureHash"),
    *("Symbol", "OSVersion", "OSName", "EventType", "Market", "DeviceType", "DriverName", "DriverVersion"),
    *("Architecture", "OEMName", "OEMModel", "FlightRing", "Mode", "CPUName", "OSSKUType", "ReleaseName", "CabType"),
    *("CabIdHash", "CabExpirationTime", "DeviceId", "HardwareId", "CabCollectionTime", "EventCount"),
)
# The view that cannot feed a cab batch, since it has no ApplicationId.
OEM_DRIVER_COLUMNS = tuple(column for column in IHV_DRIVER_COLUMNS if column not in {"ApplicationId", "SubmissionId"})

_GZIP = 31  # zlib's number for a gzip header, with a window of 32 KiB
_CHUNK = 1 << 18


def report_file(world: World, run: ReportRun, report_id: int) -> Iterator[bytes]:
    """Yield the bytes of a run's file: one row per occurrence, in no order, all columns that its template projects.

    Args:
        world: Holds the failures and cabs that the run tells of.
        run: The run.
        report_id: What the ReportId column says.
    """
    rows = [row for key in run.failures for row in _rows(world.failures[key], world.cabs(key), run, report_id)]
    random.Random(run.place.name).shuffle(rows)  # noqa: S311 (an order, no secret)
    yield from _packed(rows, run.form.columns or IHV_DRIVER_COLUMNS)


def _rows(failure: Failure, cabs: Sequence[Cab], run: ReportRun, report_id: int) -> Iterator[dict[str, str]]:
    shared = {
        "ReportId": str(report_id),
        "ApplicationId": failure.key.application_id,
        "FailureName": failure.name,
        "FailureHash": failure.key.failure_hash,
        "Symbol": failure.name.rpartition("_")[2],
        "EventType": "BlueScreen",
        "DeviceType": 'Desktop, "tower" or laptop',
        "DriverName": failure.driver,
        "DriverVersion": failure.driver_version,
        "FlightRing": "Retail",
        "Mode": "Kernel",
        "OSSKUType": "Client",
        "ReleaseName": "Version 24H2",
        "EventCount": "1",
    }
    for cab in cabs:
        if cab.in_report and cab.collected <= run.at:
            yield shared | _cab_fields(cab)
    for _ in range(failure.occurrences_without_cab):
        yield shared | {"FailureDate": f"{run.at:%m%d%y}", "FailureDateTime": f"{run.at:%Y-%m-%d %H:%M:%S}"}


def _cab_fields(cab: Cab) -> dict[str, str]:
    machine = cab.machine
    return {
        "FailureDate": f"{cab.collected:%m%d%y}",
        "FailureDateTime": f"{cab.collected:%Y-%m-%d %H:%M:%S}",
        "SubmissionId": cab.submission_id,
        "OSVersion": machine.os_version,
        "OSName": machine.os_name,
        "Market": machine.market,
        "Architecture": machine.architecture,
        "OEMName": machine.oem,
        "OEMModel": machine.model,
        "CPUName": machine.cpu,
        "CabType": cab.cab_type,
        "CabIdHash": cab.cab_id_hash,
        "CabExpirationTime": f"{cab.expires:%Y-%m-%d %H:%M:%S}",
        "DeviceId": machine.device_id,
        "HardwareId": machine.hardware_id,
        "CabCollectionTime": f"{cab.collected:%Y-%m-%d %H:%M:%S}",
    }


def _packed(rows: Iterable[dict[str, str]], columns: Sequence[str]) -> Iterator[bytes]:
    """Turn rows into the bytes of a file: a header, values with tabs between them, gzip."""
    waiting, packer = bytearray(), zlib.compressobj(level=6, wbits=_GZIP)
    line = _Line()
    writer = csv.writer(line, delimiter="\t")
    for row in chain([dict(zip(columns, columns, strict=True))], rows):
        writer.writerow([row.get(column, "") for column in columns])
        waiting += packer.compress(line.text.encode())
        if len(waiting) >= _CHUNK:
            yield bytes(waiting)
            waiting.clear()
    yield bytes(waiting) + packer.flush()


@dataclass(slots=True)
class _Line:
    """What a csv writer last wrote."""

    text: str = ""

    def write(self, text: str) -> None:
        self.text = text
