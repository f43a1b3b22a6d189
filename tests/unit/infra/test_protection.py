"""What keeps dumps from being public, stored for too long or read unnoticed; the rest is asked by checkov, in lint."""

import json
import os
import re
import subprocess
from pathlib import Path

import pytest

from infra.check import PREDICTED_FOR, found_compiler
from tests.unit.infra.predicted import BOTH, ROOT, resources, settings


@pytest.mark.parametrize("deployment", BOTH)
def test_no_key_opens_storage_or_logs_and_no_container_is_public(deployment: str) -> None:
    for account in resources(deployment, "Storage/storageAccounts"):
        held = account["properties"]
        assert (held["allowSharedKeyAccess"], held["allowBlobPublicAccess"]) == (False, False)
        # Microsoft's accounts are in another tenant: a scope would stop every copy.
        assert "allowedCopyScope" not in held
    for container in resources(deployment, "Storage/storageAccounts/blobServices/containers"):
        assert container["properties"]["publicAccess"] == "None"
    for insights in resources(deployment, "Insights/components"):
        assert insights["properties"]["DisableLocalAuth"] is True


@pytest.mark.parametrize("deployment", BOTH)
def test_what_is_deleted_is_gone(deployment: str) -> None:
    """What a soft delete or a version keeps is still stored, and the 30 days of the agreement go on."""
    (services,) = (
        each["properties"]
        for each in resources(deployment, "Storage/storageAccounts/blobServices")
        if each["name"].startswith("stcabs")
    )
    assert services == {
        "deleteRetentionPolicy": {"enabled": False},
        "containerDeleteRetentionPolicy": {"enabled": False},
        "isVersioningEnabled": False,
    }


@pytest.mark.parametrize("deployment", BOTH)
def test_it_is_noted_who_reads_which_dump(deployment: str) -> None:
    (audit,) = resources(deployment, "Insights/diagnosticSettings")
    assert "/storageAccounts/stcabs" in audit["id"]
    assert audit["properties"]["logs"] == [
        {"category": category, "enabled": True} for category in ("StorageRead", "StorageWrite", "StorageDelete")
    ]


@pytest.mark.parametrize("deployment", BOTH)
def test_nobody_deploys_with_a_password_and_no_page_of_another_origin_asks(deployment: str) -> None:
    ways = resources(deployment, "Web/sites/basicPublishingCredentialsPolicies")
    assert {each["name"].rpartition("/")[2]: each["properties"]["allow"] for each in ways} == {
        "scm": False,
        "ftp": False,
    }
    (app,) = resources(deployment, "Web/sites")
    assert app["properties"]["httpsOnly"] is True
    assert "cors" not in app["properties"]["siteConfig"]


@pytest.mark.parametrize("deployment", BOTH)
def test_the_app_deletes_nothing_but_its_probes_and_the_catalog(deployment: str) -> None:
    conditions = [
        each["properties"]["condition"]
        for each in resources(deployment, "Authorization/roleAssignments")
        if "condition" in each["properties"]
    ]
    (condition,) = conditions
    assert "blobs/delete'})) OR (@Resource" in condition
    assert re.findall(r"StringLike '([^']*)'", condition) == ["_preflight/*", "_catalog/*"]
    assert condition.count(" OR ") == 2


def test_a_reader_may_list_find_and_read_the_cabs_of_the_container_and_do_nothing_else() -> None:
    (role,) = (
        each
        for each in resources("production", "Authorization/roleDefinitions")
        if "cab reader" in each["properties"]["roleName"]
    )
    (permission,) = role["properties"]["permissions"]
    assert [action.rpartition("/blobs/")[2] for action in permission["dataActions"]] == [
        "read",
        "tags/read",
        "filter/action",
    ]
    assert [action.rpartition("/")[2] for action in permission["actions"]] == ["read"]
    (given,) = (
        each
        for each in resources("production", "Authorization/roleAssignments")
        if each["properties"].get("principalType") == "Group"
    )
    assert given["properties"]["roleDefinitionId"].endswith(role["name"])
    assert "/containers/cabs/" in given["id"]
    assert "'Group'" not in str(resources("trial", "Authorization/roleAssignments"))


