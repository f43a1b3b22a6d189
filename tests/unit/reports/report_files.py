"""Report files as the Dev Center might write them, and what a reader made of one."""

import csv
import io
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field

from shared.core.facts import CabFacts
from shared.core.failure import Failure
from shared.reports.reader import read_report

# The IHVDriver view in its documented order.
IHV_DRIVER = (
    *("ReportId", "FailureDate", "FailureDateTime", "ApplicationId", "SubmissionId", "FailureName", "FailureHash"),
    *("Symbol", "OSVersion", "OSName", "EventType", "Market", "DeviceType", "DriverName", "DriverVersion"),
    *("Architecture", "OEMName", "OEMModel", "FlightRing", "Mode", "CPUName", "OSSKUType", "ReleaseName", "CabType"),
    *("CabIdHash", "CabExpirationTime", "DeviceId", "HardwareId", "CabCollectionTime", "EventCount"),
)
APPLICATION = "13984104677400476"
HASH = "1fd83f6d-9fe0-96ec-2c47-ef08b65ccbed"
CAB = "fb57b37b-d364-4caf-995b-d99ae651ee18"
FAILURE = Failure(APPLICATION, HASH)
TOLD = {
    "FailureName": "AV_contoso!ReadQueue",
    "DriverName": "contoso.sys",
    "DriverVersion": "7.6.1637.7",
    "OSVersion": "10.0.26100.2314",
    "Architecture": "Arm64",
    "CabType": "kernel",
}
FACTS = CabFacts(
    failure_name="AV_contoso!ReadQueue",
    driver_name="contoso.sys",
    driver_version="7.6.1637.7",
    os_version="10.0.26100.2314",
    architecture="Arm64",
    cab_type="kernel",
)
ROW = {
    **TOLD,
    "ApplicationId": APPLICATION,
    "FailureHash": HASH,
    "CabIdHash": CAB,
    "DeviceType": 'Desktop, "tower"\tor laptop',
    "DeviceId": "s:DEV1CE-6A1C",
    "HardwareId": "PCI\\VEN_8086&HARDWARE",
}


@dataclass(slots=True)
class Reading:
    """Everything that a report named, its parts put together."""

    cabs: dict[Failure, dict[str, CabFacts]] = field(default_factory=dict)
    parts: int = 0
    unreadable: int = 0
    why: str = ""
    note: str = ""


def text(
    rows: Iterable[Mapping[str, str]] = (ROW,),
    columns: Sequence[str] = IHV_DRIVER,
    delimiter: str = "\t",
    quote_all: bool = False,
) -> str:
    """Write a report's text; a row lacks what it does not name."""
    written = io.StringIO()
    writer = csv.writer(written, delimiter=delimiter, quoting=csv.QUOTE_ALL if quote_all else csv.QUOTE_MINIMAL)
    writer.writerow(columns)
    writer.writerows([row.get(column, "") for column in columns] for row in rows)
    return written.getvalue()


def read(content: bytes, buffered: int = 10_000, *, is_length_told: bool = True) -> Reading:
    """Read a report to its end."""
    reading = Reading()
    for part in read_report(io.BytesIO(content), "report 43000", buffered, is_length_told=is_length_told):
        reading.parts += 1
        reading.unreadable += part.unreadable
        reading.why = reading.why or part.why_unreadable
        reading.note = reading.note or part.note
        # A row and a message are made of each failure of which there are facts: of none that is not believed.
        assert part.facts.keys() == part.hits.keys() == part.cabs.keys()
        for failure, cabs in part.cabs.items():
            reading.cabs.setdefault(failure, {}).update(cabs)
    return reading
