"""A large report: how long its ingestion takes, in how much memory and how many requests.

What is counted stands in Azurite's access log and in the queue, and what should be there is read from the files
themselves: nothing of it is taken from what the app says.
"""

import gzip
import re
from base64 import b64decode
from bisect import bisect_left, bisect_right
from collections import defaultdict
from collections.abc import Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from datetime import UTC, datetime
from itertools import accumulate, groupby
from operator import itemgetter

import msgspec
from azure.storage.queue import QueueClient

from bench.long_report import LongReport, long_report
from bench.peers import BENCH
from bench.plan import Plan
from bench.processes import BenchError, run_program
from bench.programs.ingest import Ingested
from bench.programs.job import Measured
from bench.report import Section, Table, at_most
from bench.stage import CAB_ACCOUNT, Stage
from shared.core.facts import CabFacts
from shared.core.failure import Failure
from shared.core.storage_settings import CabStorage
from shared.reports.reader import read_report
from shared.storage.clients import StorageClients
from shared.storage.table_writes import Columns, Write

_SECONDS = 360
_ROWS_A_FAILURE, _CABS_IN_TEN = 50, 3
_WRITERS = 2
_QUEUE = "cab-pulls"
# Messages whose order is looked at: Azurite takes the longer for each the more there are.
_LOOKED_AT = 2_000


class _Nothing(msgspec.Struct):
    """A program without a job."""


class _Message(msgspec.Struct):
    application: str = msgspec.field(name="applicationId")
    hash: str = msgspec.field(name="failureHash")


# When each cab of a failure expires, by applicationId and failureHash, and by cabIdHash.
type _Named = Mapping[tuple[str, str], Mapping[str, str]]


