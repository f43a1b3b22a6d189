"""The preflight: each part is really broken, and what a person reads must name what to mend."""

import re
import secrets
import subprocess
import sys
from collections.abc import Mapping
from datetime import UTC, datetime, timedelta

import pytest
from azure.storage.blob import AccountSasPermissions, ResourceTypes, generate_account_sas

from local.azurite.server import account_key
from local.simulator.faults import Call, Fault, FaultKind
from local.simulator.scenario import ReportForm
from local.simulator.token_endpoint import TokenEndpoint
from tests.support.azurite import StorageAccount
from tests.system.answers import Check, LastPreflight, Preflight, decoded, problem
from tests.system.app import ROOT, App, environment
from tests.system.playground import Playground
from tests.system.waiting import wait_until

NAMES = ["settings", "token", "reportdata", "cabdownloadbatch", "container", "tables", "queue", "copy"]
# Nothing can listen there: port 1 is of a service that nobody has run for decades.
DEAD = "127.0.0.1:1"


def asked(app: App) -> dict[str, Check]:
    """Ask for a preflight, and return its checks by name."""
    told = decoded(app.post("/api/preflight"), Preflight)
    assert [check.name for check in told.checks] == NAMES
    assert told.ready == all(check.ok for check in told.checks)
    for check in told.checks:
        assert (check.what_to_do is None) == check.ok, check
        assert check.answered, check
        assert check.milliseconds < 30_000, check
    return {check.name: check for check in told.checks}


def failed(app: App) -> dict[str, Check]:
    """Ask for a preflight, and return the checks that failed."""
    return {name: check for name, check in asked(app).items() if not check.ok}


@pytest.fixture
def with_secret(token_endpoint: TokenEndpoint) -> Mapping[str, str]:
    """The settings of an application with a secret, in place of the fixed token."""
    return {
        **token_endpoint.environment,
        "DEVCENTER_ACCESS_TOKEN": "",
        "DEVCENTER_TENANT_ID": token_endpoint.tenant_id,
        "DEVCENTER_CLIENT_ID": token_endpoint.client_id,
        "DEVCENTER_CLIENT_SECRET": token_endpoint.secret,
    }


def test_where_all_is_well_everything_answers_and_nothing_is_left_behind(playground: Playground) -> None:
    """A preflight that left a blob, a row or a message would be found by people who look for cabs."""
    failure = playground.simulator.builder.failure(2)
    playground.simulator.builder.report([failure], ReportForm())
    playground.simulator.publish()
    app = playground.start()
    assert "POST /api/preflight" in problem(app.get("/api/preflight"), 404)
    checks = asked(app)
    assert all(check.ok for check in checks.values()), checks
    last = decoded(app.get("/api/preflight"), LastPreflight)
    assert {check.name: check for check in last.checks} == checks
    assert abs(last.at - datetime.now(UTC)) < timedelta(minutes=1)
    assert decoded(app.get("/api/preflight"), LastPreflight) == last, "nothing is asked"
    assert "1 schedules, 1 of them active" in checks["reportdata"].answered
    assert "the newest Completed" in checks["reportdata"].answered
    assert checks["token"].answered == "a token that cannot be read: it is opaque"
    assert "0 cabs" in checks["cabdownloadbatch"].answered
    assert "deleted" in checks["container"].answered
    assert "copied" in checks["copy"].answered
    assert playground.stored.listed() == {}
    assert [row for row in playground.stored.rows("health") if row["PartitionKey"] == "_preflight"] == []
    assert playground.stored.rows("pulls") == playground.stored.rows("cabs") == []
    assert playground.stored.messages() == 0
    assert playground.pull(app, failure)[0].state == "Completed"
    assert playground.stored.listed() == playground.held(failure)


def test_a_token_is_told_by_its_tenant_application_and_end_and_never_shown(
    playground: Playground, token_endpoint: TokenEndpoint, with_secret: Mapping[str, str]
) -> None:
    app = playground.start(with_secret)
    checks = asked(app)
    told = checks["token"]
    assert told.ok
    assert f"the tenant {token_endpoint.tenant_id} for the application {token_endpoint.client_id}" in told.answered
    assert re.search(r"good until \d{4}-\d\d-\d\d \d\d:\d\d UTC \((59|60) minutes\)", told.answered)
    assert token_endpoint.requests == {"secret": 1, "assertion": 0, "identity": 0}
    # This Dev Center knows the application not: it was not added to the account.
    for name in ("reportdata", "cabdownloadbatch"):
        assert checks[name].answered.startswith("401")
        assert f"Add the Entra application {token_endpoint.client_id} to the Partner Center" in str(
            checks[name].what_to_do
        )
    for text in (app.post("/api/preflight").text, app.log):
        assert "eyJ" not in text
        assert token_endpoint.secret not in text


