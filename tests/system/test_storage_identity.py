"""The cab storage reached with an identity, as a deployment does: Azurite over HTTPS, and an identity's endpoint."""

import hashlib
import os
import subprocess
import sys
from collections.abc import Callable, Iterator, Mapping
from datetime import timedelta
from functools import partial
from http import HTTPStatus
from pathlib import Path
from zlib import crc32

import pytest
import requests
from azure.storage.blob import ContainerClient

from local.azurite.server import Azurite, account_key, azurite_command
from local.simulator.certificates import Certificates, make_certificates
from local.simulator.faults import Call, Fault, FaultKind
from local.simulator.scenario import BatchForm, BlobHost, Location, ReportForm
from local.simulator.thread import LoopThread, SimulatorThread
from local.simulator.token_endpoint import TokenEndpoint
from local.simulator.tokens import DEV_CENTER, STORAGE
from tests.support.azurite import SOURCES, StorageAccount
from tests.support.catalog import upload_catalog
from tests.system.answers import Preflight, decoded, problem
from tests.system.app import HTTP_SECONDS
from tests.system.playground import Playground
from tests.system.roles import Roles, guarded

ACCOUNTS = tuple(f"identity{number:02}" for number in range(20))


@pytest.fixture(scope="module")
def certificates(tmp_path_factory: pytest.TempPathFactory) -> Certificates:
    """One authority for storage, Entra and the identity's endpoint."""
    return make_certificates(tmp_path_factory.mktemp("certificates"))


@pytest.fixture(scope="module")
def azurite(certificates: Certificates) -> Iterator[Azurite]:
    """An Azurite that takes the tokens of identities, which it does over HTTPS alone."""
    accounts = {name: account_key() for name in (*SOURCES, *ACCOUNTS)}
    with Azurite(azurite_command(), accounts, recorded=True, certificates=certificates) as running:
        yield running


@pytest.fixture(scope="module")
def unused_accounts() -> Iterator[str]:
    """The accounts that no test of this module has had yet."""
    return iter(ACCOUNTS)


@pytest.fixture
def token_endpoint(loop_thread: LoopThread, certificates: Certificates) -> TokenEndpoint:
    """An Entra and an identity's endpoint."""
    return loop_thread.enter(TokenEndpoint(certificates=certificates))


@pytest.fixture
def simulator(
    azurite: Azurite, token_endpoint: TokenEndpoint, certificates: Certificates, request: pytest.FixtureRequest
) -> Iterator[SimulatorThread]:
    """A Dev Center that takes the endpoint's tokens, and whose cabs are in the same Azurite."""
    accepts: Callable[..., bool] = token_endpoint.tokens.accepts
    with SimulatorThread(
        {name: azurite.connection_string(name) for name in SOURCES},
        partial(accepts, audience=DEV_CENTER),
        partial(accepts, audience=STORAGE),
        seed=crc32(request.node.nodeid.encode()),
        authority=certificates.authority,
    ) as running:
        yield running
    assert not running.ledger.problems


