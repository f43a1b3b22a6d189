"""What a person should do about a refusal of the cab storage: which key, which network rule, which role by its name."""

from __future__ import annotations

from typing import TYPE_CHECKING

from shared.core.refusals import Meaning
from shared.core.values import Immutable

if TYPE_CHECKING:
    from shared.core.refusals import Refusal


class Part(Immutable, frozen=True):
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

_NOT_DEPLOYED = (
    "Make the {what}: the deployment does (azd provision), and the app itself where it may. CAB_CONTAINER, CAB_QUEUE "
    "and {setting} say which and where."
)
_NETWORK = (
    "Let the app's network through the storage account's network rules (Networking: firewall, virtual networks, "
    "private endpoints), or the addresses that a SAS in CAB_STORAGE is bound to."
)
_KEYS_OFF = (
    "The account takes no keys: replace CAB_STORAGE by CAB_STORAGE__blobServiceUri, CAB_STORAGE__queueServiceUri and "
    "CAB_STORAGE__tableServiceUri, and give the app an identity."
)
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
_UNKNOWN = "This answer is not known: check that {setting} names a storage account of Azure."
_TO_DO = {
    Meaning.NO_PERMISSION: _NEEDS_ROLE,
    Meaning.UNKNOWN_CALLER: _IDENTITY_REFUSED,
    Meaning.NETWORK: _NETWORK,
    Meaning.NOT_DEPLOYED: _NOT_DEPLOYED,
    Meaning.KEYS_OFF: _KEYS_OFF,
    Meaning.DISABLED: "The storage account is disabled: enable its subscription.",
    Meaning.BUSY: "Ask again in some minutes: the storage account is busy.",
    Meaning.FAILING: "Ask again in some minutes: the storage service fails. Azure's service health tells of an outage.",
    Meaning.MISSING: "Check that {setting} names the right account: it does not know the {what}.",
}
# What is otherwise where the app shows a key or a SAS.
_WITH_KEY = {
    Meaning.NO_PERMISSION: _NEEDS_SAS,
    Meaning.UNKNOWN_CALLER: _KEY_REFUSED,
    # Azurite says so of a wrong key too.
    Meaning.NETWORK: _NETWORK + _OR_KEY,
}


def advice(refusal: Refusal, part: Part, what: str, *, has_identity: bool) -> str:
    """Return what a person should do.

    Args:
        refusal: What storage answered.
        part: The service that did.
        what: Which container, queue or table was asked.
        has_identity: Whether the app shows an identity, and neither a key nor a SAS.
    """
    text = (_TO_DO if has_identity else _TO_DO | _WITH_KEY).get(refusal.meaning, _UNKNOWN)
    return text.format(what=what, role=part.role, setting=part.setting if has_identity else "CAB_STORAGE")
