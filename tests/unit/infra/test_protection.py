"""What keeps dumps from being public, stored for too long or read unnoticed; the rest is asked by checkov, in lint."""

import re

import pytest

from tests.unit.infra.predicted import BOTH, resources, settings


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
