"""The Dev Center simulator in a process of its own, with failures of any number of cabs that share source blobs.

Each line of its standard input is an order, and each is answered with a line.
"""

import asyncio
import os
import sys
import uuid
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from functools import partial
from pathlib import Path

import msgspec

from local.simulator.builder import CAB_RETENTION, REPORT_ACCOUNT
from local.simulator.cabs import ArchiveKind, CabArchive
from local.simulator.catalogue import BlobPlace, Cab, Failure, FailureKey, Machine, ReportRun, Template, World
from local.simulator.center import DevCenter
from local.simulator.faults import Call
from local.simulator.report_file import IHV_DRIVER_COLUMNS
from local.simulator.scenario import ReportForm
from local.simulator.server import Simulator

APPLICATION = "13984104677400476"
READY = "the Dev Center answers at "
STORAGE, TOKEN = "BENCH_STORAGE", "DEVCENTER_ACCESS_TOKEN"
_CHUNK = 1 << 18
_MACHINE = Machine("10.0.26100.2314", "Windows 11", "X64", "Fabrikam", "FabBook", "CPU", "US", "s:0", "PCI\\0")


class ListCabs(msgspec.Struct, frozen=True, tag=True):
    """List one more failure; the answer is its failureHash.

    Args:
        account: The source account.
        container: The source container, which holds the blobs that `cab_name` names.
        cabs: How many cabs it has.
    """

    account: str
    container: str
    cabs: int


class ListRun(msgspec.Struct, frozen=True, tag=True):
    """Let the only schedule of a report give a run; the answer is its reportId.

    Args:
        path: Its file.
    """

    path: str


class CountCalls(msgspec.Struct, frozen=True, tag=True):
    """Answer how many pages of cab batches were served."""


def cab_name(number: int) -> str:
    """Return the name of a source blob."""
    return f"{number:06}.ext.zip"


def _listed(world: World, order: ListCabs) -> str:
    key = FailureKey(APPLICATION, str(uuid.uuid4()))
    world.failures[key] = Failure(key, "AV_contoso!ReadQueue", "contoso.sys", "1.2.3.4", 0)
    collected = datetime.now(UTC).replace(microsecond=0) - timedelta(days=2)
    world.list_cabs(
        [
            Cab(
                failure=key,
                cab_id_hash=str(uuid.uuid4()),
                submission_id=f"29989690_{APPLICATION}_1152921504626153337",
                collected=collected,
                expires=collected + CAB_RETENTION,
                cab_type="kernel",
                machine=_MACHINE,
                archive=CabArchive(ArchiveKind.ZIP, 0, 1_024),
                place=BlobPlace(order.account, order.container, cab_name(number)),
            )
            for number in range(order.cabs)
        ]
    )
    return key.failure_hash


async def _reported(center: DevCenter, order: ListRun) -> int:
    now, file = datetime.now(UTC).replace(microsecond=0), Path(order.path)
    report = center.builder.schedule(center.builder.template(Template("{}", IHV_DRIVER_COLUMNS, now)), now)
    place = BlobPlace(REPORT_ACCOUNT, "driver-reports", file.name)
    await center.sources.put(place, _chunks(file))
    report.runs.append(ReportRun(now, ReportForm(), (), place))
    return report.report_id


def _chunks(file: Path) -> Iterator[bytes]:
    with file.open("rb") as content:
        yield from iter(partial(content.read, _CHUNK), b"")


async def _serve() -> None:
    storage = msgspec.json.decode(os.environ[STORAGE], type=dict[str, str])
    orders = msgspec.json.Decoder(ListCabs | ListRun | CountCalls)
    async with Simulator(storage, os.environ[TOKEN]) as simulator:
        print(READY + simulator.url, flush=True)
        while line := await asyncio.to_thread(sys.stdin.readline):
            match orders.decode(line):
                case ListCabs() as order:
                    print(_listed(simulator.center.world, order), flush=True)
                case ListRun() as order:
                    print(await _reported(simulator.center, order), flush=True)
                case CountCalls():
                    print(simulator.center.ledger.answers(Call.CAB_BATCH), flush=True)


if __name__ == "__main__":
    asyncio.run(_serve())
