"""An identity of a test's own."""

import time

from azure.core.credentials import AccessToken


class Identity:
    """An identity that counts its tokens, which end after some seconds.

    Args:
        seconds: How long a token lives; below zero it has ended already.
    """

    def __init__(self, seconds: int) -> None:
        self.made, self._seconds = 0, seconds

    def get_token(self, *_scopes: str, **_options: object) -> AccessToken:
        """Return the next token."""
        self.made += 1
        return AccessToken(f"token-{self.made}", round(time.time()) + self._seconds)
