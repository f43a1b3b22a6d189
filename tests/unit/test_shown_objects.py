"""What is printed of an object, in a log or a failed assertion, must not hold the secret that it carries."""

import pytest
from azure.core.credentials import AccessToken

from shared.cabs.creation import CopyJob
from shared.cabs.labels import CabLabels
from shared.core.settings import Settings
from shared.devcenter.pages import BatchCab
from shared.devcenter.reports import ReportRun
from shared.identity import access_tokens
from shared.identity.access_tokens import AccessTokens, FixedToken
from shared.storage.clients import StorageClients
from shared.storage.service import AccountSas, StorageRequest

SECRET = "QZXJQZXJQZXJ"
URL = f"https://cabs09.blob.core.windows.net/k/b.zip?sv=1&sig={SECRET}"
SETTINGS = {
    "CAB_STORAGE": f"DefaultEndpointsProtocol=https;AccountName=cabs;AccountKey={SECRET}",
    "DEVCENTER_TENANT_ID": "tenant",
    "DEVCENTER_CLIENT_ID": "client",
    "DEVCENTER_CLIENT_SECRET": SECRET,
}


@pytest.mark.parametrize(
    "carrier",
    [
        Settings.from_environment(SETTINGS),
        Settings.from_environment({**SETTINGS, "DEVCENTER_ACCESS_TOKEN": SECRET}),
        StorageClients(Settings.from_environment(SETTINGS).storage, 1),
        AccountSas("cabs", SECRET, "b", "co", "wlct"),
        StorageRequest("PUT", "/c/b", {}, {"x-ms-copy-source": URL}, SECRET.encode()),
        BatchCab("cab", URL, "", "", "", downloadable=True),
        ReportRun("43000", "2026-11-20T05:35:32", "Completed", URL),
        CopyJob(URL, "cabs09", "b.zip", CabLabels({}, {})),
        access_tokens._Kept(AccessToken(SECRET, 1), 1.0),
        AccessTokens(lambda: FixedToken(SECRET), "scope", "the tests"),
        FixedToken(SECRET),
    ],
    ids=lambda carrier: type(carrier).__name__,
)
def test_an_object_that_carries_a_secret_does_not_show_it(carrier: object) -> None:
    assert SECRET not in repr(carrier) + str(carrier)