@pytest.mark.skipif(found_compiler() is None, reason="there is no Bicep compiler")
def test_without_custom_roles_the_app_still_deletes_no_cab_and_readers_do_not_write(tmp_path: Path) -> None:
    """The one choice that widens what the identity may do: by the role that docs/deploy.md names, and nothing else."""
    parameters = (ROOT / "infra" / "snapshots" / "trial.bicepparam").read_text(encoding="utf-8")
    main = Path(os.path.relpath(ROOT / "infra" / "main.bicep", tmp_path)).as_posix()
    given = "param useBuiltInRoles = true\nparam cabReaderGroupId = '55555555-5555-5555-5555-555555555555'\n"
    (tmp_path / "roles.bicepparam").write_text(parameters.replace("../main.bicep", main) + given, encoding="utf-8")
    subprocess.run(
        [str(found_compiler()), "snapshot", "roles.bicepparam", "--mode", "overwrite", *PREDICTED_FOR],
        cwd=tmp_path,
        check=True,
    )
    predicted = json.loads((tmp_path / "roles.snapshot.json").read_text(encoding="utf-8"))["predictedResources"]
    assert [each for each in predicted if each["type"].endswith("/roleDefinitions")] == []
    on_the_container = [
        each["properties"]
        for each in predicted
        if each["type"].endswith("/roleAssignments") and "/containers/failure-cabs/" in each["id"]
    ]
    roles = {each["principalType"]: each for each in on_the_container if "principalType" in each}
    custom = [each["properties"] for each in resources("trial", "Authorization/roleAssignments")]
    (condition,) = [each["condition"] for each in custom if "condition" in each]
    owner, reader = "b7e6dc6d-f1e8-4753-8033-0f276bb0955b", "2a2b9908-6ea1-4ae2-8e65-a410df84e7d1"
    assert roles["ServicePrincipal"]["roleDefinitionId"].endswith(owner)
    assert roles["ServicePrincipal"]["condition"] == condition
    assert roles["Group"]["roleDefinitionId"].endswith(reader)
    # Every other assignment is the one of a deployment with custom roles.
    others = [each for each in predicted if each["type"].endswith("/roleAssignments")]
    assert len(others) == len(custom) + 1


def test_people_sign_in_with_the_application_that_is_named_and_in_no_other_tenant() -> None:
    (sign_in,) = resources("production", "Web/sites/config")
    (entra,) = sign_in["properties"]["identityProviders"].values()
    client = entra["registration"]["clientId"]
    assert entra["validation"]["allowedAudiences"] == [client]
    assert "common" not in entra["registration"]["openIdIssuer"]
    # Else a script with a function key would be sent to a page to sign in.
    assert sign_in["properties"]["globalValidation"]["unauthenticatedClientAction"] == "AllowAnonymous"
    assert settings("production")["DASHBOARD_SIGN_IN"] == "entra"


def test_storage_and_vault_of_production_answer_in_their_network_only() -> None:
    for kind in ("Storage/storageAccounts", "KeyVault/vaults"):
        for each in resources("production", kind):
            held = each["properties"]
            assert (held["publicNetworkAccess"], held["networkAcls"]["defaultAction"]) == ("Disabled", "Deny")
    reached = {
        (link["properties"]["privateLinkServiceId"].rpartition("/")[2][:6], link["properties"]["groupIds"][0])
        for endpoint in resources("production", "Network/privateEndpoints")
        for link in endpoint["properties"]["privateLinkServiceConnections"]
    }
    services = ("blob", "queue", "table")
    assert {(account, service) for account in ("sthost", "stcabs") for service in services} < reached
    assert "vault" in {service for _, service in reached}
    (app,) = resources("production", "Web/sites")
    assert "network" in app["properties"]["virtualNetworkSubnetId"]


def test_a_deployer_of_production_sees_no_dump() -> None:
    """Whoever deploys may be a pipeline."""
    assert "deployer()" not in str(resources("production", "Authorization/roleAssignments"))
    assert "deployer()" in str(resources("trial", "Authorization/roleAssignments"))
