"""What a person should do about a refusal of the cab storage: which key, which network rule, which role by its name."""

from __future__ import annotations

from dataclasses import dataclass
from http import HTTPStatus
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Mapping

    from shared.storage.refusals import Refusal


@dataclass(frozen=True, slots=True)
class Part:
    """One service of the account.

    Args:
        setting: What names it where the app has an identity.
        role: What the identity needs.
    """

    setting: str
    role: str


BLOBS = Part(
    "CAB_STORAGE__blobServiceUri",
    "Storage Blob Data Owner or, narrower, the custom role of infra/app/rbac.bicep (Storage Blob Data Contributor "
    "cannot write index tags)",
)
QUEUES = Part("CAB_STORAGE__queueServiceUri", "Storage Queue Data Contributor")
ROWS = Part("CAB_STORAGE__tableServiceUri", "Storage Table Data Contributor")

_NO_PERMISSION = {
    "AuthorizationPermissionMismatch",
    "AuthorizationResourceTypeMismatch",
    "AuthorizationServiceMismatch",
    "InsufficientAccountPermissions",
}
_MISSING = (
    "Make the {what}: the deployment does (azd provision), and the app itself where it may. CAB_CONTAINER, CAB_QUEUE "
    "and {setting} say which and where."
)
_NETWORK = (
    "Let the app's network through the storage account's network rules (Networking: firewall, virtual networks, "
    "private endpoints), or the addresses that a SAS in CAB_STORAGE is bound to."
)
_BY_CODE = {
    **dict.fromkeys(("ContainerNotFound", "QueueNotFound", "TableNotFound"), _MISSING),
    **dict.fromkeys(("AuthorizationFailure", "AuthorizationSourceIPMismatch", "IpAuthorizationFailure"), _NETWORK),
    "KeyBasedAuthenticationNotPermitted": "The account takes no keys: replace CAB_STORAGE by "
    "CAB_STORAGE__blobServiceUri, CAB_STORAGE__queueServiceUri and CAB_STORAGE__tableServiceUri, and give the app an "
    "identity.",
    "AccountIsDisabled": "The storage account is disabled: enable its subscription.",
}
_NEEDS_ROLE = (
    "Assign the role {role} on the {what} to the app's identity. A new role takes some minutes to work "
    "(docs/deploy.md)."
)
_NEEDS_SAS = "The SAS in CAB_STORAGE does not allow this on the {what}: make one that does, or use a key."
_IDENTITY_REFUSED = (
    "The identity's token is not accepted: check that {setting} names the right account, that the identity is of the "
    "tenant of its subscription, and the account's network rules. Then check that it has the role {role} on the {what}."
)
_KEY_REFUSED = (
    "Set CAB_STORAGE to a connection string with a key that the account has now (keys are rotated), or with a SAS that "
    "has not ended; then check the account's network rules."
)
_OR_KEY = " Where that is not the reason, set CAB_STORAGE to a connection string with a key that the account has now."
_FAILING = "Ask again in some minutes: the storage service fails. Azure's service health tells of an outage."
_BY_STATUS: Mapping[int, str] = {
    HTTPStatus.NOT_FOUND: "Check that {setting} names the right account: it does not know the {what}.",
    HTTPStatus.TOO_MANY_REQUESTS: "Ask again in some minutes: the storage account is busy.",
}
_UNKNOWN = "This answer is not known: check that {setting} names a storage account of Azure."


def advice(refusal: Refusal, part: Part, what: str, *, has_identity: bool) -> str:
    """Return what a person should do.

    The codes: https://learn.microsoft.com/rest/api/storageservices/common-rest-api-error-codes

    Args:
        refusal: What storage answered.
        part: The service that did.
        what: Which container, queue or table was asked.
        has_identity: Whether the app shows an identity, and neither a key nor a SAS.
    """
    if refusal.code in _NO_PERMISSION:
        text = _NEEDS_ROLE if has_identity else _NEEDS_SAS
    elif refusal.code in _BY_CODE:
        text = _BY_CODE[refusal.code]
        # Azurite says so of a wrong key too.
        text += _OR_KEY if text == _NETWORK and not has_identity else ""
    elif refusal.status in {HTTPStatus.UNAUTHORIZED, HTTPStatus.FORBIDDEN}:
        text = _IDENTITY_REFUSED if has_identity else _KEY_REFUSED
    elif refusal.status >= HTTPStatus.INTERNAL_SERVER_ERROR:
        text = _FAILING
    else:
        text = _BY_STATUS.get(refusal.status, _UNKNOWN)
    return text.format(what=what, role=part.role, setting=part.setting if has_identity else "CAB_STORAGE")
