"""The address of a client: the one that the proxy has seen, or the peer's."""

from __future__ import annotations

from typing import Any

import pytest
from django.test import RequestFactory

from flagsite.core.client_address import client_address, network_of


@pytest.mark.parametrize(
    ("told", "address"),
    [
        ("203.0.113.9", "203.0.113.9"),
        ("6.6.6.6, 203.0.113.9", "203.0.113.9"),
        ("203.0.113.9:52814", "203.0.113.9"),
        ("[2001:db8::7]:52814", "2001:db8::7"),
        ("2001:DB8::7", "2001:db8::7"),
        ("::ffff:203.0.113.9", "203.0.113.9"),
        ("203.0.113.9, unknown", "127.0.0.1"),
        ("203.0.113.9,", "127.0.0.1"),
        ("x" * 1000, "127.0.0.1"),
        ("", "127.0.0.1"),
    ],
)
def test_behind_a_trusted_proxy_the_last_address_counts_if_it_is_one(told: str, address: str, settings: Any) -> None:
    request = RequestFactory().get("/", headers={"X-Forwarded-For": told})
    assert client_address(request) == "127.0.0.1"
    settings.TRUST_PROXY_HEADERS = True
    assert client_address(request) == address


@pytest.mark.parametrize(
    ("address", "network"),
    [
        ("203.0.113.9", "203.0.113.9"),
        ("2001:db8:0:1::7", "2001:db8:0:1::/64"),
        ("2001:db8:0:1:ffff::1", "2001:db8:0:1::/64"),
        ("2001:db8:0:2::7", "2001:db8:0:2::/64"),
        ("", ""),
    ],
)
def test_all_addresses_of_an_ipv6_network_are_one_client(address: str, network: str) -> None:
    assert network_of(address) == network
