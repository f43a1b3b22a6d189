"""What is printed of an object, in a log or a failed assertion, must not hold the secret that it carries."""

import pkgutil
import re
from collections.abc import Iterator
from dataclasses import is_dataclass
from importlib import import_module

import pytest
from azure.core.credentials import AccessToken

import shared
from shared.cabs.creation import CopyJob
from shared.cabs.labels import CabLabels
from shared.core.settings import Settings
from shared.identity import access_tokens
from shared.identity.access_tokens import AccessTokens
from shared.identity.credentials import FixedToken
from shared.reports.scheduling import NewSchedule
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
CARRIES = re.compile(r"(?:^|_)(?:url|link|location|token|secret|connection_string|body)$")
# A host that the operator names, paths of our API, a pattern, a yes or no, a type, what is read but not held, and what
# checks its fields (see below).
PLAIN = {
    "DevCenterAccess.base_url",
    "PullLocation.location",
    "CabAccepted.location",
    "CheckAccepted.location",
    "_Kind.secret",
    "Setting.secret",
    "NewSchedule.callback_url",
    "Operation.body",
    "Operation.needs_body",
    "OpenedSource.body",
}


def carriers() -> Iterator[tuple[type, str]]:
    """Yield every value class of the app with each field whose name says that it may hold a secret."""
    for found in pkgutil.walk_packages(shared.__path__, "shared."):
        module = import_module(found.name)
        for made in vars(module).values():
            if not isinstance(made, type) or made.__module__ != found.name:
                continue
            fields = [
                *getattr(made, "__struct_fields__", ()),
                *getattr(made, "_fields", ()),
                *(made.__dataclass_fields__ if is_dataclass(made) else ()),
            ]
            yield from ((made, name) for name in fields if CARRIES.search(name))


@pytest.mark.parametrize(
    ("made", "name"),
    [pair for pair in carriers() if f"{pair[0].__name__}.{pair[1]}" not in PLAIN],
    ids=lambda part: part if isinstance(part, str) else part.__name__,
)
def test_no_field_that_may_hold_a_secret_is_shown(made: type, name: str) -> None:
    names = getattr(made, "__struct_fields__", ()) or made.__annotations__
    assert SECRET not in repr(made(**{each: SECRET if each == name else "" for each in names}))


@pytest.mark.parametrize(
    "carrier",
    [
        Settings.from_environment(SETTINGS),
        Settings.from_environment({**SETTINGS, "DEVCENTER_ACCESS_TOKEN": SECRET}),
        StorageClients(Settings.from_environment(SETTINGS).storage, 1),
        AccountSas("cabs", SECRET, "b", "wlct"),
        StorageRequest("PUT", "/c/b", {}, {"x-ms-copy-source": URL}, SECRET.encode()),
        CopyJob(URL, "cabs09", "b.zip", CabLabels({}, {})),
        access_tokens._Kept(AccessToken(SECRET, 1), 1.0),
        AccessTokens(lambda: FixedToken(SECRET), "scope", "the tests", "Check it."),
        FixedToken(SECRET),
        NewSchedule(callback_url=f"https://app.azurewebsites.net/api/reports/ready?code={SECRET}"),
    ],
    ids=lambda carrier: type(carrier).__name__,
)
def test_an_object_that_carries_a_secret_does_not_show_it(carrier: object) -> None:
    assert SECRET not in repr(carrier) + str(carrier)
