"""Make the long report: a gzip file of any number of rows with all columns of the IHVDriver view, once."""

import gzip
import random
import uuid
from collections.abc import Iterator
from dataclasses import dataclass
from itertools import accumulate
from pathlib import Path

from local.simulator.report_file import IHV_DRIVER_COLUMNS

_FAILURES = 5_000
# One row in so many names a cab of its own.
_ROWS_A_CAB = 5
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


def long_report(folder: Path, rows: int) -> LongReport:
    """Return the report of so many rows; it is made where it is not there yet.

    Args:
        folder: Where it is kept.
        rows: How many, the same every time: they are seeded.
    """
    folder.mkdir(parents=True, exist_ok=True)
    path = folder / f"report-{rows}.gz"
    if not path.exists():
        unfinished = path.with_suffix(".unfinished")
        with gzip.open(unfinished, "wt", encoding="utf-8", newline="", compresslevel=6) as file:
            file.write("\t".join(IHV_DRIVER_COLUMNS) + "\r\n")
            file.writelines(_rows(rows))
        unfinished.replace(path)
    return LongReport(path, rows)


def _rows(count: int) -> Iterator[str]:
    pick = random.Random(count)  # noqa: S311 - made-up data
    failures = [_failure(pick) for _ in range(_FAILURES)]
    # Heavy-tailed, as real failures are: a few have most of the rows.
    weights = list(accumulate(pick.paretovariate(1.1) for _ in failures))
    for start in range(0, count, _WRITTEN_AT_ONCE):
        some = pick.choices(failures, cum_weights=weights, k=min(_WRITTEN_AT_ONCE, count - start))
        yield "".join(_row(pick, failure, start + number) for number, failure in enumerate(some))


def _failure(pick: random.Random) -> tuple[str, ...]:
    driver = pick.choice(("contosoaudio", "contosonic", "contosofs", "contosogpu", "contosousb"))
    name = f"AV_{driver}!Function{pick.randrange(1_000)}"
    version = f"{pick.randint(1, 9)}.{pick.randint(0, 20)}.{pick.randint(100, 9999)}.{pick.randint(0, 9)}"
    return str(10**16 + pick.randrange(5)), name, _guid(pick), name.partition("_")[2], f"{driver}.sys", version


def _row(pick: random.Random, failure: tuple[str, ...], number: int) -> str:
    application, name, failure_hash, symbol, driver, version = failure
    day, second = number % 28 + 1, number % 86_400
    moment = f"2026-10-{day:02} {second // 3600:02}:{second // 60 % 60:02}:{second % 60:02}"
    cab = _guid(pick) if number % _ROWS_A_CAB == 0 else ""
    fields = (
        *("43000", f"10{day:02}26", moment, application, f"29989690_{application}_{10**18 + number}", name),
        *(failure_hash, symbol, "10.0.26100.2314", "Windows 11", "BlueScreen", "US", "Desktop, tower or laptop"),
        *(driver, version, "X64", "Fabrikam", "FabBook 14", "Retail", "Kernel", "Intel(R) Core(TM) Ultra 7 155H"),
        *("Client", "Version 24H2", "kernel", cab, "2026-11-30 00:00:00", f"s:{number:032X}"),
        *(f"PCI\\VEN_8086&DEV_{number % 65_536:04X}", moment, "1"),
    )
    return "\t".join(fields) + "\r\n"


def _guid(pick: random.Random) -> str:
    return str(uuid.UUID(int=pick.getrandbits(128), version=4))
