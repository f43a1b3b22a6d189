"""What azd runs around a deployment: `python3 infra/hooks.py preprovision`, `postprovision` or `postdeploy`.

`azure.yaml` names the three, once for sh and once for pwsh. azd hands them its environment; called by a person, they
ask `azd env get-values` for it. Whatever Python is there runs them: they need the standard library alone, and `az`.
"""

from __future__ import annotations

import argparse
import io
import json
import os
import re
import shutil
import subprocess
import sys
import tempfile
import time
import urllib.error
import urllib.request
from pathlib import Path
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    # Of the environment and the arguments that name the subscription: what is well; else HookError or NotTold.
    Check = Callable[[Mapping[str, str], list[str]], str]

INFRA = Path(__file__).resolve().parent
PYTHON = "3.13"
# The two accounts of a first deployment.
_ACCOUNTS = 2
# The names of containers and queues have one rule, and the app adds `-checks-poison` to that of the queue.
_NAME = re.compile(r"[a-z0-9](?:-?[a-z0-9])*")
_NAME_LENGTHS = {"CAB_CONTAINER": range(3, 64), "CAB_QUEUE": range(3, 64 - len("-checks-poison"))}
_GUID = re.compile(r"[0-9a-fA-F]{8}(?:-[0-9a-fA-F]{4}){3}-[0-9a-fA-F]{12}")
_OF_STORAGE = {"container", "tables", "queue", "copy"}
# Roles and federated credentials take some minutes to work.
_SPREADING = _OF_STORAGE | {"token"}
_PAUSE = 20.0
_ANSWER_SECONDS = 90.0


class HookError(Exception):
    """Something is missing; the text says what, and what to do."""


class NotTold(Exception):
    """`az` did not answer; the text is its reason."""


def main() -> int:
    """Run one hook and return its exit code: 0 when nothing is missing."""
    parser = argparse.ArgumentParser(prog="hooks.py", description=(__doc__ or "").splitlines()[0])
    parser.add_argument("hook", choices=["preprovision", "postprovision", "postdeploy"])
    parser.add_argument(
        "--wait", type=float, default=300.0, help="seconds that new roles are given to work (postdeploy)"
    )
    given = parser.parse_args()
    if isinstance(sys.stdout, io.TextIOWrapper):
        sys.stdout.reconfigure(errors="replace")  # what az or the app says may not be in the code page of a console
    try:
        environment = azd_environment("AZURE_ENV_NAME" if given.hook == "preprovision" else "CABFERRY_URL")
        if given.hook == "preprovision":
            return preprovision(environment)
        if given.hook == "postprovision":
            return postprovision(environment)
        return postdeploy(environment, given.wait)
    except (HookError, NotTold) as error:
        say(f"missing: {error}")
        return 1


def azd_environment(known: str) -> Mapping[str, str]:
    """Return the values of the azd environment over those of this process.

    Args:
        known: What this process has where azd itself runs the hook. A pipeline sets the name of the environment alone.
    """
    if os.environ.get(known):
        return os.environ
    try:
        lines = run("azd", "env", "get-values").splitlines()
    except NotTold as error:
        raise HookError(f"an azd environment ({error}): azd env new NAME") from None
    pairs = (re.fullmatch(r'(\w+)="(.*)"', line) for line in lines)
    return {**os.environ, **{pair[1]: pair[2].replace('\\"', '"') for pair in pairs if pair}}


def preprovision(environment: Mapping[str, str]) -> int:
    """Check what Azure would refuse late or in words that help nobody: settings, region, quotas, names, application."""
    subscription = environment.get("AZURE_SUBSCRIPTION_ID", "")
    of_it = ["--subscription", subscription] if subscription else []
    az("account", "show", *of_it)  # else each check would say that az is missing, or not signed in
    fine = [_is_there(each, environment, of_it) for each in CHECKS]
    return 0 if all(fine) else 1


