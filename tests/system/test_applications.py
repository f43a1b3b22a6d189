"""Desktop and Store applications, seen from outside: from a check of their failures to the last byte of every cab."""

from collections.abc import Mapping

from local.simulator.builder import CabForm
from local.simulator.catalogue import Failure, Family
from local.simulator.faults import Call, Fault, FaultKind
from tests.support.waiting import wait_until
from tests.system.answers import Application, Cabs, FailureCheck, Preflight, Pulls, decoded, problem
from tests.system.app import App
from tests.system.playground import SMALL, Playground

WRONG = {Family.DESKTOP: "17446744073709551615", Family.APP: "9NNOSUCHAPP0"}


def made(playground: Playground, family: Family, cabs: int, number: int = 1) -> Failure:
    failure = playground.simulator.builder.application_failure(family, cabs, SMALL, 2, number)
    playground.simulator.publish()
    return failure


def settings(*failures: Failure) -> Mapping[str, str]:
    """Return the settings of a vendor without drivers."""

    def ids(family: Family) -> str:
        return ",".join(dict.fromkeys(each.key.application_id for each in failures if each.family is family))

    return {
        "REPORT_IDS": "none",
        "DESKTOP_APPLICATION_IDS": ids(Family.DESKTOP),
        "STORE_APPLICATION_IDS": ids(Family.APP),
    }


def checked(app: App, applications: int) -> dict[str, Application]:
    """Let the failures be looked for, and return how far each application was, by its id."""
    answer = app.post("/api/failures/check")
    assert answer.status_code == 202, answer.text
    assert answer.json() == {"location": answer.headers["Location"]} == {"location": "/api/failures/check"}

    def told() -> list[Application]:
        return decoded(app.get("/api/failures/check"), FailureCheck).applications

    wait_until(lambda: len(told()) == applications, "the end of a check", hint=lambda: app.log)
    return {each.application_id: each for each in told()}


def test_from_a_check_to_every_cab_with_its_names(playground: Playground) -> None:
    failures = [made(playground, family, 3) for family in (Family.DESKTOP, Family.APP)]
    for failure in failures:
        playground.simulator.builder.cabs(failure, 2, CabForm((64, 64), downloadable=False))
    playground.simulator.publish()
    app = playground.start(settings(*failures))
    assert {(each.failures, each.queued, each.error) for each in checked(app, 2).values()} == {(1, 1, None)}
    for failure, pull in zip(failures, playground.ends(app, *failures), strict=True):
        assert (pull.state, pull.last_error, pull.family) == ("Completed", None, failure.family.value)
        assert (pull.cabs.copied, pull.cabs.unavailable, pull.without_cab) == (3, 2, 2)
        assert (pull.failure_name, pull.driver_name) == (failure.name, failure.driver)
        path = f"/api/pulls/{failure.key.application_id}/{failure.key.failure_hash}/cabs"
        cabs = {each.cab_id_hash: each for each in decoded(app.get(path), Cabs).cabs}
        for cab in playground.simulator.world.cabs(failure.key):
            told = cabs[cab.cab_id_hash]
            assert (told.failure_name, told.market) == (failure.name, cab.machine.market)
            assert told.state == ("copied" if cab.downloadable else "unavailable")
    downloadable = {
        f"{cab.failure.application_id}/{cab.failure.failure_hash}/{cab.place.name}": playground.simulator.world.held[
            cab.cab_id_hash
        ]
        for failure in failures
        for cab in playground.simulator.world.cabs(failure.key)
        if cab.downloadable
    }
    assert playground.stored.downloaded() == downloadable
    ledger = playground.simulator.ledger
    assert ledger.answers(Call.CAB_DOWNLOAD) == 6
    assert [each for each in ledger.requests if each.call is Call.BLOB and each.bearer] == []
    for family in ("driver", "desktop", "app"):
        pulls = decoded(app.get("/api/pulls", family=family), Pulls).pulls
        assert [each.family for each in pulls] == ([] if family == "driver" else [family])
    assert ledger.answers(Call.REPORT) + ledger.answers(Call.CAB_BATCH) == 0
    assert app.get("/api/health").json()["status"] == "ok"


def test_the_family_of_a_pull_is_inferred_or_named_and_shown(playground: Playground) -> None:
    known, other = made(playground, Family.DESKTOP, 1), made(playground, Family.APP, 1)
    driver = playground.failure(1, SMALL)
    app = playground.start(settings(known))
    playground.ask(app, known, driver)
    body = {"applicationId": other.key.application_id, "failureHash": other.key.failure_hash}
    assert app.post("/api/pulls", {**body, "family": "app"}).status_code == 202
    pulls = playground.ends(app, known, other, driver)
    assert [each.family for each in pulls] == ["desktop", "app", "driver"]
    assert [each.cabs.copied for each in pulls] == [1, 1, 1]
    assert [each.family for each in decoded(app.get("/api/pulls", family="driver"), Pulls).pulls] == ["driver"]
    assert "family" in problem(app.post("/api/pulls", {**body, "family": "ihvdriver"}), 400)
    assert "family" in problem(app.get("/api/pulls", family="x"), 400)


def test_applications_of_another_account_are_told_with_what_to_do(playground: Playground) -> None:
    good = made(playground, Family.DESKTOP, 1)
    refused = {Family.DESKTOP: FaultKind.FORBIDDEN, Family.APP: FaultKind.NOT_FOUND}
    for family, kind in refused.items():
        match = {"applicationId": WRONG[family]}
        playground.simulator.faults.add(Fault(call=Call.FAILURE_HITS, kind=kind, times=None, match=match))
    ids = {
        "DESKTOP_APPLICATION_IDS": f"{WRONG[Family.DESKTOP]},{good.key.application_id}",
        "STORE_APPLICATION_IDS": WRONG[Family.APP],
    }
    app = playground.start({**settings(good), **ids}, may_raise=True)
    told = decoded(app.post("/api/preflight"), Preflight)
    advice = {each.name: each.what_to_do or "" for each in told.checks if not each.ok}
    assert advice.keys() == {f"{family.value} {WRONG[family]}" for family in refused}
    for (name, said), setting in zip(sorted(advice.items(), reverse=True), ids, strict=True):
        assert setting in said, name
        assert "Manager" in said, name
    applications = checked(app, 3)
    assert all(kind.value in (applications[WRONG[family]].error or "") for family, kind in refused.items())
    assert applications[good.key.application_id].queued == 1
    assert playground.ends(app, good)[0].cabs.copied == 1
    health = app.get("/api/health").json()
    assert health["status"] == "degraded"
    assert {each["applicationId"] for each in health["applications"]} == set(WRONG.values())
