"""Check that what protects the cabs is said in the deployment, and not left to a default that Azure may change."""

from __future__ import annotations

from typing import TYPE_CHECKING

from infra.checks.bicep import BicepFile, Finding, Scalar, body_of, literal, properties

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

    from tree_sitter import Node

_CAB_STORAGE = "infra/app/cab-storage.bicep"
# For every resource of a type, the values that must stand in it by their dotted paths; None: must not stand there.
_NEEDED: dict[str, dict[str, Scalar | None]] = {
    "Microsoft.Storage/storageAccounts": {
        "properties.allowBlobPublicAccess": False,
        "properties.allowSharedKeyAccess": False,
        "properties.allowCrossTenantReplication": False,
        "properties.minimumTlsVersion": "TLS1_2",
        "properties.supportsHttpsTrafficOnly": True,
        # Microsoft's accounts are in another tenant: a scope would stop every copy.
        "properties.allowedCopyScope": None,
    },
    "Microsoft.Storage/storageAccounts/blobServices/containers": {"properties.publicAccess": "None"},
    "Microsoft.KeyVault/vaults": {"properties.enableRbacAuthorization": True, "properties.enableSoftDelete": True},
    "Microsoft.Insights/components": {"properties.DisableLocalAuth": True},
    "Microsoft.Web/sites": {
        "properties.httpsOnly": True,
        "properties.siteConfig.minTlsVersion": "1.2",
        "properties.siteConfig.cors": None,
    },
}
# What these keep is still stored, and the 30 days of the Windows Analytics Agreement go on.
_NOTHING_KEPT: dict[str, Scalar | None] = {
    "properties.deleteRetentionPolicy.enabled": False,
    "properties.containerDeleteRetentionPolicy.enabled": False,
    "properties.isVersioningEnabled": False,
}


def check(files: Mapping[str, BicepFile]) -> Iterator[Finding]:
    """Yield what a resource lacks, or should lack.

    Args:
        files: Every file by its path.
    """
    for file in files.values():
        for resource in file.of_kind("resource").values():
            kind = resource.target.partition("@")[0]
            needed = _NEEDED.get(kind, {})
            if file.path == _CAB_STORAGE and kind == "Microsoft.Storage/storageAccounts/blobServices":
                needed = _NOTHING_KEPT
            if "existing" in {child.type for child in resource.node.children}:
                continue
            for path, value in needed.items():
                found = _at(body_of(resource), path)
                if value is None and found is not None:
                    yield file.finding(found, f"{path} of {resource.name} is set", "Remove it")
                elif value is not None and literal(found) != value:
                    problem = f"{path} of {resource.name} is not {value!r}"
                    yield file.finding(found or resource.node, problem, "Say it as it must be")


def _at(node: Node | None, path: str) -> Node | None:
    for name in path.split("."):
        node = properties(node).get(name)
    return node