def _is_there(check: Check, environment: Mapping[str, str], subscription: list[str]) -> bool:
    try:
        say(f"ok: {check(environment, subscription)}")
    except HookError as error:
        say(f"missing: {error}")
        return False
    except NotTold as error:
        say(f"not checked: {error}")
    return True


def _settings(environment: Mapping[str, str], _: list[str]) -> str:
    for name, what in (("DEVCENTER_TENANT_ID", "tenant"), ("DEVCENTER_CLIENT_ID", "client id")):
        if not _GUID.fullmatch(environment.get(name, "")):
            raise HookError(f"{name}, the {what} of the Entra application: azd env set {name} <{what}>")
    if environment.get("DEVCENTER_SIGN_IN") == "secret":
        secret = environment.get("DEVCENTER_CLIENT_SECRET", "")
        if not secret or secret.startswith("akvs://"):
            raise HookError(
                "DEVCENTER_CLIENT_SECRET, in this shell and not by azd: docs/deploy.md, With a secret instead"
            )
    return "the settings that every deployment needs"


def _names(environment: Mapping[str, str], _: list[str]) -> str:
    for name, lengths in _NAME_LENGTHS.items():
        value = environment.get(name, "")
        if value and not (_NAME.fullmatch(value) and len(value) in lengths):
            raise HookError(
                f"a {name} that Azure takes, in place of '{value}': {lengths.start} to {lengths.stop - 1} lower-case "
                "letters, digits and single dashes between them"
            )
    return "names of container and queue"


def _region(environment: Mapping[str, str], subscription: list[str]) -> str:
    region, allowed = environment.get("AZURE_LOCATION", ""), regions()
    if not region:
        return f"no region yet, azd asks for one: {', '.join(allowed)}"
    if region not in allowed:
        raise HookError(
            f"a region with Flex Consumption, in place of {region}: azd env set AZURE_LOCATION <region>, with one of "
            + ", ".join(allowed)
        )
    runtimes = az(
        "functionapp", "list-flexconsumption-runtimes", "--location", region, "--runtime", "python", *subscription
    )
    if PYTHON not in {each.get("version") for each in runtimes}:
        raise HookError(f"Python {PYTHON} on Flex Consumption in {region}: take another region of {', '.join(allowed)}")
    if environment.get("ZONE_REDUNDANT", "").lower() == "true":
        zoned = az("functionapp", "list-flexconsumption-locations", "--zone-redundant", "true", *subscription)
        if region not in {each["name"] for each in zoned}:
            raise HookError(
                f"zones for Flex Consumption in {region}: azd env set ZONE_REDUNDANT false, or another region"
            )
    return f"region {region}, with Python {PYTHON}"


def regions() -> list[str]:
    """Return the regions that main.bicep takes."""
    text = (INFRA / "main.bicep").read_text(encoding="utf-8")
    listed = re.search(r"@allowed\(\[([^\]]*)\]\)\n(?:@.*\n)*param location ", text)
    return re.findall(r"'(\w+)'", listed[1]) if listed else []


def _quotas(environment: Mapping[str, str], subscription: list[str]) -> str:
    region = environment.get("AZURE_LOCATION", "")
    if not region or environment.get("CABFERRY_CAB_STORAGE"):
        return "quotas, which the first deployment to a known region needs"
    usage = az("storage", "account", "show-usage", "--location", region, *subscription)
    free = int(usage["limit"]) - int(usage["currentValue"])
    if free < _ACCOUNTS:
        raise HookError(
            f"the quota StorageAccounts: {_ACCOUNTS} more are needed in {region} and {free} are "
            f"left of {usage['limit']}; remove some, or raise it in the portal (Quotas, Storage)"
        )
    return f"quota StorageAccounts, {free} left"


def _network(environment: Mapping[str, str], subscription: list[str]) -> str:
    if environment.get("VNET_ENABLED", "").lower() != "true":
        return "no virtual network is asked for"
    state = az("provider", "show", "--namespace", "Microsoft.App", "--query", "registrationState", *subscription)
    if state != "Registered":
        raise HookError(
            "the resource provider of the app's subnet: az provider register --namespace Microsoft.App --wait"
        )
    return "the resource provider of the app's subnet"


