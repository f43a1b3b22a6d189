"""The one request that copies a cab is signed as Azure wants it, sent once where that is enough, and never for ever."""

import time
from collections.abc import Callable
from datetime import datetime, timedelta

import pytest

from shared.cabs.direct_copy import DirectCopy
from shared.cabs.labels import CabLabels
from shared.core import clock, telemetry
from shared.core.errors import AgainLater
from shared.core.redaction import redact
from shared.identity.access_tokens import AccessTokens
from shared.storage.refusals import RefusedError
from shared.storage.service import AccountSas, StorageService
from tests.support.identity import Identity
from tests.support.loopback import Answer, LoopbackServer, Seen, in_turn

KEY = "UVpYSlFaWEo="
LABELS = CabLabels({"drivername": "contos%C3%B6.sys"}, {"date": "2017-04-07 13:53:43", "driverVersion": "7+6=/"})
SOURCE = "https://a.blob.core.windows.net/k/b.ext.zip?sv=2015&sig=lRVF%2F7%2B%3D"
TRACE = "00-0123456789abcdef0123456789abcdef-0123456789abcdef-01"
ACCEPTED = Answer(status=202)
BUSY = Answer(status=503, headers={"x-ms-error-code": "ServerBusy", "Retry-After": "0"})


def copied(
    answer: Callable[[Seen], Answer],
    tokens: AccessTokens | None = None,
    sas: Callable[[], str] = str,
    labels: CabLabels = LABELS,
) -> list[Seen]:
    """Copy one cab into a container that a server plays, and return what that was asked."""
    with LoopbackServer(answer) as server:
        service = StorageService(server.url, "2025-05-05", 1, sas, tokens)
        with telemetry.invocation(TRACE):
            DirectCopy(service, "failure-cabs").copy("139/1fd/fb57.ext.zip", SOURCE, labels)
    return server.seen


def test_one_request_carries_everything() -> None:
    (seen,) = copied(in_turn(ACCEPTED))
    assert (seen.method, seen.target) == ("PUT", "/failure-cabs/139/1fd/fb57.ext.zip")
    assert seen.headers["x-ms-copy-source"] == SOURCE, "byte for byte"
    assert seen.headers["x-ms-requires-sync"] == "true"
    assert seen.headers["x-ms-client-request-id"] == TRACE, "the container's log leads to the pull"
    assert seen.headers["if-none-match"] == "*", "a cab that is there is never replaced"
    assert seen.headers["x-ms-meta-drivername"] == "contos%C3%B6.sys"
    assert seen.headers["x-ms-tags"] == "date=2017-04-07+13%3A53%3A43&driverVersion=7%2B6%3D%2F"
    assert seen.headers["content-length"] == "0"


def test_no_tags_make_no_header() -> None:
    (seen,) = copied(in_turn(ACCEPTED), labels=CabLabels({}, {}))
    assert "x-ms-tags" not in seen.headers


def test_a_sas_is_sent_as_it_is() -> None:
    (seen,) = copied(in_turn(ACCEPTED), sas=lambda: "sv=2020&sig=a%2Fb")
    assert seen.target == "/failure-cabs/139/1fd/fb57.ext.zip?sv=2020&sig=a%2Fb"
    assert "authorization" not in seen.headers


class Later(clock.Clock):
    """A clock that a test sets forward."""

    hours = 0

    def now(self) -> datetime:
        return super().now() + timedelta(hours=self.hours)


def test_a_key_is_never_sent_but_a_sas_that_is_made_anew_before_it_ends() -> None:
    """A worker runs for weeks, and must not be refused for a SAS of its first day."""
    with clock.using(Later()) as later:
        sas, seen = AccountSas("cabs", KEY, "b", "wlct"), list[Seen]()
        for later.hours in (0, 11, 13, 36):
            seen += copied(in_turn(ACCEPTED), sas=sas.current)
            ends = datetime.fromisoformat(seen[-1].query["se"])
            assert ends - clock.now() >= timedelta(hours=11)
    assert len({each.query["sig"] for each in seen}) == 3, "one serves many requests"
    for each in seen:
        assert (each.query["ss"], each.query["srt"], each.query["sp"]) == ("b", "co", "wlct"), "no more than is needed"
        assert "authorization" not in each.headers
        assert KEY not in each.target
        assert redact(f"seen: {each.query['sig']}") == "seen: [redacted]", "wherever it is quoted"


def test_a_sas_is_in_no_error() -> None:
    sas = AccountSas("cabs", KEY, "b", "wlct").current

    def quoting(seen: Seen) -> Answer:
        return Answer(f"no {seen.target} {seen.query['sig']}".encode(), 403)

    with pytest.raises(RefusedError) as caught:
        copied(quoting, sas=sas)
    told = f"{caught.value!r} {caught.value.refusal.as_error('the copy')}"
    assert sas().rpartition("sig=")[2] not in told
    assert "&se=" not in told


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


@pytest.mark.parametrize(("seconds", "tokens"), [(3_600, 1), (60, 1), (-1, 3)])
def test_a_token_is_kept_until_shortly_before_its_end(seconds: int, tokens: int) -> None:
    """One token serves a hundred thousand cabs, and none is sent that ends on its way."""
    identity = Identity(seconds)
    shown = AccessTokens(lambda: identity, "scope", "the cab storage", "Check it.")
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
    identity = Identity(3_600)
    shown = AccessTokens(lambda: identity, "scope", "the cab storage", "Check it.")
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
    identity = Identity(3_600)
    shown = AccessTokens(lambda: identity, "scope", "the cab storage", "Check it.")
    with pytest.raises(RefusedError):
        copied(in_turn(Answer(status=403, headers={"x-ms-error-code": "AuthorizationPermissionMismatch"})), shown)
    assert identity.made == 1
