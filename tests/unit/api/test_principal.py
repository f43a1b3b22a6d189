"""Who asks is who App Service says, with the roles that it says, and nobody else."""

import base64
import json

import pytest

from shared.api.principal import Person
from shared.core.errors import BadInput


def header(*claims: tuple[str, str], auth_typ: str = "aad", role_typ: str = "roles") -> str:
    """Return the header of somebody with these claims."""
    told = [{"typ": kind, "val": value} for kind, value in claims]
    body = {"auth_typ": auth_typ, "claims": told, "name_typ": "name", "role_typ": role_typ}
    return base64.b64encode(json.dumps(body).encode()).decode()


@pytest.mark.parametrize(
    ("claims", "name", "roles"),
    [
        ([("preferred_username", "ada@contoso.com"), ("name", "Ada"), ("roles", "look")], "ada@contoso.com", {"look"}),
        ([("name", "Ada"), ("roles", "ask")], "Ada", {"ask", "look"}),
        ([("name", "Ada"), ("roles", "admin"), ("groups", "ask")], "Ada", set()),
        ([("name", "Ada\r\nline"), ("roles", "look"), ("roles", "ask")], "Adaline", {"look", "ask"}),
        ([], "somebody", set()),
    ],
)
def test_a_person_has_the_roles_that_were_given(claims: list[tuple[str, str]], name: str, roles: set[str]) -> None:
    assert Person.of(header(*claims)) == Person(name, frozenset(roles))


@pytest.mark.parametrize("odd", ["", "!", "bnVsbA==", "e30=", header(("roles", "ask"), auth_typ="google")])
def test_what_is_not_of_entra_is_nobody(odd: str) -> None:
    with pytest.raises(BadInput):
        Person.of(odd)
