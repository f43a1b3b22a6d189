"""A name in a cabUrl may lead anywhere: into the network of the app, to Azure's own hosts, or to this machine."""

import socket
import ssl
from collections.abc import Callable, Iterator
from typing import Any

import pytest
import urllib3
from hypothesis import given
from hypothesis import strategies as st

from local.simulator.certificates import Certificates
from shared.core.errors import AgainNow, BadAnswer
from shared.web.http_source import HttpSource, body_of
from shared.web.public_addresses import NotPublicError, PublicOnlyAdapter, is_public
from tests.support.loopback import Answer, LoopbackServer, in_turn

PUBLIC = ["20.150.1.1", "52.239.0.1", "2603:1030:c02::4", "::ffff:20.150.1.1", "64:ff9b::1496:101"]
NOT_PUBLIC = [
    *("10.0.0.1", "172.16.0.1", "172.31.255.255", "192.168.1.1", "100.64.0.1"),  # private, and of a carrier
    *("127.0.0.1", "127.255.255.254", "0.0.0.0", "0.1.2.3"),  # this machine  # noqa: S104 - not bound to
    *("169.254.169.254", "168.63.129.16"),  # Azure's metadata and its host
    *("224.0.0.1", "239.1.1.1", "240.0.0.1", "255.255.255.255"),  # many, and nobody
    *("192.0.2.1", "198.51.100.1", "203.0.113.1", "198.18.0.1"),  # for documents and measurements
    *("::1", "::", "::20.150.1.1"),
    *("fe80::1", "fe80::1%2", "fec0::1", "fc00::1", "fd12:3456::1", "ff02::1", "ff0e::1"),
    *("2001:db8::1", "2002:7f00:1::", "2002:1496:101::", "2001:0:1496:101::1", "4000::1", "100::1", "5f00::1"),
    *("::ffff:10.0.0.1", "::ffff:127.0.0.1", "::ffff:169.254.169.254", "::ffff:168.63.129.16", "::ffff:224.0.0.1"),
    *("64:ff9b::7f00:1", "64:ff9b::a9fe:a9fe", "64:ff9b::a83f:8110", "64:ff9b:1::1496:101"),
]
# The answer of DNS, looked up as the system does it.
type Lookup = Callable[[str], list[str]]


@pytest.fixture
def dns(monkeypatch: pytest.MonkeyPatch) -> dict[str, list[list[str]]]:
    """Names, and the answers that a hostile DNS gives to one lookup after the other; the last one stays."""
    answers: dict[str, list[list[str]]] = {}
    real = socket.getaddrinfo

    def lookup(host: str, port: int, *args: Any, **options: Any) -> list[Any]:
        if host not in answers:
            return real(host, port, *args, **options)
        given = answers[host].pop(0) if len(answers[host]) > 1 else answers[host][0]
        return [each for address in given for each in real(address, port, *args, **options)]

    monkeypatch.setattr(socket, "getaddrinfo", lookup)
    return answers


