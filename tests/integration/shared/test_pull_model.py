"""Whatever comes in whatever order: no cab that was ever served is lost, copied twice, or left without a word.

A model of what hosts, the Dev Center and people may do; Hypothesis chooses what happens, and in which order. After each
step the promise of `pull_promise` is checked in storage. `PULL_MODEL_EXAMPLES=1000` lets it choose for longer.
"""

from __future__ import annotations

import os
from datetime import timedelta
from typing import TYPE_CHECKING

import pytest
from hypothesis import HealthCheck, note, settings
from hypothesis import strategies as st
from hypothesis.stateful import (
    RuleBasedStateMachine,
    initialize,
    invariant,
    precondition,
    rule,
    run_state_machine_as_test,
)

from local.simulator.builder import CabForm
from local.simulator.faults import Call, Fault, FaultKind
from local.simulator.scenario import BatchForm, BlobHost, LastLink, LinkForm
from shared.progress.cabs import CabState
from shared.progress.pulls import PullState

from .mishaps import Mishap, MishapKind, Wires
from .pull_promise import check_promise, check_secrets
from .pull_world import Host, PullWorld

if TYPE_CHECKING:
    from local.simulator.thread import SimulatorThread

    from .conftest import MakeApp

EXAMPLES, STEPS = int(os.environ.get("PULL_MODEL_EXAMPLES", "12")), 12
NEW, OLD, PAST = timedelta(hours=3), timedelta(days=20), timedelta(days=40)
CABS = st.builds(
    CabForm,
    age=st.sampled_from([NEW, OLD]).map(lambda age: (age, age)),
)
ODD_CABS = st.sampled_from(
    [
        CabForm(age=(PAST, PAST)),
        CabForm(age=(PAST, PAST), stored=False),
        CabForm(stored=False),
        CabForm(downloadable=False),
        CabForm(has_url=False),
        CabForm(in_report=False),
    ]
)
FORMS = st.builds(
    BatchForm,
    link=st.sampled_from(LinkForm),
    last_link=st.sampled_from(LastLink),
    total_count=st.booleans(),
    repeat_rows=st.integers(0, 1),
    shift_rows=st.integers(0, 1),
    largest_page=st.integers(2, 4),
    cab_host=st.sampled_from([BlobHost.STORAGE, BlobHost.STORAGE, BlobHost.FRONT]),
).filter(lambda form: form.total_count or form.link is not LinkForm.NONE)
API_FAULTS = st.builds(
    Fault,
    call=st.just(Call.CAB_BATCH),
    kind=st.sampled_from(sorted(set(FaultKind) - {FaultKind.SLOW, FaultKind.THROTTLED_DATE})),
    times=st.sampled_from([1, 1, 3]),
    retry_after=st.just(0),
    match=st.sampled_from([{}, {"skip": "0"}, {"skip": "2"}, {"skip": "3"}, {"skip": "4"}]),
)
AT = st.integers(1, 14)
MISHAPS = st.builds(
    Mishap,
    kind=st.sampled_from(sorted(set(MishapKind) - {MishapKind.FROZEN})),
    at=AT,
    times=st.sampled_from([1, 1, 6]),
)
FAILURES = HOSTS = st.integers(0, 1)


