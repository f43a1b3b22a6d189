"""What azd runs around a deployment: what it asks Azure, what it says is missing, and whether azd goes on.

`az` is a stand-in on PATH that notes its calls and answers in the form of azure-cli 2.91.
"""

import json
import os
import re
import subprocess
import sys
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

from tests.support.loopback import Answer, LoopbackServer
from tests.unit.infra.predicted import ROOT, snapshot
from tests.unit.infra.stand_in import StandIn

HOOKS = (ROOT / "infra" / "hooks.py").read_text(encoding="utf-8")
AZURE_YAML = (ROOT / "azure.yaml").read_text(encoding="utf-8")
TENANT, CLIENT = "11111111-1111-1111-1111-111111111111", "22222222-2222-2222-2222-222222222222"
GIVEN = {
    "AZURE_ENV_NAME": "drivers (west)",
    "AZURE_LOCATION": "westeurope",
    "AZURE_SUBSCRIPTION_ID": "a-subscription",
    "DEVCENTER_TENANT_ID": TENANT,
    "DEVCENTER_CLIENT_ID": CLIENT,
}
DEPLOYED = GIVEN | {
    "AZURE_RESOURCE_GROUP": "rg-drivers",
    "AZURE_FUNCTION_NAME": "func-cabferry-x",
    "CABFERRY_CAB_STORAGE": "stcabsx",
    "CABFERRY_URL": "https://func-cabferry-x.azurewebsites.net",
    "CABFERRY_IDENTITY_PRINCIPAL_ID": "principal",
}
LIST_RUNTIMES = "functionapp list-flexconsumption-runtimes"
LIST_ZONES = "functionapp list-flexconsumption-locations"
SHOW_USAGE = "storage account show-usage"
SHOW_APPLICATION = "ad app show"
CREDENTIALS = "ad app federated-credential"
NO_APPLICATION = (
    f"ERROR: Resource '{CLIENT}' does not exist or one of its queried reference-property objects are not present."
)
WELL: dict[str, Any] = {
    LIST_RUNTIMES: [{"name": "python", "version": "3.12"}, {"name": "python", "version": "3.13"}],
    LIST_ZONES: [{"name": "northeurope"}],
    SHOW_USAGE: {"currentValue": 248, "limit": 250, "name": {"value": "StorageAccounts"}},
    "provider show": "Registered",
    "account show": TENANT,
    SHOW_APPLICATION: CLIENT,
    f"{CREDENTIALS} list": [],
    f"{CREDENTIALS} create": {},
    f"{CREDENTIALS} update": {},
    "functionapp keys list": "a-function-key",
}
pytestmark = pytest.mark.skipif(os.name == "nt", reason="the stand-in is a script whose first line names its program")


@dataclass(frozen=True, slots=True)
class Ran:
    """How a hook ended: its exit code, what it printed, and the calls of `az`."""

    code: int
    said: str
    calls: list[list[str]]