@pytest.fixture
def playground(
    azurite: Azurite,
    storage: StorageAccount,
    simulator: SimulatorThread,
    certificates: Certificates,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> Iterator[Playground]:
    """A playground whose own looks into storage trust the authority."""
    monkeypatch.setenv("REQUESTS_CA_BUNDLE", str(certificates.authority))
    made = Playground(azurite, storage, simulator, None, tmp_path)
    yield made
    made.close()


@pytest.fixture
def with_identity(azurite: Azurite, storage: StorageAccount, token_endpoint: TokenEndpoint) -> Mapping[str, str]:
    """The settings of a deployment: no key, no secret; the identity also vouches for the Entra application."""
    uris = {f"CAB_STORAGE__{kind.lower()}ServiceUri": uri for kind, uri in azurite.uris(storage.name).items()}
    return {
        **token_endpoint.environment,
        **uris,
        "CAB_STORAGE": "",
        "DEVCENTER_TENANT_ID": token_endpoint.tenant_id,
        "DEVCENTER_CLIENT_ID": token_endpoint.client_id,
        "DEVCENTER_MANAGED_IDENTITY_CLIENT_ID": token_endpoint.identity_client_id,
    }


def user_assigned(token_endpoint: TokenEndpoint) -> Mapping[str, str]:
    """Return the settings that name the identity, as infra/main.bicep sets them."""
    return {"CAB_STORAGE__credential": "managedidentity", "CAB_STORAGE__clientId": token_endpoint.identity_client_id}


def test_an_identity_serves_in_the_place_of_every_key(
    playground: Playground, token_endpoint: TokenEndpoint, with_identity: Mapping[str, str]
) -> None:
    """From a report to the last cab: queue, tables, container and the server-side copy, with tokens alone."""
    failures = [playground.simulator.builder.failure(cabs) for cabs in (13, 2)]
    playground.simulator.builder.report(failures, ReportForm(location=Location.BARE))
    playground.simulator.publish()
    app = playground.start({**with_identity, **user_assigned(token_endpoint)})
    assert {run.outcome for run in playground.check(app).values()} == {"ingested"}
    pulls = playground.ends(app, *failures)
    assert {(pull.state, pull.attempts) for pull in pulls} == {("Completed", 0)}
    playground.assert_copied_once(*failures)
    assert token_endpoint.requests["secret"] == 0
    # The app asks for storage and for the assertion, its host for the queue; each once, and not once a request.
    assert token_endpoint.requests["identity"] <= 6
    blob, other = sorted(playground.held(failures[1]))
    assert playground.stored.tags(blob)["applicationId"] == failures[1].key.application_id
    # A link opens one cab to whoever has it, and nothing beside it; the log tells of it, and not the link.
    cab = next(key for key, row in playground.stored.cab_rows(failures[1].key).items() if row["blobName"] == blob)
    folder = f"{failures[1].key.application_id}/{failures[1].key.failure_hash}"
    link = app.post(f"/api/failures/{folder}/cabs/{cab}/link").json()["url"]
    got = requests.get(link, timeout=HTTP_SECONDS)
    assert hashlib.md5(got.content).hexdigest() == playground.held(failures[1])[blob].md5  # noqa: S324 - its name
    assert got.headers["Content-Disposition"] == f'attachment; filename="{blob.rpartition("/")[2]}"'
    assert requests.get(link.replace(blob, other), timeout=HTTP_SECONDS).status_code == HTTPStatus.FORBIDDEN
    assert requests.delete(link, timeout=HTTP_SECONDS).status_code == HTTPStatus.FORBIDDEN
    assert f"cab-fetched: blob={blob} by=a function key how=link" in app.log
    assert "sig=" not in app.log
    # What storage cannot read is streamed by the SDK's client, which must show the same tokens.
    playground.simulator.form = BatchForm(cab_host=BlobHost.FRONT)
    failures.append(playground.simulator.builder.failure(3))
    playground.simulator.publish()
    assert playground.pull(app, failures[-1])[0].cabs.copied == 3
    playground.assert_copied_once(*failures)


def test_an_engineer_signs_in_where_others_have_keys(
    azurite: Azurite,
    storage: StorageAccount,
    token_endpoint: TokenEndpoint,
    certificates: Certificates,
    monkeypatch: pytest.MonkeyPatch,
    tmp_path: Path,
) -> None:
    """`cabferry` finds its own identity, as after `az login`; without one it says what to do."""
    monkeypatch.setenv("REQUESTS_CA_BUNDLE", str(certificates.authority))
    row = {
        "applicationId": "1",
        "failureHash": "1fd83f6d",
        "cabIdHash": "1",
        "driverName": "acme.sys",
        "state": "listed",
    }
    with ContainerClient.from_connection_string(storage.connection_string, "failure-cabs") as container:
        container.create_container()
        upload_catalog(container, "1", [row])
    environment = {
        **{name: value for name, value in os.environ.items() if not name.startswith(("AZURE_", "IDENTITY_", "MSI_"))},
        "CABFERRY_CONTAINER": f"{azurite.uris(storage.name)['Blob']}/failure-cabs",
        "PYTHONPATH": str(Path(__file__).parents[2] / "client"),
        "XDG_CACHE_HOME": str(tmp_path),
    }
    command = [sys.executable, "-m", "cabferry", "failures", "--json"]
    for signed_in, code in ((token_endpoint.environment, 0), ({"AZURE_TOKEN_CREDENTIALS": "AzureCliCredential"}, 4)):
        done = subprocess.run(
            command, env={**environment, **signed_in}, capture_output=True, text=True, timeout=60, check=False
        )
        assert done.returncode == code, done.stderr
        assert "acme.sys" in done.stdout or "`az login`" in done.stderr


def test_a_token_that_ends_in_the_middle_of_a_pull_is_renewed(
    playground: Playground, token_endpoint: TokenEndpoint, with_identity: Mapping[str, str]
) -> None:
    """A pull of a large failure outlives its token: of the storage, and of the Dev Center."""
    lifetime = timedelta(seconds=4)
    token_endpoint.tokens.lifetime = lifetime
    failure = playground.long_failure(40, copied=30)
    playground.simulator.form = BatchForm(largest_page=10)
    for skip in ("10", "20", "30"):
        playground.simulator.faults.add(Fault(call=Call.CAB_BATCH, kind=FaultKind.SLOW, delay=3, match={"skip": skip}))
    app = playground.start(with_identity)
    (pull,) = playground.pull(app, failure)
    assert (pull.state, pull.attempts, pull.cabs.copied) == ("Completed", 0, 30)
    assert pull.started_at is not None
    assert pull.completed_at is not None
    assert pull.completed_at - pull.started_at > 2 * lifetime
    assert token_endpoint.requests["assertion"] >= 2
    playground.assert_copied_once(failure)


def test_a_report_is_read_from_storage_with_a_token_of_its_tenant(
    playground: Playground, token_endpoint: TokenEndpoint, with_identity: Mapping[str, str]
) -> None:
    """Microsoft's sample reads a location without a signature so; storage itself decides whether the token is good."""
    of_storage = "9d1f0e4e-0000-4000-8000-000000000000"
    token_endpoint.tenants.add(of_storage)
    failure = playground.simulator.builder.failure(2)
    report = playground.simulator.builder.report([failure], ReportForm(location=Location.STORAGE))
    playground.simulator.publish()
    app = playground.start({**with_identity, "DEVCENTER_STORAGE_TENANT_ID": of_storage})
    run = playground.check(app)[str(report.report_id)]
    assert (run.outcome, run.failures, run.cabs) == ("ingested", 1, 2)
    assert playground.ends(app, failure)[0].state == "Completed"
    # One for the Dev Center and one for its storage.
    assert token_endpoint.requests["assertion"] == 2
    playground.assert_copied_once(failure)


def test_an_identity_that_is_not_there_is_told(
    playground: Playground, token_endpoint: TokenEndpoint, with_identity: Mapping[str, str]
) -> None:
    """The client id of another identity: everything fails at once, and one setting mends it."""
    wrong = {**user_assigned(token_endpoint), "CAB_STORAGE__clientId": token_endpoint.tenant_id}
    app = playground.start({**with_identity, **wrong}, may_raise=True)
    told = problem(app.get("/api/pulls"), HTTPStatus.BAD_GATEWAY)
    assert "CAB_STORAGE__clientId" in told
    checks = {check.name: check for check in decoded(app.post("/api/preflight"), Preflight).checks}
    assert {name for name, check in checks.items() if not check.ok} == {"container", "tables", "queue", "copy"}
    for name in ("container", "tables", "queue", "copy"):
        assert "CAB_STORAGE__clientId" in str(checks[name].what_to_do)


def test_the_roles_of_the_deployment_are_enough_and_each_that_is_missing_is_named(
    playground: Playground,
    azurite: Azurite,
    storage: StorageAccount,
    certificates: Certificates,
    with_identity: Mapping[str, str],
) -> None:
    """A right that the deployment does not give would be met in Azure only; a bare 403 helps nobody to give it."""
    # As the deployment makes them; the identity may not.
    playground.stored.deploy()
    failures = [playground.simulator.builder.failure(cabs) for cabs in (13, 2)]
    playground.simulator.builder.report(failures)
    playground.simulator.publish()
    roles = Roles()
    with guarded(azurite, storage.name, certificates, roles) as uris:
        app = playground.start({**with_identity, **uris}, may_raise=True)
        assert decoded(app.post("/api/preflight"), Preflight).ready
        assert {run.outcome for run in playground.check(app).values()} == {"ingested"}
        assert {pull.state for pull in playground.ends(app, *failures)} == {"Completed"}
        assert playground.stored.listed() == playground.held(*failures)
        assert "Traceback" not in app.log
        for missing, names, advice in (
            ("blobs", {"container", "copy"}, "Storage Blob Data Owner"),
            ("tags", {"container"}, "nobody can find them by tags. Assign the role Storage Blob Data Owner"),
            ("queues", {"queue"}, "Assign the role Storage Queue Data Contributor on the queue cab-pulls"),
            ("tables", {"tables"}, "Assign the role Storage Table Data Contributor on the table reports"),
        ):
            setattr(roles, missing, False)
            checks = [check for check in decoded(app.post("/api/preflight"), Preflight).checks if not check.ok]
            assert {check.name for check in checks} == names
            for check in checks:
                assert advice in str(check.what_to_do)
            setattr(roles, missing, True)
        roles.delete_probes = roles.delegate = False
        (cab, *_) = playground.stored.cab_rows(failures[1].key)
        folder = f"{failures[1].key.application_id}/{failures[1].key.failure_hash}"
        assert "may sign a link" in problem(app.post(f"/api/failures/{folder}/cabs/{cab}/link"), HTTPStatus.CONFLICT)
        told = decoded(app.post("/api/preflight"), Preflight)
        assert told.ready, "pulls need neither"
        answered = {check.name: check.answered for check in told.checks}
        assert "deleting is refused" in answered["container"]
        assert answered["copy"].startswith("not tried")
        app.close()