@pytest.fixture
def connected(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """Where connections would go, none of which is made."""
    asked: list[str] = []

    def refuse(address: tuple[str, int], *_args: object, **_options: object) -> socket.socket:
        asked.append(address[0])
        raise ConnectionRefusedError

    monkeypatch.setattr(urllib3.util.connection, "create_connection", refuse)
    return asked


def source() -> HttpSource:
    return HttpSource(2, PublicOnlyAdapter)


def body(url: str) -> bytes:
    with source().ask(url, {}, "the cab") as response:
        return body_of(response, "the cab")


@pytest.mark.parametrize("address", PUBLIC)
def test_an_address_of_the_internet_is_public(address: str) -> None:
    assert is_public(address)


@pytest.mark.parametrize("address", NOT_PUBLIC)
def test_any_other_address_is_not(address: str) -> None:
    assert not is_public(address)


@given(st.ip_addresses())
def test_every_address_is_told(address: object) -> None:
    """A mapped address is what it maps to, and nothing that is for many or for nobody is public."""
    told = is_public(str(address))
    if getattr(address, "version", 6) == 4:
        assert is_public(f"::ffff:{address}") is told
        assert is_public(f"64:ff9b::{address}") is told
    assert not (told and (getattr(address, "is_private", True) or getattr(address, "is_multicast", True)))


@pytest.mark.parametrize("address", NOT_PUBLIC)
def test_a_name_of_such_an_address_is_not_asked(
    address: str, dns: dict[str, list[list[str]]], connected: list[str]
) -> None:
    dns["cabs.blob.core.windows.net"] = [[address]]
    with pytest.raises(NotPublicError, match=r"cabs\.blob\.core\.windows\.net resolves to"):
        body("https://cabs.blob.core.windows.net/k/b?sig=QZXJ")
    assert connected == []


@pytest.mark.parametrize(
    "host",
    [
        *("127.1", "0177.0.0.1", "0x7f.0.0.1", "2130706433", "0x7f000001", "0", "017700000001"),
        *("10.1", "0xa9fea9fe", "2852039166", "[::ffff:127.0.0.1]", "[::]", "[fe80::1]", "[fe80::1%252]", "10.0.0.1."),
    ],
)
def test_no_spelling_of_an_address_gets_by(host: str, connected: list[str]) -> None:
    """What the system makes of `127.1` or `0x7f000001` is its own affair: the address that comes of it is checked.

    Where it makes nothing of it, that is good too.
    """
    with pytest.raises((NotPublicError, AgainNow, BadAnswer)):
        body(f"https://{host}/k/b")
    assert connected == []


def test_only_a_public_address_of_a_name_is_tried(dns: dict[str, list[list[str]]], connected: list[str]) -> None:
    dns["cabs.blob.core.windows.net"] = [["10.0.0.1", "20.150.1.1", "::1", "52.239.0.1"]]
    with pytest.raises(AgainNow):
        body("https://cabs.blob.core.windows.net/k/b")
    assert connected == ["20.150.1.1"]


def test_a_second_answer_of_dns_changes_nothing(dns: dict[str, list[list[str]]], connected: list[str]) -> None:
    """DNS rebinding: a public address for the check, and a private one for the connection."""
    dns["cabs.blob.core.windows.net"] = [["20.150.1.1"], ["127.0.0.1"]]
    with pytest.raises(AgainNow):
        body("https://cabs.blob.core.windows.net/k/b")
    assert connected == ["20.150.1.1"]


def test_a_name_of_loopback_leads_to_loopback_only(dns: dict[str, list[list[str]]], connected: list[str]) -> None:
    dns["localhost"] = [["10.0.0.1", "20.150.1.1"]]
    with pytest.raises(NotPublicError):
        body("http://localhost/k/b")
    assert connected == []


def test_a_name_that_leads_to_this_machine_is_not_its_loopback_name(dns: dict[str, list[list[str]]]) -> None:
    """Something that listens here for this machine alone must not be asked for whoever owns a name."""
    dns["rebound.example.com"] = [["127.0.0.1"]]
    with LoopbackServer(in_turn(Answer(b"secret"))) as server:
        with pytest.raises(NotPublicError):
            body(f"http://rebound.example.com:{server.port}/k/b")
        assert server.seen == []


@pytest.mark.parametrize("name", ["nowhere.invalid", "a" * 64 + ".blob.core.windows.net", "a..b"])
def test_a_name_without_an_address_is_a_broken_connection(name: str, connected: list[str]) -> None:
    with pytest.raises(AgainNow):
        body(f"https://{name}/k/b")
    assert connected == []


@pytest.fixture
def named(certificates: Certificates) -> Iterator[tuple[LoopbackServer, list[str | None]]]:
    """A server of TLS, and the names that it was asked for."""
    names: list[str | None] = []
    context = certificates.server_context()

    def note(_socket: ssl.SSLObject, name: str | None, _context: ssl.SSLContext) -> None:
        names.append(name)

    context.sni_callback = note
    with LoopbackServer(in_turn(Answer(b"cab")), context) as server:
        yield server, names


def test_certificate_and_host_go_by_the_name(named: tuple[LoopbackServer, list[str | None]]) -> None:
    """The connection goes to an address; a server with many names must still know which one is meant."""
    server, names = named
    assert body(f"https://localhost:{server.port}/k/b") == b"cab"
    assert names == ["localhost"]
    assert server.seen[0].headers["host"] == f"localhost:{server.port}"


def test_a_certificate_of_another_name_is_refused(
    named: tuple[LoopbackServer, list[str | None]], monkeypatch: pytest.MonkeyPatch, dns: dict[str, list[list[str]]]
) -> None:
    """What protects the bytes where the address is public, and still a liar's."""
    server, _ = named
    dns["cabs.blob.core.windows.net"] = [["127.0.0.1"]]
    monkeypatch.setattr("shared.web.public_addresses.is_public", lambda _: True)
    with pytest.raises(AgainNow, match="SSLError"):
        body(f"https://cabs.blob.core.windows.net:{server.port}/k/b")
    assert server.seen == []


def test_connections_are_kept(named: tuple[LoopbackServer, list[str | None]]) -> None:
    """A lookup and a handshake for each cab would cost more than small cabs do."""
    server, names = named
    kept = source()
    for _ in range(3):
        with kept.ask(f"https://localhost:{server.port}/k/b", {}, "the cab") as response:
            body_of(response, "the cab")
    assert len(names) == len({each.connection for each in server.seen}) == 1


def test_a_proxy_looks_names_up_itself(monkeypatch: pytest.MonkeyPatch, dns: dict[str, list[list[str]]]) -> None:
    """Where only a proxy reaches the internet, the app may know no name of it, and the proxy is in the own network."""
    dns["cabs.blob.core.windows.net"] = [["10.0.0.1"]]
    with LoopbackServer(in_turn(Answer(b"cab"))) as proxy:
        monkeypatch.setenv("HTTP_PROXY", proxy.url)
        assert body("http://cabs.blob.core.windows.net/k/b") == b"cab"
    assert proxy.seen[0].target == "http://cabs.blob.core.windows.net/k/b"
