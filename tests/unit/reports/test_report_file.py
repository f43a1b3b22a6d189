"""A report's location is untrusted, and its signature or the token that opens it must go nowhere else."""

from collections.abc import Iterator
from contextlib import contextmanager
from typing import IO

import pytest

from shared.core.errors import AgainLater, AgainNow, BadAnswer, BadInput, CabferryError, FreshUrl, NeedsPerson
from shared.devcenter.reports import ReportRun
from shared.identity.access_tokens import AccessTokens
from shared.reports.file import ReportFiles
from shared.web.untrusted_source import UntrustedSource
from tests.support.loopback import Answer, LoopbackServer, in_turn
from tests.unit.devcenter.devcenter_client import CountingIdentity

SIGNED = "/driver-reports/30038840_925_43334_201905200800.gz?sv=2017-11-09&sr=b&sig=lRVF%2F7%2B%3D"
BARE = "/driver-reports-30038840/30038840_925_43334_201905200800.gz"


@contextmanager
def opened(location: str, *, signed_in: bool = True) -> Iterator[IO[bytes]]:
    tokens = AccessTokens(CountingIdentity().credential, "https://storage.azure.com/.default", "the tests", "Check it.")
    files = ReportFiles(UntrustedSource(1, ("127.0.0.1",)), tokens if signed_in else None)
    with files.opened(ReportRun("43000", "2026-11-20T05:35:32", "Completed", location)) as file:
        yield file.stream


@pytest.mark.parametrize(
    ("path", "signed_in", "token"),
    [(SIGNED, True, None), (BARE, True, "Bearer token-1"), (BARE, False, None)],
    ids=["with a signature", "without", "public"],
)
def test_a_location_gets_a_token_where_it_has_no_signature(path: str, signed_in: bool, token: str | None) -> None:
    """Storage refuses a request that has both, and the token is nothing for whoever signed."""
    with (
        LoopbackServer(in_turn(Answer(b"the report"))) as server,
        opened(server.url + path, signed_in=signed_in) as stream,
    ):
        assert stream.read() == b"the report"
    (seen,) = server.seen
    assert (seen.target, seen.headers.get("authorization")) == (path, token)
    assert not token or seen.headers["x-ms-version"] >= "2017-11-09", "older versions take no bearer token"


@pytest.mark.parametrize("encoding", ["gzip", "deflate", "br"])
def test_the_bytes_come_as_they_are_stored(encoding: str) -> None:
    """What is packed is told by its first bytes, and unpacked once."""
    with (
        LoopbackServer(in_turn(Answer(b"\x1f\x8b packed", headers={"Content-Encoding": encoding}))) as server,
        opened(server.url + SIGNED) as stream,
    ):
        assert stream.read() == b"\x1f\x8b packed"


@pytest.mark.parametrize(
    ("path", "status", "kind"),
    [
        (SIGNED, 401, FreshUrl),
        (SIGNED, 403, FreshUrl),
        (SIGNED, 404, FreshUrl),
        (BARE, 401, NeedsPerson),
        (BARE, 403, NeedsPerson),
        (BARE, 404, NeedsPerson),
        (SIGNED, 500, AgainLater),
        (BARE, 503, AgainLater),
        (SIGNED, 302, BadAnswer),
        (BARE, 400, BadAnswer),
    ],
)
def test_a_refusal_is_sorted_by_what_helps(path: str, status: int, kind: type[CabferryError]) -> None:
    """A signed link lives 12 hours, and the next check gets a fresh one; a refused identity is for a person."""
    with (
        LoopbackServer(in_turn(Answer(b"<Error>AuthenticationFailed</Error>", status))) as server,
        pytest.raises(kind) as caught,
        opened(server.url + path),
    ):
        pass
    assert type(caught.value) is kind
    assert "run 2026-11-20T05:35:32 of report 43000" in str(caught.value)
    assert str(status) in str(caught.value)
    assert "lRVF" not in str(caught.value)


def test_a_location_elsewhere_is_refused_without_a_request() -> None:
    with pytest.raises(BadInput, match="CAB_SOURCE_HOSTS"), opened("https://evil.com" + BARE):
        pass


def test_a_file_that_breaks_off_is_not_taken_for_a_short_one() -> None:
    with (
        LoopbackServer(in_turn(Answer(b"0123456789", sent=4))) as server,
        pytest.raises(AgainNow, match="connection broke"),
        opened(server.url + SIGNED) as stream,
    ):
        while stream.read(3):
            pass


def test_an_error_that_quotes_the_file_does_not_quote_its_signature() -> None:
    """A page that came in place of a report may tell what it was asked with."""
    with (
        LoopbackServer(in_turn(Answer(b"<html>lRVF/7+= is bad</html>"))) as server,
        pytest.raises(BadInput, match="a page") as caught,
        opened(server.url + SIGNED.replace("lRVF%2F7%2B%3D", "lRVF%2F7%2B%3Dxyz")) as stream,
    ):
        raise BadInput(f"a page came: {stream.read().decode()} lRVF/7+=xyz lRVF%2F7%2B%3Dxyz")
    assert "xyz" not in str(caught.value)