def run(hook: str, folder: Path, given: Mapping[str, str], answers: Mapping[str, Any], more: str = "") -> Ran:
    """Run what azure.yaml has azd run; nothing but `python3` and the stand-in is on PATH."""
    az = StandIn(folder, "az", {**WELL, **answers})
    (folder / "python3").symlink_to(sys.executable)
    done = subprocess.run(
        ["/bin/sh", "-c", command(hook, "posix") + more],
        cwd=ROOT,
        env={"PATH": str(folder), **given},
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.stderr == ""
    return Ran(done.returncode, done.stdout, az.calls())


def command(hook: str, system: str) -> str:
    """Return what azure.yaml has azd run."""
    found = re.search(
        rf"^  {hook}:\n(?: {{4,}}.*\n)*?    {system}:\n      shell: \w+\n      run: (.*)$", AZURE_YAML, re.MULTILINE
    )
    assert found, f"azure.yaml has no {hook} for {system}"
    return found[1]


@pytest.mark.parametrize("hook", ["preprovision", "postprovision", "postdeploy"])
def test_windows_runs_the_same_and_tells_azd_how_it_ended(hook: str) -> None:
    assert command(hook, "windows") == command(hook, "posix").replace("python3", "py -3") + "; exit $LASTEXITCODE"


def test_a_deployment_that_will_do_is_let_through(tmp_path: Path) -> None:
    ran = run("preprovision", tmp_path, GIVEN, {})
    assert ran.code == 0, ran.said
    assert "missing" not in ran.said
    assert "not checked" not in ran.said
    asked = {" ".join(call[:3]) for call in ran.calls}
    assert {f"{LIST_RUNTIMES} --location", SHOW_USAGE, SHOW_APPLICATION} <= asked
    assert all("a-subscription" in call for call in ran.calls if call[0] in {"functionapp", "storage"})


@pytest.mark.parametrize(
    ("given", "answers", "said"),
    [
        ({"DEVCENTER_CLIENT_ID": ""}, {}, "azd env set DEVCENTER_CLIENT_ID <client id>"),
        ({"DEVCENTER_TENANT_ID": "contoso"}, {}, "azd env set DEVCENTER_TENANT_ID <tenant>"),
        ({"AZURE_LOCATION": "germanynorth"}, {}, "in place of germanynorth: azd env set AZURE_LOCATION"),
        ({}, {LIST_RUNTIMES: [{"version": "3.12"}]}, "Python 3.13 on Flex Consumption in westeurope"),
        ({"ZONE_REDUNDANT": "true"}, {}, "zones for Flex Consumption in westeurope"),
        ({}, {SHOW_USAGE: {"currentValue": 249, "limit": 250}}, "quota StorageAccounts: 2 more are needed"),
        ({"CAB_CONTAINER": "Cabs"}, {}, "a CAB_CONTAINER that Azure takes, in place of 'Cabs'"),
        ({"CAB_QUEUE": "q" * 50}, {}, "3 to 49 lower-case"),
        ({"VNET_ENABLED": "true"}, {"provider show": "NotRegistered"}, "az provider register"),
        ({}, {SHOW_APPLICATION: NO_APPLICATION}, f"the Entra application {CLIENT} in {TENANT}"),
        ({}, {"account show": "another-tenant"}, f"az login --tenant {TENANT}"),
        ({}, {"account show": "ERROR: Please run 'az login' to setup account."}, "a sign-in of az"),
        ({"DEVCENTER_SIGN_IN": "secret"}, {}, "DEVCENTER_CLIENT_SECRET, in this shell"),
        ({"DEVCENTER_SIGN_IN": "secret", "DEVCENTER_CLIENT_SECRET": "akvs://s/v/n"}, {}, "DEVCENTER_CLIENT_SECRET"),
    ],
)  # fmt: skip
def test_what_azure_would_refuse_late_is_said_before_anything_is_made(
    tmp_path: Path, given: dict[str, str], answers: dict[str, Any], said: str
) -> None:
    ran = run("preprovision", tmp_path, GIVEN | given, answers)
    assert ran.code == 1, ran.said
    (missing,) = [line for line in ran.said.splitlines() if line.startswith("cabferry: missing: ")]
    assert said in missing
    assert "akvs" not in ran.said


@pytest.mark.parametrize(
    ("given", "answers", "said"),
    [
        # The first `azd up`: azd asks for the region after this.
        ({"AZURE_LOCATION": ""}, {}, "azd asks for one: australiaeast"),
        # A pipeline may deploy, and need not be allowed to read Entra.
        ({}, {SHOW_APPLICATION: "ERROR: Insufficient privileges to complete the operation."}, "not checked: the Entra"),
        ({}, {LIST_RUNTIMES: "ERROR: the network"}, "not checked: az functionapp list-flexconsumption-runtimes"),
        (
            {"DEVCENTER_SIGN_IN": "secret", "DEVCENTER_CLIENT_SECRET": "s3cret"},
            {"account show": "another-tenant"},
            "not checked: the Entra application",
        ),
    ],
)
def test_what_cannot_be_looked_up_stops_no_deployment(
    tmp_path: Path, given: dict[str, str], answers: dict[str, Any], said: str
) -> None:
    ran = run("preprovision", tmp_path, GIVEN | given, answers)
    assert ran.code == 0, ran.said
    assert said in ran.said
    assert "s3cret" not in ran.said


WANTED: dict[str, Any] = {
    "name": "cabferry-drivers--west-",
    "issuer": f"https://login.microsoftonline.com/{TENANT}/v2.0",
    "subject": "principal",
    "audiences": ["api://AzureADTokenExchange"],
}


@pytest.mark.parametrize(
    ("there", "verb"),
    [
        ([], ["create"]),
        (
            [{**WANTED, "subject": "of an identity that is gone"}],
            ["update", "--federated-credential-id", WANTED["name"]],
        ),
        ([{**WANTED, "name": "made by hand"}], None),
    ],
)
def test_the_application_trusts_the_identity_of_this_deployment(
    tmp_path: Path, there: list[dict[str, Any]], verb: list[str] | None
) -> None:
    ran = run("postprovision", tmp_path, DEPLOYED, {f"{CREDENTIALS} list": there})
    assert ran.code == 0, ran.said
    changed = [call for call in ran.calls if "list" not in call]
    if verb is None:
        assert changed == []
        return
    (call,) = changed
    assert call[: 3 + len(verb)] == ["ad", "app", "federated-credential", *verb]
    assert call[call.index("--id") + 1] == CLIENT
    assert json.loads(Path(call[call.index("--parameters") + 1]).read_text(encoding="utf-8")) == WANTED


def test_who_may_not_change_the_application_can_hand_the_step_on(tmp_path: Path) -> None:
    refused = {f"{CREDENTIALS} create": "ERROR: Insufficient privileges to complete the operation."}
    ran = run("postprovision", tmp_path, DEPLOYED, refused)
    assert ran.code == 1
    assert "Insufficient privileges" in ran.said
    assert json.dumps(WANTED, indent=2) in ran.said
    assert f"az ad app federated-credential create --id {CLIENT} --parameters credential.json" in ran.said


def test_with_a_secret_no_credential_is_made(tmp_path: Path) -> None:
    ran = run("postprovision", tmp_path, DEPLOYED | {"DEVCENTER_SIGN_IN": "secret"}, {})
    assert (ran.code, ran.calls) == (0, [])


def checks(**failed: str) -> bytes:
    """Return a preflight, in which what is named fails with this advice."""
    told = [
        {"name": name, "ok": name not in failed, "answered": "200", "milliseconds": 1, "whatToDo": failed.get(name)}
        for name in ("settings", "token", "reportdata", "container")
    ]
    return json.dumps({"ready": not failed, "checks": told}).encode()


@pytest.mark.parametrize(
    ("body", "code", "said"),
    [
        (checks(), 0, ["finds nothing missing"]),
        (
            checks(reportdata="Give it the role Manager in Partner Center.", container="Assign the role."),
            1,
            [
                "missing in Azure: container: 200\n    -> Assign the role.",
                "missing in Entra, Partner Center or the settings: reportdata: 200\n    -> Give it the role Manager",
                "python3 infra/hooks.py postdeploy",
            ],
        ),
        (b"<html>", 1, ["does not answer (JSONDecodeError)"]),
    ],
)
def test_what_is_missing_after_the_deployment_is_told_with_what_to_do(
    tmp_path: Path, body: bytes, code: int, said: list[str]
) -> None:
    with LoopbackServer(lambda _: Answer(body)) as app:
        ran = run("postdeploy", tmp_path, DEPLOYED | {"CABFERRY_URL": app.url}, {}, more=" --wait 0")
        (seen,) = app.seen
    assert ran.code == code, ran.said
    assert [text for text in said if text not in ran.said] == []
    assert (seen.method, seen.path, seen.headers["x-functions-key"]) == ("POST", "/api/preflight", "a-function-key")
    assert "a-function-key" not in ran.said


def test_the_key_goes_to_no_other_host(tmp_path: Path) -> None:
    with (
        LoopbackServer(lambda _: Answer(checks())) as other,
        LoopbackServer(lambda _: Answer(status=302, headers={"Location": f"{other.url}/api/preflight"})) as app,
    ):
        ran = run("postdeploy", tmp_path, DEPLOYED | {"CABFERRY_URL": app.url}, {}, more=" --wait 0")
        assert other.seen == []
    assert (ran.code, "answered 302" in ran.said) == (1, True)


@pytest.mark.parametrize("given", [{}, GIVEN], ids=["by a person", "by a pipeline"])
def test_a_hook_that_azd_does_not_run_asks_azd_what_was_deployed(tmp_path: Path, given: dict[str, str]) -> None:
    values = "".join(f'{name}="{value}"\n' for name, value in DEPLOYED.items())
    StandIn(tmp_path, "azd", {"env get-values": values})
    ran = run("postprovision", tmp_path, given, {})
    assert ran.code == 0, ran.said
    assert all(CLIENT in call for call in ran.calls)


def test_before_a_deployment_the_later_hooks_say_what_comes_first(tmp_path: Path) -> None:
    StandIn(tmp_path, "azd", {"env get-values": 'AZURE_ENV_NAME="drivers"\n'})
    ran = run("postdeploy", tmp_path, GIVEN, {})
    assert (ran.code, "CABFERRY_URL in the azd environment: azd provision" in ran.said) == (1, True)
    outputs = snapshot("trial")["outputs"]
    assert set(re.findall(r'told\(environment, "(\w+)"\)', HOOKS)) <= outputs.keys() | GIVEN.keys()
