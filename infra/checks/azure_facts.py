"""Compare the Bicep files with what Azure has: API versions of resource types, and the ids of built-in roles.

Neither can be asked here, so both are pinned, each with the place where it was looked up. A new resource type or role
is looked up and added to its table.
"""

from __future__ import annotations

import re
from typing import TYPE_CHECKING

from infra.checks.bicep import BicepFile, Finding, line_of, literal, walk

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

_AVM = "github.com/Azure/bicep-registry-modules"
_STORAGE = ("2025-01-01", f"{_AVM} avm/res/storage/storage-account/main.bicep")
_VAULT = ("2024-11-01", f"{_AVM} avm/res/key-vault/vault/secret/main.bicep")
_FLEX = (
    "2024-04-01",
    "github.com/Azure-Samples/azure-functions-flex-consumption-samples IaC/bicep/core/host/function.bicep",
)
_ROLES = ("2022-04-01", "PyPI azure-mgmt-authorization 4.0.0, module v2022_04_01")

# Resource type to (API version, where it was seen).
API_VERSIONS: dict[str, tuple[str, str]] = {
    "Microsoft.Authorization/roleAssignments": _ROLES,
    "Microsoft.Authorization/roleDefinitions": _ROLES,
    "Microsoft.Insights/actionGroups": ("2023-01-01", f"{_AVM} avm/res/insights/action-group/main.bicep"),
    "Microsoft.Insights/components": ("2020-02-02", "PyPI azure-mgmt-applicationinsights 4.1.0, module v2020_02_02"),
    "Microsoft.Insights/scheduledQueryRules": (
        "2023-12-01",
        "pulumi.com/registry/packages/azure-native/api-docs/monitor/scheduledqueryrule, list of API versions",
    ),
    "Microsoft.KeyVault/vaults": _VAULT,
    "Microsoft.KeyVault/vaults/secrets": _VAULT,
    "Microsoft.ManagedIdentity/userAssignedIdentities": (
        "2024-11-30",
        "PyPI azure-mgmt-msi 7.1.0, module v2024_11_30",
    ),
    "Microsoft.OperationalInsights/workspaces": ("2025-07-01", "PyPI azure-mgmt-loganalytics 14.0.0"),
    "Microsoft.Resources/resourceGroups": (
        "2022-09-01",
        "github.com/Azure-Samples/azure-functions-flex-consumption-samples IaC/bicep/main.bicep",
    ),
    "Microsoft.Storage/storageAccounts": _STORAGE,
    "Microsoft.Storage/storageAccounts/blobServices": _STORAGE,
    "Microsoft.Storage/storageAccounts/blobServices/containers": _STORAGE,
    "Microsoft.Storage/storageAccounts/managementPolicies": _STORAGE,
    "Microsoft.Storage/storageAccounts/queueServices": _STORAGE,
    "Microsoft.Storage/storageAccounts/queueServices/queues": _STORAGE,
    "Microsoft.Storage/storageAccounts/tableServices": _STORAGE,
    "Microsoft.Storage/storageAccounts/tableServices/tables": _STORAGE,
    "Microsoft.Web/serverfarms": _FLEX,
    "Microsoft.Web/sites": _FLEX,
}

# Id to name, from github.com/MicrosoftDocs/azure-docs articles/role-based-access-control/built-in-roles/storage.md (the
# first four), the flex-consumption samples' IaC/bicep/rbac.bicep, and avm/res/key-vault/vault/main.bicep.
BUILT_IN_ROLES: dict[str, str] = {
    "b7e6dc6d-f1e8-4753-8033-0f276bb0955b": "Storage Blob Data Owner",
    "db58b8e5-c6ad-4a2a-8342-4190687cbf4a": "Storage Blob Delegator",
    "974c5e8b-45b9-4653-ba55-5f855dd0fb88": "Storage Queue Data Contributor",
    "0a9a7e1f-b9d0-4cc4-a60d-0319b160aaa3": "Storage Table Data Contributor",
    "3913510d-42f4-4e42-8a64-420c390055eb": "Monitoring Metrics Publisher",
    "4633458b-17de-408a-b874-0445c86b69e6": "Key Vault Secrets User",
}
_GUID = re.compile(r"[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}", re.IGNORECASE)


def check(files: Mapping[str, BicepFile]) -> Iterator[Finding]:
    """Yield resource types, API versions and role ids that the tables do not have.

    Args:
        files: Every file by its path.
    """
    for file in files.values():
        yield from _versions(file)
        yield from _roles(file)


def _versions(file: BicepFile) -> Iterator[Finding]:
    for resource in file.of_kind("resource").values():
        kind, _, version = resource.target.partition("@")
        known = API_VERSIONS.get(kind)
        if known is None:
            remedy = "Look it up and add it to infra/checks/azure_facts.py"
            yield file.finding(resource.node, f"resource type {kind!r} is not in the table", remedy)
        elif version != known[0]:
            remedy = f"Use {known[0]} ({known[1]}), or look {version!r} up and pin it"
            yield file.finding(resource.node, f"API version {version!r} of {kind} is not the pinned one", remedy)


def _roles(file: BicepFile) -> Iterator[Finding]:
    for node in walk(file.root):
        value = literal(node)
        if not isinstance(value, str) or not _GUID.fullmatch(value):
            continue
        name = BUILT_IN_ROLES.get(value)
        comment = file.text[line_of(node) - 1].partition("//")[2].strip()
        if name is None:
            remedy = "Look it up and add it to infra/checks/azure_facts.py"
            yield file.finding(node, f"role id {value} is not in the table", remedy)
        elif comment != name:
            yield file.finding(node, f"role id {value} is {name}, but the comment says {comment!r}", f"Write // {name}")
