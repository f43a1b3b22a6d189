"""The person whom App Service authentication has signed in, as its header tells.

https://learn.microsoft.com/azure/app-service/configure-authentication-user-identities#access-user-claims-in-app-code
The platform removes that header from what comes from outside, where it authenticates; nowhere else may it be believed.
"""

from __future__ import annotations

import base64
import binascii

from msgspec import Struct

from shared.core.errors import BadInput
from shared.core.json_text import JsonError, decoded
from shared.core.values import Immutable

LOOK, ASK = "look", "ask"
_NAMES = ("preferred_username", "http://schemas.xmlsoap.org/ws/2005/05/identity/claims/upn", "name")
_ROLES = ("roles", "http://schemas.microsoft.com/ws/2008/06/identity/claims/role")
_LONGEST_NAME = 120


class _Claim(Struct, frozen=True):
    typ: str
    val: str


class _Principal(Struct, frozen=True):
    auth_typ: str
    claims: list[_Claim]
    role_typ: str | None = None


class Person(Immutable, frozen=True):
    """Somebody who is signed in.

    Args:
        name: As the directory has it; for the log and the rows of pulls.
        roles: Which of look and ask the person was given; who may ask may look.
    """

    name: str
    roles: frozenset[str]

    @classmethod
    def of(cls, header: str) -> Person:
        """Read X-MS-CLIENT-PRINCIPAL.

        Raises:
            BadInput: It is not what the platform sends, or not of Entra.
        """
        try:
            told = decoded(base64.b64decode(header, validate=True), _Principal)
        except (binascii.Error, ValueError, JsonError):
            raise BadInput("X-MS-CLIENT-PRINCIPAL is not what App Service sends") from None
        if told.auth_typ != "aad":
            raise BadInput("who signs in must come from Microsoft Entra ID")
        claims = [(claim.typ, claim.val) for claim in told.claims]
        name = next((value for wanted in _NAMES for kind, value in claims if kind == wanted and value), "somebody")
        roles = {value for kind, value in claims if kind in {*_ROLES, told.role_typ}} & {LOOK, ASK}
        printable = "".join(letter for letter in name if letter.isprintable())
        return cls(printable[:_LONGEST_NAME], frozenset({*roles, LOOK} if ASK in roles else roles))