@pytest.mark.parametrize(
    ("setting", "value", "seen", "advice"),
    [
        ("DEVCENTER_CLIENT_SECRET", "another", "AADSTS7000215", "Set DEVCENTER_CLIENT_SECRET to the value"),
        ("DEVCENTER_TENANT_ID", "9d1f0e4e-0000-4000-8000-000000000000", "no token", "Set DEVCENTER_TENANT_ID"),
        ("DEVCENTER_CLIENT_ID", "9d1f0e4e-0000-4000-8000-000000000000", "AADSTS700016", "correct one of the two"),
        ("AZURE_AUTHORITY_HOST", f"https://{DEAD}", "the token endpoint failed", "AZURE_AUTHORITY_HOST"),
    ],
)
def test_a_sign_in_that_fails_names_the_setting(
    playground: Playground, with_secret: Mapping[str, str], setting: str, value: str, seen: str, advice: str
) -> None:
    """The wrong value in the wrong setting is the commonest mistake of a first deployment."""
    checks = failed(playground.start({**with_secret, setting: value}))
    assert set(checks) == {"token", "reportdata", "cabdownloadbatch"}
    assert seen in checks["token"].answered
    assert advice in str(checks["token"].what_to_do)
    for name in ("reportdata", "cabdownloadbatch"):
        assert checks[name].answered == "not asked: there is no token"
        assert "token" in str(checks[name].what_to_do)


def test_an_identity_that_the_application_does_not_trust_is_told(
    playground: Playground, token_endpoint: TokenEndpoint, with_secret: Mapping[str, str]
) -> None:
    """The step after the deployment, forgotten: the federated credential."""
    token_endpoint.trusts_identity = False
    settings = {
        **with_secret,
        "DEVCENTER_CLIENT_SECRET": "",
        "DEVCENTER_MANAGED_IDENTITY_CLIENT_ID": token_endpoint.identity_client_id,
    }
    app = playground.start(settings)
    told = failed(app)["token"]
    assert "AADSTS700213" in told.answered
    assert "federated credential whose subject is the principal id" in str(told.what_to_do)
    token_endpoint.trusts_identity = True
    assert asked(app)["token"].ok


def test_an_ended_fixed_token_is_told(playground: Playground, token_endpoint: TokenEndpoint) -> None:
    token_endpoint.tokens.lifetime = -timedelta(hours=2)
    token = token_endpoint.tokens.issue("https://manage.devcenter.microsoft.com", token_endpoint.client_id)
    checks = failed(playground.start({"DEVCENTER_ACCESS_TOKEN": token}))
    assert "which ended at" in checks["token"].answered
    for check in checks.values():
        assert "DEVCENTER_ACCESS_TOKEN" in str(check.what_to_do)


@pytest.mark.parametrize(
    ("kind", "seen", "advice"),
    [
        (FaultKind.UNAUTHORIZED, "401", "DEVCENTER_ACCESS_TOKEN"),
        (FaultKind.FORBIDDEN, "403", "the role Manager in Partner Center"),
        (FaultKind.NOT_FOUND, "404", "The endpoint is gone"),
        (FaultKind.HTML, "a page of HTML", "A page or a redirect answers in place of the API"),
        (FaultKind.THROTTLED, "429", "Ask again in some minutes"),
        (FaultKind.UNAVAILABLE, "503", "Ask again in some minutes"),
        (FaultKind.WRONG_TYPE, "the answer is not", "what it says"),
        (FaultKind.RESET, "the connection broke", "DEVCENTER_BASE_URL"),
    ],
)
def test_each_answer_of_the_dev_center_has_its_advice(
    shared_playground: Playground, shared_app: App, kind: FaultKind, seen: str, advice: str
) -> None:
    """One call may be gone and the other not: each is told by itself."""
    for call, name in ((Call.REPORT, "reportdata"), (Call.CAB_BATCH, "cabdownloadbatch")):
        shared_playground.simulator.faults.add(Fault(call=call, kind=kind))
        checks = failed(shared_app)
        assert set(checks) == {name}
        assert seen in checks[name].answered
        assert advice in str(checks[name].what_to_do)


