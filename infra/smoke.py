"""Deploy into a subscription of your own, pull one cab, and take everything away again: `python3 -m infra.smoke`.

Nobody has a Partner Center account to spare for that, so the Dev Center is a static website of a storage account that
is made for it: one page, which names one cab by a SAS, as the Dev Center does. `az` and `azd` must be signed in, and
AZURE_SUBSCRIPTION_ID and AZURE_LOCATION set. It costs some cents, and everything is removed, also when a step fails;
`python3 -m infra.smoke down` does that once more.
"""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
import time
import urllib.request
from datetime import datetime, timedelta, timezone
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

from infra.hooks import HookError, NoRedirect, NotTold, az, run, say

ENVIRONMENT = os.environ.get("AZURE_ENV_NAME") or "cabferry-smoke"
SITE_GROUP = f"rg-{ENVIRONMENT}-devcenter"
PAGE = "v1.0/my/analytics/driver/cabdownloadbatch"
APPLICATION, FAILURE, CAB = (
    "13984104677400476",
    "1fd83f6d-9fe0-96ec-2c47-ef08b65ccbed",
    "fb57b37b-d364-4caf-995b-d99ae651ee18",
)
BYTES = 64 * 1024
SECONDS = float(os.environ.get("SMOKE_SECONDS") or 15 * 60)
# Nobody signs in with them: the app is given a token that the website does not look at.
SETTINGS = {
    "DEVCENTER_TENANT_ID": "00000000-0000-0000-0000-000000000001",
    "DEVCENTER_CLIENT_ID": "00000000-0000-0000-0000-000000000002",
    "DEVCENTER_SIGN_IN": "secret",
    "REPORT_IDS": "none",
}


def main() -> int:
    """Do it; return the exit code, which is 0 when the cab was held with its bytes."""
    if sys.argv[1:] == ["down"]:
        down()
        return 0
    try:
        content = os.urandom(BYTES)
        up(site(content))
        held = pulled()
    except (HookError, NotTold, TimeoutError) as error:
        say(f"smoke: {error}")
        return 1
    finally:
        down()
    say("smoke: the cab is held, byte for byte" if held == content else "smoke: the cab that is held is another one")
    return 0 if held == content else 1


def page(url: str, now: datetime) -> dict[str, Any]:
    """Return the one page, in the Dev Center's form (docs/api.md).

    Args:
        url: Of the cab, with its SAS.
        now: The time.
    """
    row = {
        "applicationId": APPLICATION,
        "submissionId": f"29989690_{APPLICATION}_1152921504626153337",
        "failureHash": FAILURE,
        "cabIdHash": CAB,
        "cabUrl": url,
        "date": f"{now - timedelta(days=1):%Y-%m-%d %H:%M:%S}",
        "cabExpirationTime": f"{now + timedelta(days=29):%Y-%m-%d %H:%M:%S}",
    }
    return {"Value": [row], "TotalCount": 1}


def site(content: bytes) -> str:
    """Make the website and return its address."""
    name, region = f"smoke{os.urandom(8).hex()}", os.environ["AZURE_LOCATION"]
    az("group", "create", "--name", SITE_GROUP, "--location", region)
    made = az(
        *("storage", "account", "create", "--resource-group", SITE_GROUP, "--name", name, "--location", region),
        *("--sku", "Standard_LRS", "--min-tls-version", "TLS1_2"),
    )
    key = az("storage", "account", "keys", "list", "--resource-group", SITE_GROUP, "--account-name", name)[0]["value"]
    # In the environment, where no list of processes shows it.
    os.environ["AZURE_STORAGE_ACCOUNT"], os.environ["AZURE_STORAGE_KEY"] = name, key
    az("storage", "blob", "service-properties", "update", "--static-website", "true")
    az("storage", "container", "create", "--name", "cabs")
    upload("cabs", f"{CAB}.ext.zip", content, "application/octet-stream")
    now = datetime.now(timezone.utc)
    url = az(
        *("storage", "blob", "generate-sas", "--container-name", "cabs", "--name", f"{CAB}.ext.zip", "--full-uri"),
        *("--permissions", "r", "--https-only", "--expiry", f"{now + timedelta(hours=4):%Y-%m-%dT%H:%MZ}"),
    )
    upload("$web", PAGE, json.dumps(page(url, now)).encode(), "application/json")
    address: str = made["primaryEndpoints"]["web"]
    return address.rstrip("/")


def upload(container: str, name: str, content: bytes, kind: str) -> None:
    """Upload one blob."""
    with TemporaryDirectory() as folder:
        file = Path(folder) / "blob"
        file.write_bytes(content)
        az(
            *("storage", "blob", "upload", "--container-name", container, "--name", name, "--file", str(file)),
            *("--content-type", kind, "--overwrite"),
        )


