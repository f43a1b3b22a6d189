"""Tokens of Microsoft Entra ID: from a cached credential, with one forced renewal where a token was refused."""

from __future__ import annotations

import logging
import threading
import time
from copy import copy
from typing import TYPE_CHECKING

from azure.core.exceptions import AzureError

from shared.core.errors import AgainLater, CabferryError, NeedsPerson
from shared.core.redaction import excerpt, never_show
from shared.core.refusals import Meaning, Refusal
from shared.core.values import Immutable, hiding
from shared.identity.refusals import refusal_in

if TYPE_CHECKING:
    from collections.abc import Callable

    from azure.core.credentials import AccessToken, TokenCredential

_log = logging.getLogger(__name__)
_RENEW_SECONDS_BEFORE_END, _RETRY_SECONDS = 300.0, 30.0


class AccessTokens:
    """Hand out bearer tokens for one scope, each asked for once and kept until shortly before it ends.

    Args:
        credential: Makes the credential. It is made anew where a token was refused, which empties its cache:
            azure-identity has no other way to skip it.
        scope: What the tokens are for.
        whose: Names the identity in errors.
        advice: What a person should check where the identity is refused.
    """

    def __init__(self, credential: Callable[[], TokenCredential], scope: str, whose: str, advice: str) -> None:
        self._make, self._scope, self._whose, self._advice = credential, scope, whose, advice
        self._lock = threading.Lock()
        self._credential: TokenCredential | None = None
        self._kept: _Kept | None = None
        self._failed: CabferryError | None = None

    def current(self) -> str:
        """Return a token that has not expired.

        Threads that need one together ask for it once, and meet together what comes of that. Nobody waits while a token
        still works: one thread renews it, the others go on with it.

        Raises:
            NeedsPerson: The identity is refused: a wrong or expired secret, a missing federated credential.
            AgainLater: The token endpoint does not answer.
        """
        return self.token().token

    def token(self) -> AccessToken:
        """Return the token of `current`, with the time when it ends."""
        kept, failed, now = self._kept, self._failed, time.time()
        if kept is not None and now < kept.renew_at:
            return kept.token
        works = kept if kept is not None and now < kept.token.expires_on else None
        if works is None:
            self._lock.acquire()
        elif not self._lock.acquire(blocking=False):
            return works.token
        try:
            if self._kept is None or self._kept is kept:  # no other thread has renewed it meanwhile
                if self._failed and self._failed is not failed:  # but has tried: each by itself would wait as long
                    echo = copy(self._failed)
                    echo.is_echo = True
                    raise echo
                self._kept = self._renewal(kept)
            return self._kept.token
        finally:
            self._lock.release()

    def shown[T](self, ask: Callable[[str], T | Refusal]) -> T | Refusal:
        """Ask for something with a token, and once more with another where that one is refused.

        Args:
            ask: Asks with a token, and returns what is answered.
        """
        token = self.current()
        answer = ask(token)
        is_refused = isinstance(answer, Refusal) and answer.meaning is Meaning.UNKNOWN_CALLER
        return ask(other) if is_refused and (other := self.renewed(token)) != token else answer

    def renewed(self, refused: str) -> str:
        """Return a token other than one that was just refused.

        Where several threads met the same refusal, one renewal serves them all.
        """
        with self._lock:
            if self._kept is not None and self._kept.token.token == refused:
                self._credential = self._kept = None
        return self.current()

    def _renewal(self, kept: _Kept | None) -> _Kept:
        now = time.time()
        try:
            return _Kept.of(self._asked(), now)
        except CabferryError as error:
            if kept is None or kept is not self._kept or kept.token.expires_on <= now:
                self._failed = copy(error)  # its own traceback would keep all that its callers hold
                raise
            # A token that still works outlives an endpoint that does not answer for a while, or refuses for once.
            left = kept.token.expires_on - now
            _log.warning("%s; the token that still works serves for %d seconds more", error, left)
            return _Kept(kept.token, min(now + _RETRY_SECONDS, kept.token.expires_on))

    def _asked(self) -> AccessToken:
        try:
            if self._credential is None:
                self._credential = self._make()
            token = self._credential.get_token(self._scope)
        except ValueError as error:
            raise NeedsPerson(
                f"no credential for {self._whose}: {excerpt(str(error))} {self._advice}", outage="token"
            ) from None
        except AzureError as error:
            # MSAL remembers a refusal for a minute, and a person may mend it sooner.
            self._credential = None
            raise self._sorted(refusal_in(error)) from None
        never_show(token.token, is_passing=True)
        return token

    def _sorted(self, refusal: Refusal) -> CabferryError:
        if refusal.needs_person:
            seen = excerpt(refusal.text, 400)
            return NeedsPerson(f"no token for {self._whose}: {seen}{refusal.ids} {self._advice}", outage="token")
        # What MSAL says where an answer that is no success names no error.
        seen = excerpt(refusal.text).replace("failed: None", "failed without a reason")
        return AgainLater(
            f"no token for {self._whose}: the token endpoint failed, or something before it answered: "
            f"{seen}{refusal.ids}",
            refusal.wait,
            outage="token",
        )


class _Kept(Immutable, frozen=True):
    """A token, and when another is asked for, in seconds since 1970."""

    token: AccessToken
    renew_at: float

    __repr__ = hiding("token")

    @classmethod
    def of(cls, token: AccessToken, now: float) -> _Kept:
        """Keep a new token until some minutes before its end, or for half its life where that is short."""
        left = token.expires_on - now
        return cls(token, token.expires_on - min(_RENEW_SECONDS_BEFORE_END, left / 2))


class SharedCredential:
    """Lets the clients of an SDK show the tokens that everything else in the process shows.

    Each client would otherwise ask for its own, and for a new one at each request where tokens live for minutes only.

    Args:
        tokens: The tokens, of the scope that the clients need.
    """

    def __init__(self, tokens: AccessTokens) -> None:
        self._tokens, self._shown = tokens, ""

    def get_token(self, *_scopes: str, **options: object) -> AccessToken:
        """Return the token; another where the service answered 401 (the SDKs then name the tenant that it wants)."""
        if options.get("tenant_id") or options.get("claims"):
            self._tokens.renewed(self._shown)
        token = self._tokens.token()
        self._shown = token.token
        return token