def test_a_refusal_in_the_words_of_the_api_proves_that_the_batch_is_there(
    shared_playground: Playground, shared_app: App
) -> None:
    """Nobody knows how the real one answers for a failure that does not exist."""
    shared_playground.simulator.faults.add(Fault(call=Call.CAB_BATCH, kind=FaultKind.BAD_REQUEST))
    checks = asked(shared_app)
    assert checks["cabdownloadbatch"].ok
    assert "400 for a made-up failure" in checks["cabdownloadbatch"].answered


@pytest.fixture(scope="module")
def shared_app(shared_playground: Playground) -> App:
    """An app for the tests that break the Dev Center alone."""
    return shared_playground.start()


def test_an_open_circuit_does_not_keep_the_preflight_from_asking(playground: Playground) -> None:
    """Who has given the role wants to know at once whether it works, and not at the next probe of the circuit."""
    failures = [playground.simulator.builder.failure(1) for _ in range(8)]
    playground.simulator.publish()
    playground.simulator.faults.add(Fault(call=Call.CAB_BATCH, kind=FaultKind.FORBIDDEN, times=None))
    app = playground.start()
    playground.ask(app, *failures)
    wait_until(lambda: app.get("/api/health").json()["circuit"], "an open circuit")
    assert "the role Manager" in str(failed(app)["cabdownloadbatch"].what_to_do)
    playground.simulator.faults.clear()
    assert all(check.ok for check in asked(app).values())


@pytest.mark.parametrize(
    ("url", "seen"),
    [(f"http://{DEAD}", "resolves"), ("https://devcenter.invalid", "cannot be resolved")],
)
def test_a_dev_center_that_cannot_be_reached_is_told(playground: Playground, url: str, seen: str) -> None:
    """A name that does not resolve and a firewall are mended by different people."""
    checks = failed(playground.start({"DEVCENTER_BASE_URL": url}))
    assert set(checks) == {"reportdata", "cabdownloadbatch"}
    for check in checks.values():
        assert seen in check.answered
        assert "DEVCENTER_BASE_URL" in str(check.what_to_do)


def test_a_report_that_the_account_does_not_list_is_told(playground: Playground) -> None:
    checks = failed(playground.start({"REPORT_IDS": "77001"}))
    assert set(checks) == {"reportdata"}
    assert "none is 77001" in checks["reportdata"].answered
    assert "REPORT_IDS" in str(checks["reportdata"].what_to_do)


def test_a_wrong_account_key_is_told(playground: Playground, storage: StorageAccount) -> None:
    """Keys are rotated, and the app is forgotten."""
    wrong = storage.connection_string.replace(storage.key, account_key())
    app = playground.start({"CAB_STORAGE": wrong}, may_raise=True)
    checks = failed(app)
    assert set(checks) == {"container", "tables", "queue", "copy"}
    for check in checks.values():
        assert "403" in check.answered
        assert "a key that the account has now" in str(check.what_to_do)
    assert storage.key not in app.log


def test_a_dead_storage_is_told_while_the_dev_center_answers(playground: Playground, storage: StorageAccount) -> None:
    dead = re.sub(r"127\.0\.0\.1:\d+", DEAD, storage.connection_string)
    checks = failed(playground.start({"CAB_STORAGE": dead}, may_raise=True))
    assert set(checks) == {"container", "tables", "queue", "copy"}
    for check in checks.values():
        assert "127.0.0.1 resolves" in check.answered
        assert "CAB_STORAGE" in str(check.what_to_do)


def with_sas(storage: StorageAccount, services: str, permission: AccountSasPermissions, types: ResourceTypes) -> str:
    """Return a connection string with a SAS in the place of the key."""
    until = datetime.now(UTC) + timedelta(hours=1)
    sas = generate_account_sas(storage.name, storage.key, types, permission, until, services=services)
    endpoints = [part for part in storage.connection_string.split(";") if "Endpoint=" in part]
    return ";".join([*endpoints, f"SharedAccessSignature={sas}"])


EVERYTHING = ResourceTypes(service=True, container=True, object=True)


