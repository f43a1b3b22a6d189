"""What the simulator's calls share: the world, the faults to come, the ledger, and the way into storage."""

import asyncio
from dataclasses import dataclass, field

from local.simulator.builder import WorldBuilder
from local.simulator.catalogue import Cab, World
from local.simulator.faults import FaultScript
from local.simulator.ledger import Ledger
from local.simulator.report_file import report_file
from local.simulator.scenario import BatchForm
from local.simulator.sources import Sources


@dataclass(slots=True)
class DevCenter:
    """A Dev Center without its HTTP.

    Args:
        sources: The accounts that hold cabs and reports.
        world: What there is.
        builder: Adds to the world; `publish` then lists it.
        faults: What goes wrong next.
        ledger: What was asked and given.
        form: How cab batches look; may be replaced at any time.
        longest_list: The most rows of a page of the lists of desktop and Store applications.
    """

    sources: Sources
    world: World
    builder: WorldBuilder
    faults: FaultScript = field(default_factory=FaultScript)
    ledger: Ledger = field(default_factory=Ledger)
    form: BatchForm = field(default_factory=BatchForm)
    longest_list: int = 10_000

    async def publish(self) -> None:
        """Put what was added to the world into storage, side by side, and then list it."""
        cabs, self.world.waiting_cabs = self.world.waiting_cabs, []
        runs, self.world.waiting_runs = self.world.waiting_runs, []
        async with asyncio.TaskGroup() as uploads:
            for cab in cabs:
                if cab.stored:
                    uploads.create_task(self._hold(cab))
        self.world.list_cabs(cabs)
        for report, run in runs:
            if run.form.has_file:
                await self.sources.put(run.place, report_file(self.world, run, report.report_id))
            report.runs.append(run)

    async def _hold(self, cab: Cab) -> None:
        self.world.held[cab.cab_id_hash] = await self.sources.put(cab.place, cab.archive.chunks())
