"""What the code and the deployment must say alike: settings and defaults, names, limits."""

import json
import re

import pytest

from shared.catalog.files import FOLDER
from shared.core.ids import APPLICATION_ID
from shared.core.settings_table import SETTINGS
from shared.progress import TABLES
from shared.pull.keep_file import KEEP_FILE
from tests.unit.infra.predicted import BOTH, ROOT, names, resources, settings, snapshot

# The app's own, in Azure: a token of an hour is no way to run a service, and storage is named by its parts.
DEPLOYED = {setting.name for setting in SETTINGS} - {"DEVCENTER_ACCESS_TOKEN", "CAB_STORAGE"}
STORAGE = {
    f"CAB_STORAGE__{part}"
    for part in ("blobServiceUri", "queueServiceUri", "tableServiceUri", "credential", "clientId")
}
HOST = {
    "AzureWebJobsStorage__accountName",
    "AzureWebJobsStorage__credential",
    "AzureWebJobsStorage__clientId",
    "APPLICATIONINSIGHTS_CONNECTION_STRING",
    "APPLICATIONINSIGHTS_AUTHENTICATION_STRING",
    "PYTHON_THREADPOOL_THREAD_COUNT",
}
HOST_JSON = json.loads((ROOT / "host.json").read_text(encoding="utf-8"))
PARAMETERS = (ROOT / "infra" / "main.bicepparam").read_text(encoding="utf-8")
# Id to name, from github.com/MicrosoftDocs/azure-docs articles/role-based-access-control/built-in-roles/storage.md, the
# flex-consumption samples' IaC/bicep/rbac.bicep, and avm/res/key-vault/vault/main.bicep.
BUILT_IN_ROLES = {
    "b7e6dc6d-f1e8-4753-8033-0f276bb0955b": "Storage Blob Data Owner",
    "2a2b9908-6ea1-4ae2-8e65-a410df84e7d1": "Storage Blob Data Reader",
    "db58b8e5-c6ad-4a2a-8342-4190687cbf4a": "Storage Blob Delegator",
    "974c5e8b-45b9-4653-ba55-5f855dd0fb88": "Storage Queue Data Contributor",
    "19e7f393-937e-4f77-808e-94535e297925": "Storage Queue Data Reader",
    "0a9a7e1f-b9d0-4cc4-a60d-0319b160aaa3": "Storage Table Data Contributor",
    "76199698-9eea-4c19-bc75-cec21354c6b6": "Storage Table Data Reader",
    "3913510d-42f4-4e42-8a64-420c390055eb": "Monitoring Metrics Publisher",
    "4633458b-17de-408a-b874-0445c86b69e6": "Key Vault Secrets User",
}


def test_every_setting_can_be_deployed_and_none_that_nobody_reads() -> None:
    """A setting that is forgotten here cannot be changed in Azure; production gives every one."""
    assert settings("production").keys() == DEPLOYED - {"DEVCENTER_MANAGED_IDENTITY_CLIENT_ID"} | STORAGE | HOST


def test_azd_sets_a_setting_by_its_own_name() -> None:
    read = dict(re.findall(r"^  (\w+): readEnvironmentVariable\('(\w+)', ''\)$", PARAMETERS, re.MULTILINE))
    assert {name for name, variable in read.items() if name != variable} == set()
    others = set(re.findall(r"'([A-Z_]+)'", PARAMETERS)) - read.keys()
    assert DEPLOYED - {"DEVCENTER_MANAGED_IDENTITY_CLIENT_ID"} <= read.keys() | others


def test_no_output_becomes_the_input_of_the_next_deployment() -> None:
    """Azd writes outputs into the environment that main.bicepparam reads."""
    assert snapshot("trial")["outputs"].keys() & set(re.findall(r"'([A-Z_]+)'", PARAMETERS)) == set()


def test_a_default_of_the_deployment_is_that_of_the_code() -> None:
    defaults = {setting.name: setting.default for setting in SETTINGS if setting.default is not None}
    deployed = settings("trial")
    assert {name: deployed[name] for name in defaults.keys() & deployed.keys()}.items() <= defaults.items()


