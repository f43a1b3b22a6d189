"""Cabs whose URLs do not work: expired, gone, missing, or leading elsewhere. Each ends in the state that is true."""

from datetime import UTC, datetime, timedelta

from local.simulator.builder import CabForm
from local.simulator.catalogue import Cab, Failure
from local.simulator.faults import Call, FaultKind
from local.simulator.scenario import BatchForm
from tests.system.answers import Counts
from tests.system.playground import Playground, blob_name

# Cabs that are past their cabExpirationTime, which is 30 days after the failure.
PAST = (timedelta(days=31), timedelta(days=50))


def _long_ago() -> dict[str, str]:
    """Return days that have the cabs of PAST in them."""
    today = datetime.now(UTC).date()
    return {"startDate": f"{today - timedelta(days=60)}", "endDate": f"{today}"}


def _row(playground: Playground, cab: Cab) -> tuple[str, str]:
    """Return the state and the error of a cab's row."""
    row = playground.stored.cab_rows(cab.failure)[cab.cab_id_hash]
    return str(row["state"]), str(row["error"])


def _cab(playground: Playground, failure: Failure, form: CabForm) -> Cab:
    (cab,) = playground.simulator.builder.cabs(failure, 1, form)
    return cab


def test_an_expired_sas_gets_a_fresh_url(playground: Playground) -> None:
    """A SAS ends days before its cab: giving up at the first refusal would lose cabs that are still there."""
    failure = playground.simulator.builder.failure(40)
    playground.simulator.publish()
    playground.fail(failure, FaultKind.EXPIRED_SAS)
    (pull,) = playground.pull(playground.start(), failure)
    assert (pull.state, pull.attempts) == ("Completed", 0)
    assert pull.cabs == Counts(seen=40, copied=40)
    # The page is asked for once more, not once for each of its cabs.
    assert len(playground.api_requests(failure)) == 2
    playground.assert_copied_once(failure)


def test_urls_that_stay_refused_are_tried_again_later(playground: Playground) -> None:
    """A Dev Center whose clock is wrong mends itself: the cabs must not be written off."""
    failure = playground.simulator.builder.failure(5)
    playground.simulator.publish()
    playground.fail(failure, FaultKind.EXPIRED_SAS, 2)
    (pull,) = playground.pull(playground.start(), failure)
    assert (pull.state, pull.attempts) == ("Completed", 1)
    assert pull.cabs == Counts(seen=5, copied=5)
    assert len(playground.api_requests(failure)) == 3
    playground.assert_copied_once(failure)


def test_each_cab_that_cannot_be_had_is_recorded_for_what_it_is(playground: Playground) -> None:
    """One bad cab must not cost the others, and a wrong state would have people wait for what is gone."""
    failure = playground.simulator.builder.failure(5)
    expired = _cab(playground, failure, CabForm(age=PAST, stored=False))
    old_but_there = _cab(playground, failure, CabForm(age=PAST))
    gone = _cab(playground, failure, CabForm(stored=False))
    kept_back = _cab(playground, failure, CabForm(downloadable=False))
    without_url = _cab(playground, failure, CabForm(has_url=False))
    playground.simulator.publish()
    app = playground.start()
    (pull,) = playground.pull(app, failure, window=_long_ago())
    assert pull.state == "Completed"
    assert pull.cabs == Counts(seen=10, copied=6, expired=1, unavailable=2, failed=1)
    states = {cab.cab_id_hash: _row(playground, cab) for cab in (expired, gone, kept_back, without_url)}
    assert {cab: state for cab, (state, _) in states.items()} == {
        expired.cab_id_hash: "expired",
        gone.cab_id_hash: "unavailable",
        kept_back.cab_id_hash: "unavailable",
        without_url.cab_id_hash: "failed",
    }
    assert "404" in states[expired.cab_id_hash][1]
    assert f"{expired.expires:%Y-%m-%d %H:%M:%S}" in states[expired.cab_id_hash][1]
    assert "404" in states[gone.cab_id_hash][1]
    assert "no cabUrl" in states[without_url.cab_id_hash][1]
    # Who looks at the pull alone is told, too.
    assert "1 cabs failed" in (pull.last_error or "")
    assert without_url.cab_id_hash in (pull.last_error or "")
    assert _row(playground, old_but_there) == ("copied", "")
    assert set(playground.stored.listed()) == set(playground.held(failure)) - {
        blob_name(kept_back),
        blob_name(without_url),
    }


def test_a_url_that_ended_with_its_cab_is_not_asked_for_again(playground: Playground) -> None:
    """Two clocks run: past cabExpirationTime there is nothing that a fresh URL could lead to."""
    failure = playground.simulator.builder.failure(4, CabForm(age=PAST))
    playground.simulator.publish()
    playground.fail(failure, FaultKind.EXPIRED_SAS, None)
    (pull,) = playground.pull(playground.start(), failure, window=_long_ago())
    assert (pull.state, pull.cabs) == ("Completed", Counts(seen=4, expired=4))
    assert len(playground.api_requests(failure)) == 1
    assert {row["state"] for row in playground.stored.cab_rows(failure.key).values()} == {"expired"}


