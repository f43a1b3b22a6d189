"""Each refusal of storage has the advice that mends it, in the words of whoever can: a role, a rule, a key."""

import pytest

from shared.core.refusals import Refusal, Where
from shared.preflight.storage_advice import BLOBS, QUEUES, ROWS, advice


@pytest.mark.parametrize(
    ("status", "code", "with_identity", "with_key"),
    [
        (
            403,
            "AuthorizationPermissionMismatch",
            "Storage Queue Data Contributor on the queue q",
            "The SAS in CAB_STORAGE",
        ),
        (403, "AuthorizationFailure", "network rules", "network rules"),
        (403, "AuthenticationFailed", "tenant", "a key that the account has now"),
        (401, "InvalidAuthenticationInfo", "tenant", "a key that the account has now"),
        (403, "", "Storage Queue Data Contributor", "network rules"),
        (403, "KeyBasedAuthenticationNotPermitted", "identity", "CAB_STORAGE__queueServiceUri"),
        (403, "AccountIsDisabled", "subscription", "subscription"),
        (404, "QueueNotFound", "azd provision", "azd provision"),
        (404, "ResourceNotFound", "CAB_STORAGE__queueServiceUri", "CAB_STORAGE names"),
        (429, "", "busy", "busy"),
        (503, "ServerBusy", "busy", "busy"),
        (500, "InternalError", "outage", "outage"),
        (418, "Teapot", "CAB_STORAGE__queueServiceUri", "CAB_STORAGE"),
    ],
)
def test_each_refusal_has_its_advice(status: int, code: str, with_identity: str, with_key: str) -> None:
    refusal = Refusal(Where.STORAGE, status, code)
    assert with_identity in advice(refusal, QUEUES, "queue q", has_identity=True)
    assert with_key in advice(refusal, QUEUES, "queue q", has_identity=False)


def test_each_service_names_its_own_role() -> None:
    refusal = Refusal(Where.STORAGE, 403, "AuthorizationPermissionMismatch")
    assert "Storage Blob Data Owner" in advice(refusal, BLOBS, "container c", has_identity=True)
    assert "Storage Table Data Contributor on the table t" in advice(refusal, ROWS, "table t", has_identity=True)
