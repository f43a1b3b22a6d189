"""Whoever is signed in: by `az login`, or as DefaultAzureCredential finds it elsewhere."""

from __future__ import annotations

import logging
from typing import TYPE_CHECKING, Any

from azure.core.exceptions import ClientAuthenticationError

from .problems import Exit, ProblemError

if TYPE_CHECKING:
    from azure.core.credentials import AccessToken


class Identity:
    """Whoever is signed in. That nobody is ends the command at once: the SDK would try again for half a minute."""

    def __init__(self) -> None:
        from azure.identity import DefaultAzureCredential

        # The SDK tells of each credential that it tried in vain; ours is the one message.
        logging.getLogger("azure").setLevel(logging.CRITICAL)
        self._credential = DefaultAzureCredential()

    def get_token(self, *scopes: str, **options: Any) -> AccessToken:
        """Return a token, as the SDK asks for it.

        Raises:
            ProblemError: Nobody is signed in.
        """
        try:
            return self._credential.get_token(*scopes, **options)
        except ClientAuthenticationError:
            text = "nobody is signed in who may have a token here; run `az login` and try again"
            raise ProblemError(Exit.NOT_ALLOWED, text) from None