def run(plan: Plan, facts: Sequence[str]) -> Section:
    """Ingest a large report, and a second one that overlaps.

    Args:
        plan: Rows and failures.
        facts: Of the machine.
    """
    rows, failures = plan.report_rows, plan.report_rows // _ROWS_A_FAILURE
    folder = BENCH / "reports"
    first = long_report(folder, rows, failures, _CABS_IN_TEN)
    second = long_report(folder, rows, failures, _CABS_IN_TEN, rows // 5)
    named, again = _read(first), _read(second)
    with Stage(recorded=True) as stage:
        new = _measured(stage, first, named)
    plan.say(f"{new.messages:,} failures and {_cabs(named):,} cabs in {new.took.seconds:.0f} s")
    # In an Azurite of its own: it takes minutes to insert so many rows, and an hour to change them.
    with Stage(recorded=True) as stage:
        _insert_copied(stage, first)
        fresh = _fresh(again, named)
        later = _measured(stage, second, fresh)
        plan.say(f"a second report: {later.messages:,} failures queued in {later.took.seconds:.0f} s")
    memory = max(each.took.peak_rss - each.took.idle_rss for each in (new, later)) / 1e6
    return Section(
        name="ingestion",
        title="A large report",
        facts=list(facts),
        text=[
            f"A gzip file of {first.path.stat().st_size / 1e6:.0f} MB with {rows:,} rows names {failures:,} failures "
            f"and {_cabs(named):,} cabs; half of the cabs are of {_heaviest(named):,} failures. It is ingested in a "
            "fresh process, from the question for the schedules to the row that says so. Then, where all of it is "
            f"copied, a second report is ingested, which begins {rows // 5:,} rows later. Requests are those of "
            "Azurite's access log without queue messages, which are counted in the queue. How far a message stands "
            "from its place is told in messages: the place is that of its failure's first cab to expire among those "
            "that are not held. A `listed` row stands in its failure's partition, and a transaction in one: "
            f"{sum(-(-len(cabs) // 100) for cabs in named.values()):,} transactions are the least for these cabs."
        ],
        tables=[
            Table(
                "Ingestion",
                ["", "s", "CPU, s", "memory above idle, MB", "requests", "requests a cab", "messages", "displaced"],
                [_row("new", new, named), _row("overlapping, all else held", later, again)],
            )
        ],
        verdicts=[
            at_most(f"ingestion of {rows:,} rows", new.took.seconds, _SECONDS, " s"),
            at_most("memory above an idle worker, a large report", memory, 60, " MB"),
            at_most("storage requests a listed cab, a large report", new.requests / _cabs(named), 0.02),
            at_most("storage requests a listed cab, all else held", later.requests / _cabs(again), 0.02),
            at_most("messages a failure, a large report", new.messages / len(named), 1),
            at_most("messages a failure with something new, all else held", later.messages / len(fresh), 1),
            at_most("places that a message is from its own", max(new.displaced, later.displaced), 63),
        ],
    )


@dataclass(frozen=True, slots=True)
class _Measure:
    """What an ingestion took, and what it queued."""

    took: Measured
    requests: int
    messages: int
    displaced: int


def _measured(stage: Stage, report: LongReport, named: _Named) -> _Measure:
    """Let the Dev Center have a report, and ingest it."""
    stage.report(report.path)
    before = len(stage.azurite.requests(CAB_ACCOUNT))
    done = run_program("ingest", _Nothing(), Ingested, stage.settings)
    made = sum(not each.is_queue_message for each in stage.azurite.requests(CAB_ACCOUNT)[before:])
    if [outcome for outcome, _ in done.outcomes] != ["ingested"]:
        raise BenchError(f"the report was not ingested: {done.outcomes}")
    storage = stage.settings["CAB_STORAGE"]
    with QueueClient.from_connection_string(storage, _QUEUE) as queue:
        messages = queue.get_queue_properties().approximate_message_count or 0
        first_ones = list(queue.receive_messages(messages_per_page=32, max_messages=_LOOKED_AT))
    due = sorted(_due(named, failure) for failure in named)
    far = 0
    for place, each in enumerate(first_ones):
        message = msgspec.json.decode(b64decode(each.content), type=_Message)
        mine = _due(named, (message.application, message.hash))
        # Who expires in the same second as others may stand anywhere among them.
        far = max(far, bisect_left(due, mine) - place, place - (bisect_right(due, mine) - 1))
    return _Measure(done.took, made, messages, far)


def _insert_copied(stage: Stage, report: LongReport) -> None:
    """Insert the rows that a report's pulls would leave, were all that it names copied."""
    clients = StorageClients(CabStorage(stage.settings["CAB_STORAGE"], "", "", "", None), _WRITERS)
    for name in ("pulls", "cabs"):
        clients.tables.create_table_if_not_exists(name)
    pulls, cabs, now = clients.table("pulls"), clients.table("cabs"), datetime.now(UTC)
    ended: Columns = {"state": "Completed", "completedAt": now, "updatedAt": now, "startedAt": now}
    held: Columns = {"state": "copied", "blobName": "x", "settledAt": now}

    def insert(failure: Failure, facts: Mapping[str, CabFacts]) -> None:
        rows = [Write(cab, {**held, **_told(each)}, "insert") for cab, each in facts.items()]
        cabs.write_all(failure.cabs_partition, rows)

    copied = defaultdict[Failure, dict[str, CabFacts]](dict)
    with report.path.open("rb") as file:
        for part in read_report(file, "the report"):
            for failure, facts in part.cabs.items():
                copied[failure] |= facts
    for application, of_one in groupby(sorted(copied), key=lambda failure: failure.application_id):
        pulls.write_all(application, [Write(failure.failure_hash, ended, "insert") for failure in of_one])
    with ThreadPoolExecutor(_WRITERS) as crew:
        list(crew.map(insert, copied.keys(), copied.values()))
    clients.close()


def _read(report: LongReport) -> _Named:
    named = dict[tuple[str, str], dict[str, str]]()
    with gzip.open(report.path, "rt", encoding="utf-8", newline="\n") as file:
        header = next(file).rstrip("\r\n").split("\t")
        where = itemgetter(*map(header.index, ("ApplicationId", "FailureHash", "CabIdHash", "CabExpirationTime")))
        for line in file:
            application, key, cab, expires = where(line.split("\t"))
            cabs = named.setdefault((application, key), {})
            if cab:
                cabs[cab] = expires
    return named


def _due(named: _Named, failure: tuple[str, str]) -> str:
    """Return when the first of a failure's cabs expires; one without any has all the time."""
    return min(named[failure].values(), default="9")


def _cabs(named: _Named) -> int:
    return sum(map(len, named.values()))


def _fresh(named: _Named, held: _Named) -> _Named:
    """Return the failures that need a pull, with the cabs that are not held."""
    fresh = {each: {cab: cabs[cab] for cab in cabs.keys() - held.get(each, {}).keys()} for each, cabs in named.items()}
    return {each: cabs for each, cabs in fresh.items() if cabs or not named[each]}


def _told(facts: CabFacts) -> Columns:
    """Return the columns that tell the facts of a cab: failure_name is failureName there."""
    told = msgspec.structs.asdict(facts)
    return {re.sub("_(.)", lambda match: match[1].upper(), name): value for name, value in told.items() if value}


def _heaviest(named: _Named) -> int:
    """Return how many failures have half of the cabs."""
    sums = accumulate(sorted(map(len, named.values()), reverse=True))
    return next(number for number, cabs in enumerate(sums, 1) if cabs * 2 >= _cabs(named))


def _row(name: str, made: _Measure, named: _Named) -> list[str]:
    memory = (made.took.peak_rss - made.took.idle_rss) / 1e6
    figures = [f"{made.took.seconds:.0f}", f"{made.took.cpu_seconds:.0f}", f"{memory:.0f}", f"{made.requests:,}"]
    return [name, *figures, f"{made.requests / _cabs(named):.4f}", f"{made.messages:,}", f"{made.displaced:,}"]
