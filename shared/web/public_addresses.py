"""Connect to public addresses only: an answer of DNS is untrusted input too."""

from __future__ import annotations

import ipaddress
import socket
from typing import Any
from urllib.parse import urlsplit

import requests
from requests.adapters import HTTPAdapter
from requests.utils import select_proxy

from shared.core.urls import is_loopback

# What every IPv6 address of the public internet is in: https://www.iana.org/assignments/ipv6-address-space
_UNICAST = ipaddress.ip_network("2000::/3")
# A translator makes the IPv4 address of the last 32 bits of these: RFC 6052.
_TRANSLATED = ipaddress.ip_network("64:ff9b::/96")
# Looks public, and is Azure's own host beside every virtual machine:
# https://learn.microsoft.com/azure/virtual-network/what-is-ip-address-168-63-129-16
_AZURE_HOST = ipaddress.ip_address("168.63.129.16")


class NotPublicError(Exception):
    """A name leads to no address that may be asked."""


class UnresolvedNameError(requests.ConnectionError):
    """A name leads to no address at all, for now."""


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

    A name is looked up once a request, its addresses are checked, and the connection goes to the first that is allowed
    and not to the name, so a second answer of DNS changes nothing. SNI, certificate and Host header go by the name.
    Where the environment names a proxy, the proxy looks names up and connects; what it may reach is its own rule.
    """

    def add_headers(self, request: requests.PreparedRequest, **_: Any) -> None:
        """Add the host by its name: what is connected to is an address."""
        request.headers["Host"] = urlsplit(request.url or "").netloc

    def get_connection_with_tls_context(
        self, request: requests.PreparedRequest, verify: Any, proxies: Any = None, cert: Any = None
    ) -> Any:
        """Return the connections to an address of the request's host that was checked."""
        if select_proxy(request.url or "", proxies):
            return super().get_connection_with_tls_context(request, verify, proxies, cert)
        place, trust = self.build_connection_pool_key_attributes(request, verify, cert)
        name, port, scheme = str(place["host"]), place["port"], place["scheme"]
        named = {"server_hostname": name, "assert_hostname": name} if scheme == "https" else {}
        address = _checked_address(name, port)
        return self.poolmanager.connection_from_host(address, port, scheme, pool_kwargs={**trust, **named})


def _checked_address(name: str, port: int | None) -> str:
    """Return the first address of a name that may be connected to."""
    try:
        found = dict.fromkeys(str(each[4][0]) for each in socket.getaddrinfo(name, port, type=socket.SOCK_STREAM))
    except (socket.gaierror, UnicodeError):
        raise UnresolvedNameError from None
    named_loopback = is_loopback(name)
    for address in found:
        if ipaddress.ip_address(address).is_loopback if named_loopback else is_public(address):
            return address
    raise NotPublicError(
        f"the host {name} resolves to {', '.join(found)}, which is not an address of the public internet. "
        "If your network must answer so, name a proxy in HTTPS_PROXY (docs/security.md)"
    )
