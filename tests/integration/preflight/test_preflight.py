"""The preflight: each part is really broken, and what a person reads must name what to mend."""

import os
import re
from collections.abc import Mapping
from datetime import timedelta

import pytest
from azure.storage.blob import AccountSasPermissions, BlobServiceClient, ResourceTypes

from local.azurite.server import account_key
from local.simulator.faults import Call, Fault, FaultKind
from local.simulator.thread import SimulatorThread
from local.simulator.token_endpoint import TokenEndpoint
from shared.preflight.probing import ProbeResult
from shared.preflight.run import preflight
from shared.pull.keep_file import KEEP_FILE
from tests.support.azurite import ALL_RIGHTS, StorageAccount, with_sas

NAMES = ["settings", "token", "reportdata", "cabdownloadbatch", "container", "tables", "queue", "copy"]
OF_DEVCENTER, OF_STORAGE = {"reportdata", "cabdownloadbatch"}, {"container", "tables", "queue", "copy"}
# Nothing can listen there: port 1 is of a service that nobody has run for decades.
DEAD = "127.0.0.1:1"
NO_TENANT = "9d1f0e4e-0000-4000-8000-000000000000"
# The storage SDKs read an XML error with it.
pytestmark = pytest.mark.filterwarnings("ignore:Testing an element's truth value:DeprecationWarning")


@pytest.fixture
def good(storage: StorageAccount, simulator: SimulatorThread, access_token: str) -> dict[str, str]:
    """Settings with which everything answers."""
    return {
        "CAB_STORAGE": storage.connection_string,
        "DEVCENTER_BASE_URL": simulator.url,
        "DEVCENTER_ACCESS_TOKEN": access_token,
    }


@pytest.fixture
def with_secret(good: dict[str, str], token_endpoint: TokenEndpoint, monkeypatch: pytest.MonkeyPatch) -> dict[str, str]:
    """The same with an application and its secret in place of the fixed token."""
    for name, value in token_endpoint.environment.items():
        monkeypatch.setenv(name, value)
    return {
        **good,
        **token_endpoint.environment,
        "DEVCENTER_ACCESS_TOKEN": "",
        "DEVCENTER_TENANT_ID": token_endpoint.tenant_id,
        "DEVCENTER_CLIENT_ID": token_endpoint.client_id,
        "DEVCENTER_CLIENT_SECRET": token_endpoint.secret,
    }


def asked(settings: Mapping[str, str]) -> dict[str, ProbeResult]:
    """Ask everything, and return the results by name."""
    found = preflight(settings)
    assert [check.name for check in found] == NAMES
    assert all(check.answered for check in found)
    return {check.name: check for check in found}


def failed(settings: Mapping[str, str]) -> dict[str, ProbeResult]:
    """Ask everything, and return the checks that failed."""
    return {name: check for name, check in asked(settings).items() if not check.is_ok}


def test_a_token_is_told_by_its_tenant_application_and_end_and_never_shown(
    with_secret: dict[str, str], token_endpoint: TokenEndpoint, caplog: pytest.LogCaptureFixture
) -> None:
    checks = asked(with_secret)
    told = checks["token"]
    assert told.is_ok
    assert f"the tenant {token_endpoint.tenant_id} for the application {token_endpoint.client_id}" in told.answered
    assert re.search(r"good until \d{4}-\d\d-\d\d \d\d:\d\d UTC \((59|60) minutes\)", told.answered)
    assert token_endpoint.requests == {"secret": 1, "assertion": 0, "identity": 0}
    # This Dev Center knows the application not: it was not added to the account.
    for name in OF_DEVCENTER:
        assert checks[name].answered.startswith("401")
        assert f"Add the Entra application {token_endpoint.client_id} to the Partner Center" in str(
            checks[name].what_to_do
        )
    for text in (repr(checks), caplog.text):
        assert "eyJ" not in text
        assert token_endpoint.secret not in text


