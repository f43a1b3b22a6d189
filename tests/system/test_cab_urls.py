"""Cabs whose URLs do not work: expired, gone, missing, or leading elsewhere. Each ends in the state that is true."""

from datetime import UTC, datetime, timedelta

from local.simulator.builder import CabForm
from local.simulator.catalogue import Cab, Failure
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
