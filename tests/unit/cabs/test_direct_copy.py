"""The one request that copies a cab is signed as Azure wants it, sent once where that is enough, and never for ever."""

import base64
import time
from collections.abc import Callable

import pytest
from azure.core.credentials import AccessToken

from shared.cabs.direct_copy import DirectCopy
from shared.cabs.labels import CabLabels
from shared.core.errors import AgainLater
from shared.identity.access_tokens import AccessTokens
from shared.storage.refusals import RefusedError
from shared.storage.wire import Authorization, BearerToken, SharedKey, StorageWire
from tests.support.loopback import Answer, LoopbackServer, Seen, in_turn

KEY = SharedKey("cabs", base64.b64decode("UVpYSlFaWEo="))
LABELS = CabLabels({"drivername": "contos%C3%B6.sys"}, {"date": "2017-04-07 13:53:43", "driverVersion": "7+6=/"})
SOURCE = "https://a.blob.core.windows.net/k/b.ext.zip?sv=2015&sig=lRVF%2F7%2B%3D"
ACCEPTED = Answer(status=202)
BUSY = Answer(status=503, headers={"x-ms-error-code": "ServerBusy", "Retry-After": "0"})


def copied(
    answer: Callable[[Seen], Answer],
    authorization: Authorization | None = KEY,
    query: str = "",
    labels: CabLabels = LABELS,
) -> list[Seen]:
    """Copy one cab into a container that a server plays, and return what that was asked."""
    with LoopbackServer(answer) as server:
        wire = StorageWire(f"{server.url}/{query}", authorization, "2025-05-05", 1)
        DirectCopy(wire, "failure-cabs").copy("139/1fd/fb57.ext.zip", SOURCE, labels)
    return server.seen


def test_one_request_carries_everything() -> None:
    (seen,) = copied(in_turn(ACCEPTED))
    assert (seen.method, seen.target) == ("PUT", "/failure-cabs/139/1fd/fb57.ext.zip")
    assert seen.headers["x-ms-copy-source"] == SOURCE, "byte for byte"
    assert seen.headers["x-ms-requires-sync"] == "true"
    assert seen.headers["if-none-match"] == "*", "a cab that is there is never replaced"
    assert seen.headers["x-ms-meta-drivername"] == "contos%C3%B6.sys"
    assert seen.headers["x-ms-tags"] == "date=2017-04-07+13%3A53%3A43&driverVersion=7%2B6%3D%2F"
    assert seen.headers["authorization"].startswith("SharedKey cabs:")
    assert seen.headers["content-length"] == "0"


def test_no_tags_make_no_header() -> None:
    (seen,) = copied(in_turn(ACCEPTED), labels=CabLabels({}, {}))
    assert "x-ms-tags" not in seen.headers


def test_a_sas_of_the_container_stands_in_for_a_key() -> None:
    (seen,) = copied(in_turn(ACCEPTED), None, "?sv=2020&sig=a%2Fb")
    assert seen.target == "/failure-cabs/139/1fd/fb57.ext.zip?sv=2020&sig=a%2Fb"
    assert "authorization" not in seen.headers


def test_a_moment_of_trouble_is_waited_for() -> None:
    broken = Answer(b"half", 202, sent=0)
    assert len(copied(in_turn(BUSY, ACCEPTED))) == 2
    assert len(copied(in_turn(broken, BUSY, ACCEPTED))) == 3


def test_trouble_that_lasts_is_left_to_a_later_try() -> None:
    seen: list[Seen] = []

    def busy(request: Seen) -> Answer:
        seen.append(request)
        return BUSY

    with pytest.raises(AgainLater, match="503 ServerBusy"):
        copied(busy)
    assert len(seen) == 3


def test_a_long_wait_is_not_spent_in_a_thread_that_copies() -> None:
    started = time.monotonic()
    with pytest.raises(AgainLater) as caught:
        copied(in_turn(Answer(status=429, headers={"Retry-After": "60"})))
    assert time.monotonic() - started < 5
    assert caught.value.wait is not None
    assert caught.value.wait.total_seconds() == 60


@pytest.mark.parametrize(
    ("status", "code"),
    [
        (409, "BlobAlreadyExists"),
        (403, "CannotVerifyCopySource"),
        (500, "CannotVerifyCopySource"),
        (503, "CannotVerifyCopySource"),
        (404, "ContainerNotFound"),
    ],
)
def test_a_refusal_is_told_with_its_code_and_not_repeated(status: int, code: str) -> None:
    seen: list[Seen] = []

    def refusing(request: Seen) -> Answer:
        seen.append(request)
        return Answer(b"<Error/>", status, {"x-ms-error-code": code})

    with pytest.raises(RefusedError) as caught:
        copied(refusing)
    assert (caught.value.refusal.status, caught.value.refusal.code) == (status, code)
    assert len(seen) == 1


class Ending:
    """An identity whose tokens end after some seconds."""

    def __init__(self, seconds: int) -> None:
        self.made, self._seconds = 0, seconds

    def get_token(self, *_scopes: str, **_options: object) -> AccessToken:
        self.made += 1
        return AccessToken(f"token-{self.made}", round(time.time()) + self._seconds)


@pytest.mark.parametrize(("seconds", "tokens"), [(3_600, 1), (60, 1), (-1, 3)])
def test_a_token_is_kept_until_shortly_before_its_end(seconds: int, tokens: int) -> None:
    """One token serves a hundred thousand cabs, and none is sent that ends on its way."""
    identity = Ending(seconds)
    shown = BearerToken(AccessTokens(lambda: identity, "scope", "the cab storage"))
    seen = [copied(in_turn(ACCEPTED), shown)[0].headers["authorization"] for _ in range(3)]
    assert len(set(seen)) == identity.made == tokens
    assert seen[0] == "Bearer token-1"


@pytest.mark.parametrize(
    "refusal",
    [
        Answer(status=401, headers={"x-ms-error-code": "InvalidAuthenticationInfo"}),
        Answer(status=403, headers={"x-ms-error-code": "AuthenticationFailed"}),
    ],
)
def test_a_token_that_storage_no_longer_takes_is_renewed_once(refusal: Answer) -> None:
    """Its clock may be ahead of ours; a second refusal is not about the clock."""
    identity = Ending(3_600)
    shown = BearerToken(AccessTokens(lambda: identity, "scope", "the cab storage"))
    seen = copied(in_turn(refusal, ACCEPTED), shown)
    assert [each.headers["authorization"] for each in seen] == ["Bearer token-1", "Bearer token-2"]
    asked: list[Seen] = []

    def refusing(request: Seen) -> Answer:
        asked.append(request)
        return refusal

    with pytest.raises(RefusedError):
        copied(refusing, shown)
    assert [each.headers["authorization"] for each in asked] == ["Bearer token-2", "Bearer token-3"]


def test_a_missing_role_renews_no_token() -> None:
    """A pull of a hundred thousand cabs must not ask the identity a hundred thousand times."""
    identity = Ending(3_600)
    shown = BearerToken(AccessTokens(lambda: identity, "scope", "the cab storage"))
    with pytest.raises(RefusedError):
        copied(in_turn(Answer(status=403, headers={"x-ms-error-code": "AuthorizationPermissionMismatch"})), shown)
    assert identity.made == 1