@pytest.mark.parametrize(
    ("setting", "value", "seen", "advice"),
    [
        ("DEVCENTER_CLIENT_SECRET", "another", "AADSTS7000215", "Set DEVCENTER_CLIENT_SECRET to the value"),
        ("DEVCENTER_TENANT_ID", NO_TENANT, "no token", "Set DEVCENTER_TENANT_ID"),
        ("DEVCENTER_CLIENT_ID", NO_TENANT, "AADSTS700016", "correct one of the two"),
        ("AZURE_AUTHORITY_HOST", f"https://{DEAD}", "the token endpoint failed", "AZURE_AUTHORITY_HOST"),
    ],
)
def test_a_sign_in_that_fails_names_the_setting(
    with_secret: dict[str, str], monkeypatch: pytest.MonkeyPatch, setting: str, value: str, seen: str, advice: str
) -> None:
    """The wrong value in the wrong setting is the commonest mistake of a first deployment."""
    if setting in os.environ:
        monkeypatch.setenv(setting, value)
    checks = failed({**with_secret, setting: value})
    assert set(checks) == {"token"} | OF_DEVCENTER
    assert seen in checks["token"].answered
    assert advice in str(checks["token"].what_to_do)
    for name in OF_DEVCENTER:
        assert checks[name].answered == "not asked: there is no token"
        assert "token" in str(checks[name].what_to_do)


def test_an_identity_that_the_application_does_not_trust_is_told(
    with_secret: dict[str, str], token_endpoint: TokenEndpoint
) -> None:
    """The step after the deployment, forgotten: the federated credential."""
    token_endpoint.trusts_identity = False
    settings = {
        **with_secret,
        "DEVCENTER_CLIENT_SECRET": "",
        "DEVCENTER_MANAGED_IDENTITY_CLIENT_ID": token_endpoint.identity_client_id,
    }
    told = failed(settings)["token"]
    assert "AADSTS700213" in told.answered
    assert "federated credential whose subject is the principal id" in str(told.what_to_do)
    token_endpoint.trusts_identity = True
    assert asked(settings)["token"].is_ok


def test_an_ended_fixed_token_is_told(good: dict[str, str], token_endpoint: TokenEndpoint) -> None:
    token_endpoint.tokens.lifetime = -timedelta(hours=2)
    token = token_endpoint.tokens.issue("https://manage.devcenter.microsoft.com", token_endpoint.client_id)
    checks = failed({**good, "DEVCENTER_ACCESS_TOKEN": token})
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
    good: dict[str, str], simulator: SimulatorThread, kind: FaultKind, seen: str, advice: str
) -> None:
    """One call may be gone and the other not: each is told by itself."""
    for call, name in ((Call.REPORT, "reportdata"), (Call.CAB_BATCH, "cabdownloadbatch")):
        simulator.faults.add(Fault(call=call, kind=kind))
        checks = failed(good)
        assert set(checks) == {name}
        assert seen in checks[name].answered
        assert advice in str(checks[name].what_to_do)


def test_a_refusal_in_the_words_of_the_api_proves_that_the_batch_is_there(
    good: dict[str, str], simulator: SimulatorThread
) -> None:
    """Nobody knows how the real one answers for a failure that does not exist."""
    simulator.faults.add(Fault(call=Call.CAB_BATCH, kind=FaultKind.BAD_REQUEST))
    told = asked(good)["cabdownloadbatch"]
    assert told.is_ok
    assert "400 for a made-up failure" in told.answered


@pytest.mark.parametrize(
    ("url", "seen"),
    [(f"http://{DEAD}", "resolves"), ("https://devcenter.invalid", "cannot be resolved")],
)
def test_a_dev_center_that_cannot_be_reached_is_told(good: dict[str, str], url: str, seen: str) -> None:
    """A name that does not resolve and a firewall are mended by different people."""
    checks = failed({**good, "DEVCENTER_BASE_URL": url})
    assert set(checks) == OF_DEVCENTER
    for check in checks.values():
        assert seen in check.answered
        assert "DEVCENTER_BASE_URL" in str(check.what_to_do)


