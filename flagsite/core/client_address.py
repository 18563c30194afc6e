"""The network address of a client, behind a proxy too."""

from __future__ import annotations

import ipaddress

from django.conf import settings
from django.http import HttpRequest

PREFIX_OF_ONE_CLIENT = 64
"""Whoever has one IPv6 address usually has all addresses with the same first bits."""


def client_address(request: HttpRequest) -> str:
    """Return the address of the client that sent a request, such as `203.0.113.7`.

    With TRUST_PROXY_HEADERS, this is the last address of the header X-Forwarded-For. The proxy in front of Flagsite
    adds this address. The addresses before it come from the client, who can invent them. A text that is no address
    does not count.

    Args:
        request: the request as Django has it.
    """
    if settings.TRUST_PROXY_HEADERS:
        told = _parsed(request.headers.get("X-Forwarded-For", "").rpartition(",")[2].strip())
        if told is not None:
            return str(told)
    return str(request.META.get("REMOTE_ADDR", ""))


def network_of(address: str) -> str:
    """Return what counts as one client in a limit: an IPv4 address itself, or the /64 network of an IPv6 address.

    Args:
        address: an address as `client_address` returns it.
    """
    parsed = _parsed(address)
    if isinstance(parsed, ipaddress.IPv6Address):
        return str(ipaddress.ip_network((int(parsed), PREFIX_OF_ONE_CLIENT), strict=False))
    return address


def _parsed(text: str) -> ipaddress.IPv4Address | ipaddress.IPv6Address | None:
    """Return the address in a text, which some proxies write with a port: `203.0.113.7:443` or `[2001:db8::7]:443`."""
    for candidate in (text, text.rpartition(":")[0].strip("[]")):
        try:
            address = ipaddress.ip_address(candidate)
        except ValueError:
            continue
        mapped = address.ipv4_mapped if isinstance(address, ipaddress.IPv6Address) else None
        return mapped or address
    return None