def test_what_is_missing_and_may_not_be_created_is_told(playground: Playground, storage: StorageAccount) -> None:
    """A deployment that went half through: the app may use what is there, and make nothing."""
    sas = with_sas(
        storage,
        "bqt",
        AccountSasPermissions(read=True, write=True, delete=True, list=True, add=True, update=True, process=True),
        ResourceTypes(object=True),
    )
    checks = failed(playground.start({"CAB_STORAGE": sas}, may_raise=True))
    assert {"container", "tables", "queue", "copy"} == set(checks)
    for name, kind in (("container", "container failure-cabs"), ("queue", "queue cab-pulls"), ("copy", "container")):
        assert "404" in checks[name].answered or "403" in checks[name].answered
        assert kind in checks[name].answered


def test_a_sas_without_a_service_fails_that_service_alone(playground: Playground, storage: StorageAccount) -> None:
    everything = AccountSasPermissions(
        read=True, write=True, delete=True, list=True, add=True, create=True, update=True, process=True, tag=True
    )
    checks = failed(playground.start({"CAB_STORAGE": with_sas(storage, "bq", everything, EVERYTHING)}, may_raise=True))
    assert set(checks) == {"tables"}
    assert "SAS in CAB_STORAGE" in str(checks["tables"].what_to_do)


def test_missing_settings_are_named_and_the_rest_is_asked(playground: Playground) -> None:
    """On the way to a first deployment half of it is there: what is there must be told all the same."""
    app = playground.start({"DEVCENTER_ACCESS_TOKEN": "", "PULL_CONCURRENCY": "many"})
    checks = failed(app)
    assert set(checks) == {"settings", "token", "reportdata", "cabdownloadbatch"}
    for name in ("DEVCENTER_TENANT_ID", "DEVCENTER_CLIENT_ID", "DEVCENTER_CLIENT_SECRET", "PULL_CONCURRENCY"):
        assert name in checks["settings"].answered
    assert "DEVCENTER_TENANT_ID" in checks["token"].answered
    assert "PULL_CONCURRENCY" not in checks["token"].answered
    nothing = playground.start({"CAB_STORAGE": ""})
    assert set(failed(nothing)) == {"settings", "container", "tables", "queue", "copy"}


def run(arguments: list[str], settings: Mapping[str, str]) -> subprocess.CompletedProcess[str]:
    """Run `dev.py preflight`."""
    command = [sys.executable, "dev.py", "preflight", *arguments]
    return subprocess.run(
        command,
        cwd=ROOT,
        env=environment(settings),
        stdin=subprocess.DEVNULL,
        capture_output=True,
        text=True,
        encoding="utf-8",
        timeout=180,
        check=False,
    )


def test_the_command_is_green_on_the_embedded_default() -> None:
    done = run([], {})
    assert done.returncode == 0, done.stdout + done.stderr
    assert "preflight: ready" in done.stdout
    assert all(name in done.stdout for name in NAMES)
    assert "FAILED" not in done.stdout


def test_the_command_prints_what_to_do_and_starts_no_pull(playground: Playground, access_token: str) -> None:
    """Whoever looks whether the app could work does not want it to begin."""
    failure = playground.simulator.builder.failure(1)
    playground.simulator.publish()
    playground.fail(failure, FaultKind.UNAVAILABLE)
    playground.stored.send("not taken by anybody")
    settings = {
        "CAB_STORAGE": playground.storage.connection_string,
        "DEVCENTER_BASE_URL": playground.simulator.url,
        "DEVCENTER_ACCESS_TOKEN": secrets.token_urlsafe(),
    }
    done = run([], settings)
    assert done.returncode == 1, done.stdout + done.stderr
    assert "FAILED" in done.stdout
    assert "-> Set DEVCENTER_ACCESS_TOKEN" in " ".join(done.stdout.split())
    assert "not ready: 2 of 8" in done.stdout
    assert playground.stored.visible_messages() == ["not taken by anybody"]


def test_the_command_asks_a_deployed_app_with_its_key(playground: Playground) -> None:
    app = playground.start()
    done = run(["--url", app.url], {"CABFERRY_FUNCTION_KEY": "key"})
    assert done.returncode == 0, done.stdout + done.stderr
    nobody = run(["--url", f"http://{DEAD}"], {})
    assert nobody.returncode == 1
    assert "does not answer" in nobody.stderr
    assert "Traceback" not in nobody.stderr
