"""Issue access tokens and tell whether one is good: JSON web tokens, signed with a key that nobody else has."""

import secrets
import uuid
from datetime import UTC, datetime, timedelta

import jwt

# What a client asks a token for; `.default` is appended in a scope.
DEV_CENTER = "https://manage.devcenter.microsoft.com"
STORAGE = "https://storage.azure.com"
# The audience of a managed identity's token that stands in for an application's secret.
TOKEN_EXCHANGE = "api://AzureADTokenExchange"  # noqa: S105 (an audience)
_ALGORITHM = "HS256"


class Tokens:
    """An issuer of tokens."""

    def __init__(self, tenant_id: str, lifetime: timedelta) -> None:
        """Start with a key of its own.

        Args:
            tenant_id: The tenant that says so.
            lifetime: How long a token is good for; may be replaced at any time.
        """
        self.lifetime = lifetime
        self._tenant_id, self._issuer = tenant_id, f"https://sts.windows.net/{tenant_id}/"
        self._key = secrets.token_bytes(32)

    def issue(self, audience: str, client_id: str) -> str:
        """Return a new token.

        Args:
            audience: For whom it is.
            client_id: Who it is of.
        """
        now = datetime.now(UTC)
        claims = {
            "iss": self._issuer,
            "aud": audience,
            "appid": client_id,
            "oid": client_id,
            "sub": client_id,
            "tid": self._tenant_id,
            "jti": str(uuid.uuid4()),
            "iat": now,
            "nbf": now,
            "exp": now + self.lifetime,
        }
        return jwt.encode(claims, self._key, _ALGORITHM)

    def accepts(self, token: str, audience: str) -> bool:
        """Tell whether a token is one of these, for this audience, and has not expired.

        Args:
            token: What a client sent.
            audience: For whom it must be.
        """
        try:
            jwt.decode(token, self._key, [_ALGORITHM], audience=audience, issuer=self._issuer)
        except jwt.InvalidTokenError:
            return False
        return True