def test_a_setting_that_a_binding_names_is_always_there() -> None:
    """The host resolves %NAME% by itself, without the app's defaults."""
    code = "".join(path.read_text(encoding="utf-8") for path in (ROOT / "functions").rglob("*.py"))
    named = set(re.findall(r'binding_expression\("([A-Z_]+)"\)', code))
    assert named
    assert named <= settings("trial").keys()


@pytest.mark.parametrize("deployment", BOTH)
def test_the_lifecycle_rule_keeps_cabs_as_long_as_the_app_believes(deployment: str) -> None:
    (policy,) = resources(deployment, "Storage/storageAccounts/managementPolicies")
    rules = [each["definition"] for each in policy["properties"]["policy"]["rules"]]
    given = settings(deployment)
    # Creation, not modification: somebody who edits a cab's metadata must not prolong its storing.
    deletes = {"baseBlob": {"delete": {"daysAfterCreationGreaterThan": int(given["RETENTION_DAYS"])}}}
    assert all(rule["actions"] == deletes for rule in rules)
    prefixes = [each for rule in rules for each in rule["filters"]["prefixMatch"]]
    # Every blob that the app writes goes, and what is worth keeping, which people write, stays.
    written = [each for each in map(chr, range(128)) if APPLICATION_ID.fullmatch(each)] + [FOLDER, "_preflight/"]
    assert sorted(prefixes) == sorted(f"{given['CAB_CONTAINER']}/{each}" for each in written)
    assert not any(f"{given['CAB_CONTAINER']}/{KEEP_FILE}".startswith(each) for each in prefixes)
    # https://learn.microsoft.com/azure/storage/blobs/lifecycle-management-policy-structure
    assert all(len(rule["filters"]["prefixMatch"]) <= 10 for rule in rules)


@pytest.mark.parametrize("deployment", BOTH)
def test_container_queues_and_tables_have_the_names_that_the_app_uses(deployment: str) -> None:
    given = settings(deployment)
    queue = given["CAB_QUEUE"]
    assert names(deployment, "Storage/storageAccounts/tableServices/tables") == set(TABLES)
    assert names(deployment, "Storage/storageAccounts/queueServices/queues") == {
        queue + tail for tail in ("", "-poison", "-checks", "-checks-poison")
    }
    assert given["CAB_CONTAINER"] in names(deployment, "Storage/storageAccounts/blobServices/containers")


def test_an_instance_has_threads_for_its_messages_and_for_http() -> None:
    queues = HOST_JSON["extensions"]["queues"]
    threads = int(settings("trial")["PYTHON_THREADPOOL_THREAD_COUNT"])
    assert threads > queues["batchSize"] + queues["newBatchThreshold"]


def test_the_python_of_azure_is_the_one_of_the_tests() -> None:
    (app,) = resources("trial", "Web/sites")
    version = (ROOT / ".python-version").read_text(encoding="utf-8").strip()
    assert app["properties"]["functionAppConfig"]["runtime"] == {"name": "python", "version": version}


def test_azd_finds_the_app_by_the_name_of_its_service() -> None:
    (app,) = resources("trial", "Web/sites")
    assert f"\n  {app['tags']['azd-service-name']}:\n" in (ROOT / "azure.yaml").read_text(encoding="utf-8")


@pytest.mark.parametrize("deployment", BOTH)
def test_a_role_id_is_that_of_the_role_it_is_named_after(deployment: str) -> None:
    written: dict[str, str] = {}
    for path in (ROOT / "infra" / "app").glob("*.bicep"):
        written |= re.findall(r"'([0-9a-f-]{36})' // (.*)", path.read_text(encoding="utf-8"))
    assert written == BUILT_IN_ROLES
    custom = {each["name"] for each in resources(deployment, "Authorization/roleDefinitions")}
    assigned = {
        each["properties"]["roleDefinitionId"].rpartition("/")[2]
        for each in resources(deployment, "Authorization/roleAssignments")
    }
    assert assigned <= BUILT_IN_ROLES.keys() | custom