def _application(environment: Mapping[str, str], _: list[str]) -> str:
    client, tenant = environment.get("DEVCENTER_CLIENT_ID", ""), environment.get("DEVCENTER_TENANT_ID", "")
    if not (_GUID.fullmatch(client) and _GUID.fullmatch(tenant)):
        raise NotTold("the Entra application: its ids are not known yet")
    signed_in = az("account", "show", "--query", "tenantId")
    if signed_in.lower() != tenant.lower():
        if environment.get("DEVCENTER_SIGN_IN") == "secret":
            raise NotTold(f"the Entra application {client}: az is signed in to {signed_in}, and it is in {tenant}")
        raise HookError(
            f"a sign-in to {tenant}, the tenant of the Entra application (az is in {signed_in}): az login --tenant "
            f"{tenant}. Where the subscription is in another one, take a secret: docs/deploy.md, With a secret instead"
        )
    try:
        az("ad", "app", "show", "--id", client, "--query", "appId")
    except NotTold as error:
        if "does not exist" in str(error):
            raise HookError(
                f"the Entra application {client} in {tenant}: correct DEVCENTER_CLIENT_ID, or register it"
            ) from None
        raise NotTold(f"the Entra application {client}: {error}") from None
    return f"the Entra application {client}"


CHECKS: tuple[Check, ...] = (_settings, _names, _region, _quotas, _network, _application)


def postprovision(environment: Mapping[str, str]) -> int:
    """Let the Entra application trust the app's identity, unless it does or a secret is used."""
    if environment.get("DEVCENTER_SIGN_IN") == "secret":
        say("ok: the app signs in with a secret, and needs no federated credential")
        return 0
    application = ["--id", told(environment, "DEVCENTER_CLIENT_ID")]
    wanted = credential(environment)
    try:
        there = az("ad", "app", "federated-credential", "list", *application)
        if any(each["subject"] == wanted["subject"] and each["issuer"] == wanted["issuer"] for each in there):
            say("ok: the Entra application trusts the app's identity already")
            return 0
        # Of an earlier deployment of this environment, whose identity is gone.
        is_old = any(each["name"] == wanted["name"] for each in there)
        verb = ["update", "--federated-credential-id", wanted["name"]] if is_old else ["create"]
        with tempfile.TemporaryDirectory() as folder:
            parameters = Path(folder) / "credential.json"
            parameters.write_text(json.dumps(wanted), encoding="utf-8")
            az("ad", "app", "federated-credential", *verb, *application, "--parameters", str(parameters))
    except NotTold as error:
        raise HookError(
            f"the federated credential: {error}\nSomebody who may change the Entra application {application[1]} has to "
            f"add it. Put this into credential.json:\n{json.dumps(wanted, indent=2)}\nand run:\n"
            f"az ad app federated-credential create --id {application[1]} --parameters credential.json"
        ) from None
    say(f"ok: the Entra application trusts the app's identity now (federated credential {wanted['name']})")
    return 0


def credential(environment: Mapping[str, str]) -> dict[str, Any]:
    """Return the federated credential: one for each azd environment, so that several apps can share an application.

    The subject is the identity's principal id, not its client id.
    https://learn.microsoft.com/entra/workload-id/workload-identity-federation-config-app-trust-managed-identity
    """
    return {
        "name": "cabferry-" + re.sub(r"[^A-Za-z0-9_-]", "-", told(environment, "AZURE_ENV_NAME")),
        "issuer": f"https://login.microsoftonline.com/{told(environment, 'DEVCENTER_TENANT_ID')}/v2.0",
        "subject": told(environment, "CABFERRY_IDENTITY_PRINCIPAL_ID"),
        "audiences": ["api://AzureADTokenExchange"],
    }


