"""A Dev Center client for tests: the real one, with an identity that counts its tokens."""

from collections.abc import Sequence
from concurrent.futures import FIRST_COMPLETED, Future, ThreadPoolExecutor, wait
from datetime import date
from typing import Any

from azure.core.credentials import AccessToken

from shared.core.failure import Failure, Window
from shared.devcenter.batch import BatchPage, CabBatch, EarlyPage
from shared.devcenter.client import DevCenter
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


def dev_center(base_url: str, identity: CountingIdentity | None = None) -> DevCenter:
    """Return a client of one server."""
    tokens = AccessTokens((identity or CountingIdentity()).credential, "https://x/.default", "the tests")
    return DevCenter(base_url, tokens, HttpSource(4))


def until_any(answers: Sequence[Future[Any]]) -> None:
    """Wait for a page, with nothing else to do."""
    wait(answers, return_when=FIRST_COMPLETED)


def batch_pages(base_url: str, skip: int = 0, in_flight: int = 1, expected: int = 0) -> list[BatchPage]:
    """Read the batch of a server to its end."""
    with ThreadPoolExecutor(in_flight) as fetchers:
        seen: set[str] = set()
        pages: list[BatchPage] = []
        batch = CabBatch(dev_center(base_url), FAILURE, WINDOW)
        for page in batch.pages(skip, fetchers, in_flight, lambda: expected, seen.__contains__, until_any):
            if isinstance(page, EarlyPage):
                continue
            pages.append(page)
            seen.update(cab.cab_id_hash for cab in page.cabs)
        return pages
