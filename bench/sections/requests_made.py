"""How many requests a pull makes, by Azurite's access log and the Dev Center's count; nothing is timed here."""

from collections.abc import Callable, Sequence
from functools import partial

from bench import contenders
from bench.cabferry import CabferryHost
from bench.plan import Plan
from bench.report import Section, Table, Verdict, at_most
from bench.stage import CAB_ACCOUNT, SOURCE_ACCOUNT, Stage

_SIZE = 65_536
_FAILURES = 100


def run(plan: Plan, facts: Sequence[str]) -> Section:
    """Count requests.

    Args:
        plan: How many cabs.
        facts: Of the machine.
    """
    with Stage(recorded=True) as stage, CabferryHost(stage.settings) as host:
        count = _Counter(stage, host)
        cabs, held = plan.counted_cabs, plan.held_cabs
        sources = stage.sources(_SIZE, max(cabs, held))
        host.pull([stage.failure(sources, 1)], copied=1)
        large, small = stage.failure(sources, held), [stage.failure(sources, 1) for _ in range(_FAILURES)]
        new = count.of(f"new: 1 failure, {cabs:,} cabs", lambda: host.pull([stage.failure(sources, cabs)], copied=cabs))
        ones = count.of(f"new: {_FAILURES} failures, 1 cab each", lambda: host.pull(small, copied=_FAILURES))
        many = count.of(f"new: 1 failure, {held:,} cabs", lambda: host.pull([large], copied=held))
        again = count.of(f"again: {held:,} held cabs", lambda: host.pull([large]))
        exact = stage.sources(_SIZE, cabs)
        others = [contenders.ceiling(stage), contenders.plain_script(stage)]
        others += [contenders.rclone(stage), contenders.azcopy(stage)]
        for each in others:
            if not each.missing:
                count.of(f"{each.name}: {cabs:,} cabs", partial(each.copy, exact, cabs))
    missing = [each.name for each in others if each.missing]
    verdicts = [
        _budget(f"storage requests, 1 failure of {cabs:,} new cabs", new[0], 1, cabs),
        _budget(f"storage requests, {_FAILURES} failures of 1 new cab", ones[0], _FAILURES, _FAILURES),
        _budget(f"storage requests, 1 failure of {held:,} new cabs", many[0], 1, held),
        at_most(f"re-pull of {held:,} held cabs, API calls", again[1], max(1, held / 100)),
        at_most(f"re-pull of {held:,} held cabs, storage requests", again[0], 25),
    ]
    return Section(
        name="requests",
        title="Requests",
        facts=list(facts),
        text=[
            "Counted in the access log of an Azurite that is not timed. Storage requests are those of the cab storage "
            "without queue messages (an idle host polls its queue all the time) and without this bench's own looks at "
            "the row, from the POST on; source requests are those of the source account, among them what storage "
            "itself asks there for a server-side copy. A contender's own checks "
            "are in its figures; the listing and removal of its container by this bench are not."
        ],
        tables=[
            Table(
                "Requests",
                ["", "storage requests", "source requests", "API calls"],
                count.rows + [[name, "missing", "", ""] for name in missing],
            )
        ],
        verdicts=verdicts,
    )


def _budget(what: str, made: int, failures: int, cabs: int) -> Verdict:
    return at_most(what, made, 1.03 * cabs + 5 * failures)


class _Counter:
    """Counts what a piece of work asks of storage and of the Dev Center."""

    def __init__(self, stage: Stage, host: CabferryHost) -> None:
        self._stage, self._host = stage, host
        self.rows: list[list[str]] = []

    def of(self, name: str, work: Callable[[], object]) -> tuple[int, int]:
        """Do the work; return the storage requests and API calls that it made."""
        before = [len(self._stage.azurite.requests(account)) for account in (CAB_ACCOUNT, SOURCE_ACCOUNT)]
        calls, reads = self._stage.api_calls(), self._host.reads
        work()
        made = self._stage.azurite.requests(CAB_ACCOUNT)[before[0] :]
        # This bench lists blobs of its own containers, which are named `copy-..`, and makes and removes these.
        ours = sum(each.path.startswith("/copy-") and each.path.count("/") == 1 for each in made)
        storage = sum(not each.is_queue_message for each in made) - ours - (self._host.reads - reads)
        source = len(self._stage.azurite.requests(SOURCE_ACCOUNT)) - before[1]
        asked = self._stage.api_calls() - calls
        self.rows.append([name, f"{storage:,}", f"{source:,}", f"{asked:,}"])
        return storage, asked