def up(address: str) -> None:
    """Deploy the app, which takes the website for the Dev Center."""
    os.environ["DEVCENTER_CLIENT_SECRET"] = "of-nobody"  # noqa: S105 - it is none
    location = ["--subscription", os.environ["AZURE_SUBSCRIPTION_ID"], "--location", os.environ["AZURE_LOCATION"]]
    run("azd", "env", "new", ENVIRONMENT, "--no-prompt", *location)
    for setting, value in {**SETTINGS, "DEVCENTER_BASE_URL": address}.items():
        run("azd", "env", "set", setting, value, "--environment", ENVIRONMENT)
    _seen("azd", "provision", "--no-prompt", "--environment", ENVIRONMENT)
    az(
        *("functionapp", "config", "appsettings", "set", *app(), "--settings", "DEVCENTER_ACCESS_TOKEN=of-nobody"),
        *("--query", "[0].name"),
    )
    _seen("azd", "deploy", "--no-prompt", "--environment", ENVIRONMENT)


def _seen(program: str, *arguments: str) -> None:
    """Run what takes minutes, for all to see."""
    if subprocess.run([shutil.which(program) or program, *arguments], check=False).returncode:
        raise HookError(f"an end of {program} {arguments[0]} without an error")


def app() -> list[str]:
    """Return the arguments that name the app."""
    told = outputs()
    return ["--resource-group", told["AZURE_RESOURCE_GROUP"], "--name", told["AZURE_FUNCTION_NAME"]]


def outputs() -> dict[str, str]:
    """Return what the deployment told azd."""
    told: dict[str, str] = json.loads(run("azd", "env", "get-values", "--environment", ENVIRONMENT, "--output", "json"))
    return told


def pulled() -> bytes:
    """Ask for the one failure, wait until its pull has ended, and return the bytes of the one cab.

    Raises:
        TimeoutError: It did not end as it should.
    """
    url = outputs()["CABFERRY_URL"]
    key = az("functionapp", "keys", "list", *app(), "--query", "functionKeys.default")
    asked = json.dumps({"applicationId": APPLICATION, "failureHash": FAILURE}).encode()
    end, was_asked, last = time.monotonic() + SECONDS, False, "nothing"
    while time.monotonic() < end:
        try:
            if not was_asked:
                answer(f"{url}/api/pulls", key, asked)
                was_asked = True
            pull = json.loads(answer(f"{url}/api/pulls/{APPLICATION}/{FAILURE}", key))
            last = f"{pull['state']}, {pull['cabs']}, {pull['lastError']}"
            if pull["state"] == "Completed" and pull["cabs"]["copied"] == 1:
                return answer(f"{url}/api/failures/{APPLICATION}/{FAILURE}/cabs/{CAB}/content", key)
        except (OSError, ValueError, KeyError) as error:
            # The app starts anew with its token, and roles take their time.
            last = str(error)
        time.sleep(min(15.0, SECONDS))
    raise TimeoutError(f"the pull did not end well in {SECONDS:.0f} seconds: {last}")


def answer(url: str, key: str, body: bytes | None = None) -> bytes:
    """Return what the app answers."""
    request = urllib.request.Request(
        url, data=body, headers={"x-functions-key": key, "Content-Type": "application/json"}
    )
    with urllib.request.build_opener(NoRedirect).open(request, timeout=60) as got:
        content: bytes = got.read()
        return content


def down() -> None:
    """Remove both groups and the custom roles; one that fails does not keep the others."""
    try:
        told = outputs()
    except (HookError, NotTold):
        told = {}
    group = f"/subscriptions/{os.environ['AZURE_SUBSCRIPTION_ID']}/resourceGroups/{told.get('AZURE_RESOURCE_GROUP')}"
    steps = [
        *(
            step
            for name in ("CABFERRY_ROLE_ID", "CABFERRY_READER_ROLE_ID")
            if (role := told.get(name))
            for step in (
                ["az", "role", "assignment", "delete", "--role", role, "--scope", told["CABFERRY_CONTAINER_ID"]],
                ["az", "role", "definition", "delete", "--name", role, "--scope", group],
            )
        ),
        ["azd", "down", "--force", "--purge", "--no-prompt", "--environment", ENVIRONMENT],
        ["az", "group", "delete", "--yes", "--name", SITE_GROUP],
    ]
    for step in steps:
        _tried(*step)


def _tried(*step: str) -> None:
    try:
        run(*step)
    except (HookError, NotTold) as error:
        say(f"smoke: {error}")


if __name__ == "__main__":
    sys.exit(main())