def test_what_was_not_to_be_had_is_tried_again_by_the_next_pull(playground: Playground) -> None:
    """Only an expired cab is lost for good; the others may come back."""
    failure = playground.simulator.builder.failure(2)
    playground.simulator.publish()
    first, second = playground.simulator.world.cabs(failure.key)
    playground.fail(failure, FaultKind.MISSING_URL)
    app = playground.start()
    (pull,) = playground.pull(app, failure)
    assert pull.cabs == Counts(seen=2, failed=2)
    assert {_row(playground, cab)[0] for cab in (first, second)} == {"failed"}
    (pull,) = playground.pull(app, failure)
    assert pull.cabs == Counts(seen=2, copied=2)
    assert pull.last_error is None
    assert {_row(playground, cab) for cab in (first, second)} == {("copied", "")}
    playground.assert_copied_once(failure)


def test_an_expired_cab_is_not_asked_for_again(playground: Playground) -> None:
    """Expired is for good: asking the source again at every pull would be in vain for thousands of cabs."""
    failure = playground.simulator.builder.failure(3, CabForm(age=PAST, stored=False))
    playground.simulator.publish()
    app = playground.start()
    assert playground.pull(app, failure, window=_long_ago())[0].cabs == Counts(seen=3, expired=3)
    before = len(playground.storage_requests())
    assert playground.pull(app, failure, window=_long_ago())[0].cabs == Counts(seen=3, expired=3)
    asked = playground.storage_requests()[before:]
    assert not [request for request in asked if request.method == "PUT" and request.path.startswith("/failure-cabs/")]


def test_a_url_of_a_foreign_host_is_not_followed(playground: Playground) -> None:
    """A cabUrl is untrusted: storage must not be made to copy from wherever a broken or evil answer says."""
    failure = playground.simulator.builder.failure(3)
    playground.simulator.publish()
    app = playground.start({"CAB_SOURCE_HOSTS": ".blob.core.windows.net"})
    (pull,) = playground.pull(app, failure)
    assert (pull.state, pull.cabs) == ("Completed", Counts(seen=3, failed=3))
    assert "127.0.0.1" in (pull.last_error or "")
    assert "CAB_SOURCE_HOSTS" in (pull.last_error or "")
    assert playground.stored.listed() == {}
    report = playground.simulator.builder.report([failure])
    playground.simulator.publish()
    run = playground.check(app)[str(report.report_id)]
    assert run.outcome == "failed"
    assert "CAB_SOURCE_HOSTS" in (run.error or "")
    assert playground.simulator.ledger.answers(Call.BLOB) == 0


def test_a_url_with_what_no_url_may_hold_is_mended(playground: Playground) -> None:
    """A raw space or a letter that is not ASCII can mean one thing only: the cab behind it must not be lost."""
    failure = playground.simulator.builder.failure(3, CabForm(extension=" \u00e9\u65e5.ext.zip"))
    playground.simulator.publish()
    app = playground.start()
    (pull,) = playground.pull(app, failure)
    assert (pull.state, pull.cabs, pull.last_error) == ("Completed", Counts(seen=3, copied=3), None)
    held = sorted((each.length, each.md5) for each in playground.held(failure).values())
    assert sorted((each.length, each.md5) for each in playground.stored.downloaded().values()) == held


def test_a_sas_that_begins_in_a_moment_is_waited_for(playground: Playground) -> None:
    """Two clocks differ by seconds: every cab of the page was refused, and its pull given up."""
    failure = playground.simulator.builder.failure(3)
    playground.simulator.publish()
    playground.simulator.form = BatchForm(sas_starts_in=3)
    (pull,) = playground.pull(playground.start(), failure)
    assert (pull.state, pull.attempts, pull.cabs) == ("Completed", 0, Counts(seen=3, copied=3))


def test_a_cab_does_not_expire_by_a_clock_that_is_wrong(playground: Playground) -> None:
    """A host whose clock went ahead by a month recorded every cab that it could not have at once as gone for good."""
    failure = playground.simulator.builder.failure(2)
    gone = _cab(playground, failure, CabForm(age=PAST, stored=False))
    playground.simulator.publish()
    playground.simulator.form = BatchForm(clock_ahead=-timedelta(days=60).total_seconds())
    app = playground.start()
    (pull,) = playground.pull(app, failure, window=_long_ago())
    assert (pull.state, pull.cabs) == ("Completed", Counts(seen=3, copied=2, unavailable=1))
    assert _row(playground, gone)[0] == "unavailable"
    assert "the clock of this machine is off" in app.log


def test_only_the_newest_are_kept_where_that_is_asked(playground: Playground) -> None:
    """MAX_CABS_PER_FAILURE bounds the cost of a failure that happens on every machine."""
    failure = playground.simulator.builder.failure(6, CabForm(age=(timedelta(hours=1), timedelta(days=1))))
    playground.simulator.builder.cabs(failure, 124, CabForm(stored=False, age=(timedelta(days=2), timedelta(days=20))))
    playground.simulator.publish()
    app = playground.start({"MAX_CABS_PER_FAILURE": "4"})
    (pull,) = playground.pull(app, failure)
    assert (pull.cabs.seen, pull.cabs.copied) == (130, 4)
    newest = sorted(playground.simulator.world.cabs(failure.key), key=lambda cab: cab.collected)[-4:]
    assert {name.rpartition("/")[2] for name in playground.stored.listed()} == {cab.place.name for cab in newest}