def postdeploy(environment: Mapping[str, str], wait: float) -> int:
    """Run the preflight of the deployed app, and say what is missing in Azure, in Entra and in Partner Center.

    Args:
        environment: Of azd, after the deployment.
        wait: Seconds that roles and the federated credential are given to work.
    """
    url = told(environment, "CABFERRY_URL")
    keys = [
        *("functionapp", "keys", "list", "--query", "functionKeys.default"),
        *("--resource-group", told(environment, "AZURE_RESOURCE_GROUP")),
        *("--name", told(environment, "AZURE_FUNCTION_NAME")),
        *("--subscription", told(environment, "AZURE_SUBSCRIPTION_ID")),
    ]
    end = time.monotonic() + wait
    while True:
        failed, reason = None, ""
        try:
            key = az(*keys)
            failed = [check for check in asked(url, key) if not check["ok"]]
        except NotTold as error:
            reason = str(error)
        if failed is not None and not _SPREADING & {check["name"] for check in failed}:
            break
        if time.monotonic() + _PAUSE > end:
            break
        say("waiting for " + (", ".join(check["name"] for check in failed) if failed else f"the app: {reason}"))
        time.sleep(_PAUSE)
    if failed is None:
        raise HookError(f"an answer of the app: {reason}\nAsk again later: python3 infra/hooks.py postdeploy")
    if not failed:
        say(f"ok: the preflight of {url} finds nothing missing")
        return 0
    for where, of_storage in (("in Azure", True), ("in Entra, Partner Center or the settings", False)):
        for check in failed:
            if (check["name"] in _OF_STORAGE) is of_storage:
                say(f"missing {where}: {check['name']}: {check['answered']}\n    -> {check['whatToDo']}")
    say("Ask again once that is done: python3 infra/hooks.py postdeploy")
    return 1


class NoRedirect(urllib.request.HTTPRedirectHandler):
    """The key is for the app's own host."""

    def redirect_request(self, *_: Any) -> None:
        """Follow none."""


def asked(url: str, key: str) -> list[dict[str, Any]]:
    """Return the checks of `POST /api/preflight`.

    Raises:
        NotTold: The app does not answer, or with something else.
    """
    request = urllib.request.Request(f"{url}/api/preflight", data=b"", headers={"x-functions-key": key}, method="POST")
    try:
        with urllib.request.build_opener(NoRedirect).open(request, timeout=_ANSWER_SECONDS) as answer:
            checks: list[dict[str, Any]] = json.load(answer)["checks"]
            return checks
    except urllib.error.HTTPError as error:
        raise NotTold(f"{url} answered {error.code}") from None
    except (OSError, ValueError, KeyError) as error:
        raise NotTold(f"{url} does not answer ({type(error).__name__})") from None


def az(*arguments: str) -> Any:
    """Return what `az` answers.

    Raises:
        NotTold: It failed.
    """
    answer = run("az", *arguments, "--output", "json")
    return json.loads(answer) if answer.strip() else None


def run(program: str, *arguments: str) -> str:
    """Return what a program prints.

    Raises:
        HookError: It is not there.
        NotTold: It failed; the text is the end of what it said.
    """
    path = shutil.which(program)
    if path is None:
        raise HookError(f"{program} on PATH: docs/deploy.md, What you need")
    done = subprocess.run([path, *arguments], capture_output=True, encoding="utf-8", errors="replace", check=False)
    if done.returncode:
        said = [line for line in done.stderr.splitlines() if line.strip()]
        if any("az login" in line for line in said):
            raise HookError("a sign-in of az, which is another than that of azd: az login")
        raise NotTold(f"{program} {' '.join(arguments[:3])}: {said[-1] if said else f'exit code {done.returncode}'}")
    return done.stdout


def told(environment: Mapping[str, str], name: str) -> str:
    """Return what azd knows.

    Raises:
        HookError: It does not know it yet.
    """
    if not environment.get(name):
        raise HookError(f"{name} in the azd environment: azd provision")
    return environment[name]


def say(text: str) -> None:
    """Print one line."""
    print(f"cabferry: {text}", flush=True)


if __name__ == "__main__":
    sys.exit(main())
