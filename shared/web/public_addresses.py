"""Connect to public addresses only, checked where the connection is made: an answer of DNS is untrusted input too."""

from __future__ import annotations

import ipaddress
import socket
from contextlib import suppress
from typing import TYPE_CHECKING, Any

from requests.adapters import HTTPAdapter
from urllib3.connection import HTTPConnection, HTTPSConnection
from urllib3.connectionpool import HTTPConnectionPool, HTTPSConnectionPool
from urllib3.exceptions import HTTPError, NameResolutionError

from shared.core.urls import is_loopback

if TYPE_CHECKING:
    from collections.abc import Iterator

# What every IPv6 address of the public internet is in: https://www.iana.org/assignments/ipv6-address-space
_UNICAST = ipaddress.ip_network("2000::/3")
# A translator makes the IPv4 address of the last 32 bits of these: RFC 6052.
_TRANSLATED = ipaddress.ip_network("64:ff9b::/96")
# Looks public, and is Azure's own host beside every virtual machine:
# https://learn.microsoft.com/azure/virtual-network/what-is-ip-address-168-63-129-16
_AZURE_HOST = ipaddress.ip_address("168.63.129.16")


class NotPublicError(Exception):
    """A name leads to no address that may be asked."""


def is_public(address: str) -> bool:
    """Tell whether an address is one of the public internet.

    Args:
        address: As `getaddrinfo` gives it: an IPv4 or IPv6 address, the latter perhaps with its zone.
    """
    known = ipaddress.ip_address(address)
    if isinstance(known, ipaddress.IPv6Address):
        if known in _TRANSLATED:
            return is_public(str(ipaddress.IPv4Address(int(known) & 0xFFFFFFFF)))
        if known.ipv4_mapped:
            return is_public(str(known.ipv4_mapped))
        return known in _UNICAST and known.is_global
    return known.is_global and not known.is_multicast and known != _AZURE_HOST


class PublicOnlyAdapter(HTTPAdapter):
    """Connect to public addresses, and to this machine where a URL names it by its loopback name or address.

    A name is looked up once a connection, its addresses are checked, and the connection goes to one of those that were
    checked, so a second answer of DNS changes nothing. Certificates are still checked against the name. Where the
    environment names a proxy, the proxy looks names up and connects; what it may reach is its own rule.
    """

    def init_poolmanager(self, connections: int, maxsize: int, block: bool = False, **options: Any) -> None:
        """Make the pools, as requests asks for them; those of proxies are made elsewhere, and stay as they are."""
        super().init_poolmanager(connections, maxsize, block, **options)
        self.poolmanager.pool_classes_by_scheme = {"http": _HttpPool, "https": _HttpsPool}


class _PublicConnection(HTTPConnection):
    def _new_conn(self) -> socket.socket:
        *others, last = self._checked_addresses()
        for address in others:
            with suppress(HTTPError):  # the last one's error is told
                return self._connected(address)
        return self._connected(last)

    def _checked_addresses(self) -> list[str]:
        try:
            found = dict.fromkeys(_looked_up(self.host, self.port))
        except (socket.gaierror, UnicodeError):
            reason = socket.gaierror("the name cannot be resolved")
            raise NameResolutionError(self.host, self, reason) from None
        named_loopback = is_loopback(self.host)
        allowed = [
            address
            for address in found
            if (ipaddress.ip_address(address).is_loopback if named_loopback else is_public(address))
        ]
        if not allowed:
            raise NotPublicError(
                f"the host {self.host} resolves to {', '.join(found)}, which is not an address of the public internet. "
                "If your network must answer so, name a proxy in HTTPS_PROXY (docs/security.md)"
            )
        return allowed

    def _connected(self, address: str) -> socket.socket:
        name = self.host
        self.host = address
        try:
            return super()._new_conn()
        finally:
            # Certificate, SNI and Host header go by the name.
            self.host = name


class _PublicHttpsConnection(_PublicConnection, HTTPSConnection):
    pass


class _HttpPool(HTTPConnectionPool):
    ConnectionCls = _PublicConnection


class _HttpsPool(HTTPSConnectionPool):
    ConnectionCls = _PublicHttpsConnection


def _looked_up(host: str, port: int) -> Iterator[str]:
    for *_, address in socket.getaddrinfo(host.strip("[]"), port, type=socket.SOCK_STREAM):
        yield str(address[0])