def test_a_report_that_the_account_does_not_list_is_told(good: dict[str, str]) -> None:
    checks = failed({**good, "REPORT_IDS": "77001"})
    assert set(checks) == {"reportdata"}
    assert "none is 77001" in checks["reportdata"].answered
    assert "REPORT_IDS" in str(checks["reportdata"].what_to_do)


def test_a_wrong_account_key_is_told(
    good: dict[str, str], storage: StorageAccount, caplog: pytest.LogCaptureFixture
) -> None:
    """Keys are rotated, and the app is forgotten."""
    checks = failed({**good, "CAB_STORAGE": storage.connection_string.replace(storage.key, account_key())})
    assert set(checks) == OF_STORAGE
    for check in checks.values():
        assert "403" in check.answered
        assert "a key that the account has now" in str(check.what_to_do)
    assert storage.key not in caplog.text


def test_a_dead_storage_is_told_while_the_dev_center_answers(good: dict[str, str], storage: StorageAccount) -> None:
    checks = failed({**good, "CAB_STORAGE": re.sub(r"127\.0\.0\.1:\d+", DEAD, storage.connection_string)})
    assert set(checks) == OF_STORAGE
    for check in checks.values():
        assert "127.0.0.1 resolves" in check.answered
        assert "CAB_STORAGE" in str(check.what_to_do)


def test_what_is_missing_and_may_not_be_created_is_told(good: dict[str, str], storage: StorageAccount) -> None:
    """A deployment that went half through: the app may use what is there, and make nothing."""
    few = AccountSasPermissions(read=True, write=True, delete=True, list=True, add=True, update=True, process=True)
    checks = failed({**good, "CAB_STORAGE": with_sas(storage, ResourceTypes(object=True), few)})
    assert set(checks) == OF_STORAGE
    for name, kind in (("container", "container failure-cabs"), ("queue", "queue cab-pulls"), ("copy", "container")):
        assert "404" in checks[name].answered or "403" in checks[name].answered
        assert kind in checks[name].answered


def test_a_sas_without_a_service_fails_that_service_alone(good: dict[str, str], storage: StorageAccount) -> None:
    types = ResourceTypes(service=True, container=True, object=True)
    checks = failed({**good, "CAB_STORAGE": with_sas(storage, types, ALL_RIGHTS, "bq")})
    assert set(checks) == {"tables"}
    assert "SAS in CAB_STORAGE" in str(checks["tables"].what_to_do)


def test_missing_settings_are_named_and_the_rest_is_asked(good: dict[str, str]) -> None:
    """On the way to a first deployment half of it is there: what is there must be told all the same."""
    checks = failed({**good, "DEVCENTER_ACCESS_TOKEN": "", "PULL_CONCURRENCY": "many"})
    assert set(checks) == {"settings", "token"} | OF_DEVCENTER
    for name in ("DEVCENTER_TENANT_ID", "DEVCENTER_CLIENT_ID", "DEVCENTER_CLIENT_SECRET", "PULL_CONCURRENCY"):
        assert name in checks["settings"].answered
    assert "DEVCENTER_TENANT_ID" in checks["token"].answered
    assert "PULL_CONCURRENCY" not in checks["token"].answered
    assert set(failed({**good, "CAB_STORAGE": ""})) == {"settings"} | OF_STORAGE


def test_rules_that_do_not_hold_are_told(good: dict[str, str]) -> None:
    assert failed(good) == {}
    with BlobServiceClient.from_connection_string(good["CAB_STORAGE"]) as blobs:
        file = blobs.get_blob_client(good.get("CAB_CONTAINER", "failure-cabs"), KEEP_FILE)
        file.upload_blob(b'[[rules]]\nname = "a"\naction = "skip"', overwrite=True)
        assert f"{KEEP_FILE} holds 1 rules" in asked(good)["container"].answered
        file.upload_blob(b'[[rules]]\nname = "a"', overwrite=True)
        told = failed(good)["container"]
    assert "rule 1 (a): it lacks the key `action`" in told.answered
    assert "plan --rules" in (told.what_to_do or "")
