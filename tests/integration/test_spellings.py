"""One failure is one failure and one cab one cab, however their ids are spelled, and what is stored is found."""

from local.simulator import catalogue
from local.simulator.thread import SimulatorThread
from shared.core.failure import Failure
from shared.progress.cab_row import CabState
from shared.progress.messages import PullMessage
from shared.progress.pull_row import PullState

from .app import App, failure_of, served


def in_capitals(failure: catalogue.Failure) -> Failure:
    return Failure(failure.key.application_id, failure.key.failure_hash.upper())


def stored_in_capitals(app: App, simulator: SimulatorThread, cabs: int) -> catalogue.Failure:
    """Let a failure stand as an earlier version left it that had met all its ids in upper case."""
    failure = served(simulator, cabs)
    app.pull(failure)
    old, rows = in_capitals(failure), app.cabs(failure)
    app.services.asked.queue([old], app.window, "an earlier version")
    for cab, row in rows.items():
        name = row.blob_name.replace(failure_of(failure).prefix + cab, old.prefix + cab.upper())
        app.container.get_blob_client(name).upload_blob(app.container.download_blob(row.blob_name).readall())
        app.container.delete_blob(row.blob_name)
        row.blob_name = name
        app.services.pull_tools.cabs.write(old, [(cab.upper(), row)])
    app.change("pulls", old.application_id, old.failure_hash, state="Completed")
    for table, partition, key in (
        ("pulls", failure.key.application_id, failure.key.failure_hash),
        *(("cabs", failure_of(failure).cabs_partition, cab) for cab in rows),
    ):
        app.forget(table, partition, key)
    return failure


def test_what_is_stored_in_capitals_goes_on_there_and_is_not_copied_again(app: App, simulator: SimulatorThread) -> None:
    failure = stored_in_capitals(app, simulator, 3)
    application_id = failure.key.application_id
    before = {blob.name for blob in app.container.list_blobs(name_starts_with=application_id)}
    new = simulator.builder.cabs(failure, 1)[0]
    simulator.builder.report([failure])
    simulator.publish()
    assert [outcome.outcome for outcome in app.check()] == ["ingested"]
    app.work_off()
    row = app.services.pulls.get(in_capitals(failure))
    assert row is not None
    assert (row.state, row.counts.copied, row.counts.already_held) == (PullState.COMPLETED, 1, 3)
    assert app.services.pulls.get(failure_of(failure)) is None
    (copied,) = {blob.name for blob in app.container.list_blobs(name_starts_with=application_id)} - before
    assert copied.startswith(in_capitals(failure).prefix + new.cab_id_hash)
    kept = app.services.pull_tools.cabs.of(in_capitals(failure))
    assert sorted(kept) == sorted(cab.cab_id_hash for cab in simulator.world.cabs(failure.key))
    found = app.reconcile()
    assert (found.missing, found.queued_again, found.rows_mended) == (0, 0, 0)


def test_any_spelling_leads_to_the_pull_that_is_stored(app: App, simulator: SimulatorThread) -> None:
    failure = stored_in_capitals(app, simulator, 1)
    old = in_capitals(failure)
    application_id, failure_hash = failure.key.application_id, failure.key.failure_hash
    for spelling in (failure_hash, old.failure_hash, f"{{{failure_hash}}}", failure_hash.replace("-", "")):
        named = Failure.spelled(application_id, spelling)
        assert app.services.pulls.as_stored(named) == old
        text = PullMessage(old, app.window, "a person").encode().replace(old.failure_hash, spelling)
        app.handle(PullMessage.decode(text.encode()))
    assert app.services.pulls.get(failure_of(failure)) is None
    mixed = Failure(application_id, failure_hash[:20].upper() + failure_hash[20:])
    app.services.asked.queue([mixed], app.window, "an earlier version")
    assert app.services.pulls.as_stored(mixed) == mixed, "the spelling that is asked for, where that is stored"


def test_the_normal_form_goes_on_where_both_are_stored(app: App, simulator: SimulatorThread) -> None:
    failure = stored_in_capitals(app, simulator, 1)
    app.services.asked.queue([failure_of(failure)], app.window, "an earlier version")
    assert app.services.pulls.as_stored(in_capitals(failure)) == failure_of(failure)


def test_a_new_failure_costs_one_look_for_another_spelling(app: App, simulator: SimulatorThread) -> None:
    failure = served(simulator, 2)
    looks = app.asked(lambda: app.services.requests.as_stored([in_capitals(failure)]))
    assert [each.method for each in looks] == ["GET"]
    plain = Failure("1", "012345-5dbc9-b12f-c124-9d9810f05d8b")
    assert not app.asked(lambda: app.services.pulls.as_stored(plain))
    app.request(failure)
    pulled = app.asked(app.work_off)
    assert not [each for each in pulled if each.method == "GET" and "PULLS" in each.path.upper() and "(" in each.path]
    assert set(app.states(failure).values()) == {CabState.COPIED}


def test_many_failures_are_looked_up_in_one_request(app: App, simulator: SimulatorThread) -> None:
    """A report names thousands: a look for each would be felt."""
    old = [stored_in_capitals(app, simulator, 0) for _ in range(2)]
    application_id = old[0].key.application_id
    new = [Failure(application_id, f"{number:08x}-0000-4000-8000-000000000000") for number in range(10)]
    named = [*new, *(failure_of(each) for each in old if each.key.application_id == application_id)]
    found: list[Failure] = []
    looks = app.asked(lambda: found.extend(app.services.requests.as_stored(named)))
    assert len(looks) <= 1 + len(old)
    assert found[: len(new)] == new
    assert found[len(new)] == in_capitals(old[0])