class Pulls(RuleBasedStateMachine):
    """Two failures of one driver, and all that may happen to them."""

    def __init__(self, world: PullWorld) -> None:
        super().__init__()
        self.world = world

    @initialize(form=FORMS, counts=st.tuples(st.integers(1, 8), st.integers(0, 3)), age=st.sampled_from([NEW, OLD]))
    def begin(self, form: BatchForm, counts: tuple[int, int], age: timedelta) -> None:
        self.world.begin(failures=2)
        self.world.simulator.form = form
        self.shifts, self.reports = form.shift_rows > 0, 0
        for watched, count in zip(self.world.watched, counts, strict=True):
            self.world.arrive(watched, count, CabForm(age=(age, age)))

    @rule(which=FAILURES, count=st.integers(1, 5), form=CABS | ODD_CABS)
    def cabs_arrive(self, which: int, count: int, form: CabForm) -> None:
        watched = self.world.watched[which]
        if self.shifts and self.world.is_unfinished(watched):
            return  # Rows that shift and rows that come at once: no reader of pages can be sure of all.
        self.world.arrive(watched, count, form)

    @rule(which=FAILURES, host=HOSTS, mishap=st.none() | MISHAPS)
    def a_message_is_delivered(self, which: int, host: int, mishap: Mishap | None) -> None:
        self.have_message(which)
        note(self.world.deliver(self.world.hosts[host], mishap))

    @rule(which=FAILURES, host=HOSTS, kind=st.sampled_from([MishapKind.KILLED, MishapKind.KILLED_AFTER]), at=AT)
    def a_host_dies(self, which: int, host: int, kind: MishapKind, at: int) -> None:
        self.have_message(which)
        note(self.world.deliver(self.world.hosts[host], Mishap(kind, at)))

    @rule(which=FAILURES, fault=API_FAULTS, mishap=st.none() | MISHAPS)
    def a_message_is_delivered_while_the_api_fails(self, which: int, fault: Fault, mishap: Mishap | None) -> None:
        self.have_message(which)
        self.world.simulator.faults.add(fault)
        note(self.world.deliver(self.world.hosts[0], mishap))
        self.world.simulator.faults.clear()

    @rule(which=FAILURES, at=AT, intruded=st.booleans())
    def an_owner_is_frozen_for_longer_than_its_lease(self, which: int, at: int, intruded: bool) -> None:
        self.have_message(which)
        frozen, other = self.world.hosts
        note(self.world.deliver(frozen, Mishap(MishapKind.FROZEN, at), other if intruded else None))

    @rule(which=FAILURES, mishaps=st.tuples(st.none() | MISHAPS, st.none() | MISHAPS), twice=st.booleans())
    def two_hosts_take_a_message_each(
        self, which: int, mishaps: tuple[Mishap | None, Mishap | None], twice: bool
    ) -> None:
        self.have_message(which)
        self.world.app.request(self.world.watched[which if twice else 1 - which].failure)
        note(str(self.world.deliver_to_all(mishaps)))

    @precondition(lambda self: self.reports < 3)
    @rule(mishap=st.none() | MISHAPS)
    def a_report_comes(self, mishap: Mishap | None) -> None:
        self.reports += 1
        note(self.world.report(self.world.hosts[1], mishap))

    @rule(which=FAILURES, number=st.integers(0, 20))
    def microsoft_deletes_a_cab(self, which: int, number: int) -> None:
        watched = self.world.watched[which]
        here = [cab for cab in watched.held if cab not in watched.withdrawn]
        if here:
            self.world.withdraw(watched, here[number % len(here)])

    @rule(which=FAILURES, number=st.integers(0, 20), is_old=st.booleans())
    def a_blob_is_taken_away(self, which: int, number: int, is_old: bool) -> None:
        watched = self.world.watched[which]
        rows, blobs = self.world.app.cabs(watched.failure), self.world.app.listed(watched.failure)
        here = [cab for cab in watched.cabs if cab in blobs and cab in rows and rows[cab].state is CabState.COPIED]
        if here and not (is_old and self.world.is_unfinished(watched)):
            self.world.take_away(watched, here[number % len(here)], is_old=is_old)

    @invariant()
    def the_promise_holds(self) -> None:
        if self.world.is_changed:
            check_promise(self.world)
            self.world.is_changed = False

    def teardown(self) -> None:
        """At last all is asked for once more, nothing happens any more, and nothing may be left to come."""
        if not self.world.watched:
            return
        for watched in self.world.watched:
            self.world.end_lease(watched)
        self.world.app.request(*[watched.failure for watched in self.world.watched])
        self.world.work_off()
        check_promise(self.world)
        check_secrets(self.world)
        for watched in self.world.watched:
            row = self.world.app.row(watched.failure)
            assert row.state is PullState.COMPLETED, row.last_error
            assert watched.owed == set(watched.cabs)

    def have_message(self, which: int) -> None:
        """Let dead owners' leases end, and let somebody ask for a failure where nobody did."""
        for watched in self.world.watched:
            self.world.end_lease(watched)
        if not self.world.app.queue.peek_messages(1):
            self.world.app.request(self.world.watched[which].failure)


@pytest.mark.timeout(0 if "PULL_MODEL_EXAMPLES" in os.environ else 600)
def test_every_cab_is_copied_or_accounted_for_whatever_happens(
    make_app: MakeApp, simulator: SimulatorThread, monkeypatch: pytest.MonkeyPatch
) -> None:
    common = {"PULL_LEASE_SECONDS": "1", "PULL_MAX_ATTEMPTS": "4", "CAB_LOOKBACK_DAYS": "60", "PULL_CONCURRENCY": "4"}
    hosts = [Host(make_app(**common)), Host(make_app(**common))]
    world = PullWorld(hosts, Wires(monkeypatch), simulator)

    class PullsOfThisWorld(Pulls):
        def __init__(self) -> None:
            super().__init__(world)

    run_state_machine_as_test(
        PullsOfThisWorld,
        settings=settings(
            max_examples=EXAMPLES, stateful_step_count=STEPS, suppress_health_check=[*HealthCheck], print_blob=True
        ),
    )
