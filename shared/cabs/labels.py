"""What a blob carries beside its bytes: metadata to read, and index tags to search by."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING
from urllib.parse import quote, unquote

from shared.core.clock import spelled
from shared.core.facts import CabFacts
from shared.core.redaction import redact
from shared.core.values import Immutable

if TYPE_CHECKING:
    from collections.abc import Mapping

    from shared.core.failure import Failure
    from shared.devcenter.pages import BatchCab
    from shared.progress.cab_row import CabRow

# Printable ASCII but the percent sign, which is the escape (RFC 9110 allows these in a header's value).
_HEADER_SAFE = "".join(chr(code) for code in range(0x20, 0x7F) if chr(code) != "%")
# https://learn.microsoft.com/rest/api/storageservices/set-blob-tags: values hold up to 256 of these characters.
_NO_TAG = re.compile(r"[^0-9A-Za-z +\-./:=_]")
_TAG_LENGTH = 256
# All metadata of a blob together may have 8 KiB: fifteen values of ours and their names stay below.
_METADATA_LENGTH = 512
_TOLD = {"failurename", "drivername", "driverversion", "osversion", "architecture", "cabdate"}


class CabLabels(Immutable, frozen=True):
    """What a blob carries beside its bytes.

    Args:
        metadata: Names and header-safe values; a value is percent-decoded to read it.
        tags: Index tags, at most ten.
    """

    metadata: dict[str, str]
    tags: dict[str, str]


def labels(failure: Failure, cab: BatchCab, facts: CabFacts, source: str) -> CabLabels:
    """Return the metadata and index tags of a cab.

    Args:
        failure: The cab's failure.
        cab: The cab's row of the batch.
        facts: What a report, or its own row, told of it.
        source: Host and path of the cabUrl; never its query, which is the key to the cab.
    """
    told = {
        "applicationId": failure.application_id,
        "failureHash": failure.failure_hash,
        "cabIdHash": cab.cab_id_hash,
        "submissionId": cab.submission_id,
        "cabdate": cab.date,
        "cabexpires": cab.expires,
        "source": source,
        **_named(facts),
    }
    tags = _tags(failure, cab.date, facts)
    # Looked through together, which most cabs pass: seventeen searches a cab would be felt.
    together = " ".join((*told.values(), *tags.values()))
    if redact(together) != together:
        told, tags = ({name: redact(value) for name, value in each.items()} for each in (told, tags))
    return CabLabels(
        metadata={name: _header_safe(value) for name, value in told.items() if value.strip()},
        tags=_tag_safe(tags),
    )


def completed(failure: Failure, metadata: Mapping[str, str], row: CabRow) -> CabLabels | None:
    """Return what a blob should carry, where somebody told more of its cab since it was made; None where nobody did.

    Args:
        failure: The cab's failure.
        metadata: What it carries, as it is stored.
        row: What is known of the cab now.
    """
    has = {name.lower(): value for name, value in metadata.items()}
    told = {"cabdate": spelled(row.date), "cabexpires": spelled(row.expires), **_named(row.facts)}
    more = {name: _header_safe(redact(value)) for name, value in told.items() if value and not has.get(name)}
    if not more:
        return None
    version = unquote(has.get("driverversion", "")) or redact(row.facts.driver_version)
    tags = _tags(failure, unquote(has.get("cabdate", "")) or told["cabdate"], CabFacts(driver_version=version))
    return CabLabels(metadata={**metadata, **more}, tags=_tag_safe(tags))


def lacks_a_name(metadata: Mapping[str, str]) -> bool:
    """Tell whether metadata that the app wrote lacks what every report tells of a cab, or every batch."""
    names = {name.lower() for name in metadata}
    return "cabidhash" in names and not names >= _TOLD


def _named(facts: CabFacts) -> dict[str, str]:
    return {
        "failurename": facts.failure_name,
        "drivername": facts.driver_name,
        "driverversion": facts.driver_version,
        "osversion": facts.os_version,
        "architecture": facts.architecture,
        "cabtype": facts.cab_type,
        "market": facts.market,
    }


def _tags(failure: Failure, date: str, facts: CabFacts) -> dict[str, str]:
    return {
        "applicationId": failure.application_id,
        "failureHash": failure.failure_hash,
        "date": date,
        "driverVersion": facts.driver_version,
    }


def _tag_safe(tags: dict[str, str]) -> dict[str, str]:
    return {name: _NO_TAG.sub("_", value)[:_TAG_LENGTH].strip() for name, value in tags.items() if value.strip()}


def _header_safe(value: str) -> str:
    encoded = quote(value.strip(), safe=_HEADER_SAFE)
    if len(encoded) <= _METADATA_LENGTH:
        return encoded
    # Not in the middle of an escape.
    return re.sub(r"%[0-9A-F]?$", "", encoded[:_METADATA_LENGTH]).strip()
