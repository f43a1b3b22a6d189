"""Make the long report: a gzip file of any number of rows with all columns of the IHVDriver view, once."""

import gzip
import random
import uuid
from collections.abc import Iterator
from dataclasses import dataclass
from itertools import accumulate
from pathlib import Path

from local.simulator.report_file import IHV_DRIVER_COLUMNS

_WRITTEN_AT_ONCE = 10_000


@dataclass(frozen=True, slots=True)
class LongReport:
    """A report file, and what is in it.

    Args:
        path: The file.
        rows: Its rows, without the header.
    """

    path: Path
    rows: int


def long_report(folder: Path, rows: int, failures: int = 5_000, cabs_in_ten: int = 2, first: int = 0) -> LongReport:
    """Return the report of so many rows; it is made where it is not there yet.

    Args:
        folder: Where it is kept.
        rows: How many, the same every time: they are seeded.
        failures: How many of these it names.
        cabs_in_ten: How many rows of ten name a cab, each one of its own.
        first: The number of its first row: two reports overlap where their numbers do.
    """
    folder.mkdir(parents=True, exist_ok=True)
    path = folder / f"report-{rows}-{failures}-{cabs_in_ten}-{first}.gz"
    if not path.exists():
        unfinished = path.with_suffix(".unfinished")
        with gzip.open(unfinished, "wt", encoding="utf-8", newline="", compresslevel=6) as file:
            file.write("\t".join(IHV_DRIVER_COLUMNS) + "\r\n")
            file.writelines(_rows(rows, failures, cabs_in_ten, first))
        unfinished.replace(path)
    return LongReport(path, rows)


def _rows(count: int, failures: int, cabs_in_ten: int, first: int) -> Iterator[str]:
    pick = random.Random(failures)  # noqa: S311 - made-up data
    named = [_failure(pick) for _ in range(failures)]
    # Heavy-tailed, as real failures are: a few have most of the rows.
    weights = list(accumulate(pick.paretovariate(1.1) for _ in named))
    for start in range(first, first + count, _WRITTEN_AT_ONCE):
        # Of a row's number alone, so that two reports tell the same of it; the first rows name every failure once.
        pick = random.Random(f"{failures} {start}")  # noqa: S311 - likewise
        numbers = range(start, min(start + _WRITTEN_AT_ONCE, first + count))
        some = pick.choices(named, cum_weights=weights, k=len(numbers))
        yield "".join(
            _row(pick, named[number] if number < failures else failure, number, number % 10 < cabs_in_ten)
            for number, failure in zip(numbers, some, strict=True)
        )


def _failure(pick: random.Random) -> tuple[str, ...]:
    driver = pick.choice(("contosoaudio", "contosonic", "contosofs", "contosogpu", "contosousb"))
    name = f"AV_{driver}!Function{pick.randrange(1_000)}"
    version = f"{pick.randint(1, 9)}.{pick.randint(0, 20)}.{pick.randint(100, 9999)}.{pick.randint(0, 9)}"
    return str(10**16 + pick.randrange(5)), name, _guid(pick), name.partition("_")[2], f"{driver}.sys", version


def _row(pick: random.Random, failure: tuple[str, ...], number: int, has_cab: bool) -> str:
    application, name, failure_hash, symbol, driver, version = failure
    day, second = pick.randrange(1, 29), number % 86_400
    time = f"{second // 3600:02}:{second // 60 % 60:02}:{second % 60:02}"
    moment = f"2026-11-{day:02} {time}"
    cab, expires = (_guid(pick), f"2026-12-{day:02} {time}") if has_cab else ("", "")
    fields = (
        *("43000", f"11{day:02}26", moment, application, f"29989690_{application}_{10**18 + number}", name),
        *(failure_hash, symbol, "10.0.26100.2314", "Windows 11", "BlueScreen", "US", "Desktop, tower or laptop"),
        *(driver, version, "X64", "Fabrikam", "FabBook 14", "Retail", "Kernel", "Intel(R) Core(TM) Ultra 7 155H"),
        *("Client", "Version 24H2", "kernel", cab, expires, f"s:{number:032X}"),
        *(f"PCI\\VEN_8086&DEV_{number % 65_536:04X}", moment, "1"),
    )
    return "\t".join(fields) + "\r\n"


def _guid(pick: random.Random) -> str:
    return str(uuid.UUID(int=pick.getrandbits(128), version=4))
