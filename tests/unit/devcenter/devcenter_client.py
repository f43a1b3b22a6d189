"""A Dev Center client for tests: the real one, with an identity that counts its tokens."""

from datetime import date

from azure.core.credentials import AccessToken

from shared.core.failure import Failure, Window
from shared.devcenter.client import DevCenter
from shared.devcenter.cursor import BatchCursor, PageRequest
from shared.devcenter.driver import CabBatch
from shared.devcenter.pages import BatchPage
from shared.identity.access_tokens import AccessTokens
from shared.web.http_source import HttpSource

FAILURE = Failure("13984104677400476", "1fd83f6d-9fe0-96ec-2c47-ef08b65ccbed")
WINDOW = Window(date(2026, 10, 22), date(2026, 11, 22))


class CountingIdentity:
    """An identity whose every new credential has another token: token-1, token-2 and so on."""

    def __init__(self, distinct: bool = True) -> None:
        """Start without any credential.

        Args:
            distinct: Whether a new credential gets another token than the one before.
        """
        self.made = 0
        self._distinct = distinct

    def credential(self) -> "_Credential":
        """Make a new credential."""
        self.made += 1
        return _Credential(f"token-{self.made if self._distinct else 1}")


class _Credential:
    def __init__(self, token: str) -> None:
        self._token = token

    def get_token(self, *_scopes: str, **_options: object) -> AccessToken:
        return AccessToken(self._token, 2**40)


def dev_center(base_url: str, identity: CountingIdentity | None = None, calls_in_flight: int = 4) -> DevCenter:
    """Return a client of one server."""
    tokens = AccessTokens((identity or CountingIdentity()).credential, "https://x/.default", "the tests", "Check it.")
    return DevCenter(base_url, tokens, HttpSource(4), calls_in_flight=calls_in_flight)


def batch_pages(base_url: str, skip: int = 0) -> list[BatchPage]:
    """Read the batch of a server to its end, as one pass of a pull does."""
    batch, cursor, pages = CabBatch(dev_center(base_url), FAILURE, WINDOW), BatchCursor(100, skip), list[BatchPage]()
    request: PageRequest | None = cursor.first()
    while request:
        pages.append(batch.page(request))
        request = cursor.answered(request, pages[-1])
    return pages
