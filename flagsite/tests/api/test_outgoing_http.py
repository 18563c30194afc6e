"""Addresses that users give: which Flagsite refuses, and that a name is resolved once."""

from __future__ import annotations

import ipaddress
import socket
import threading
from typing import Any

import pytest

from flagsite.core import outgoing_http
from flagsite.core.outgoing_http import AddressRefused, NoAnswer, check_host, check_new_url, check_url, is_public

PRIVATE = [
    "0.0.0.0", "0.1.2.3", "10.0.0.1", "100.64.0.1", "100.127.255.255", "127.0.0.1", "127.8.8.8", "169.254.169.254",
    "172.16.0.1", "172.31.255.255", "192.0.0.1", "192.0.2.1", "192.88.99.1", "192.168.1.1", "198.18.0.1",
    "198.51.100.7", "203.0.113.9", "224.0.0.1", "239.255.255.255", "240.0.0.1", "255.255.255.255",
    "::", "::1", "::7f00:1", "::ffff:127.0.0.1", "::ffff:10.0.0.1", "::ffff:169.254.169.254", "64:ff9b::7f00:1",
    "64:ff9b::a00:1", "64:ff9b::a9fe:a9fe", "64:ff9b:1::a00:1", "100::1", "2001::1", "2001:db8::1", "2001:20::1",
    "2002:7f00:1::1", "2002:a00:1::1", "3fff::1", "5f00::1", "fc00::1", "fd12:3456::1", "fe80::1", "fec0::1",
    "ff02::1",
]  # fmt: skip
PUBLIC = ["1.1.1.1", "8.8.8.8", "100.63.255.255", "172.32.0.1", "2606:4700::1111", "::ffff:8.8.8.8", "64:ff9b::808:808"]
OTHER_WRITINGS = ["0x7f.1", "2130706433", "0177.0.0.1", "127.1", "0"]
"""Other ways to write 127.0.0.1 and 0.0.0.0, which the resolver knows."""


@pytest.mark.parametrize("address", PRIVATE)
def test_an_address_that_is_not_public_is_refused(address: str) -> None:
    assert not is_public(ipaddress.ip_address(address))
    host = f"[{address}]" if ":" in address else address
    with pytest.raises(AddressRefused, match="not public"):
        check_url(f"https://{host}/hook")


@pytest.mark.parametrize("address", PUBLIC)
def test_a_public_address_is_allowed(address: str) -> None:
    assert is_public(ipaddress.ip_address(address))


@pytest.mark.parametrize("host", OTHER_WRITINGS)
def test_other_writings_of_a_private_address_are_refused_when_they_are_resolved(host: str) -> None:
    with pytest.raises((AddressRefused, NoAnswer)):
        check_host(host, 443)


@pytest.mark.parametrize(
    "url",
    [
        "", "hooks.example.com", "http://hooks.example.com/", "ftp://hooks.example.com/", "file:///etc/passwd",
        "https://", "https:///path", "https://user@hooks.example.com/", "https://user:word@hooks.example.com/",
        "https://hooks.example.com:99999/", "https://hooks.example.com/\r\nX: y", "https://hooks.example.com/a b",
        "https://[::1", "https://hooks.exämple.com/", "javascript:alert(1)", "gopher://10.0.0.1/",
    ],
)  # fmt: skip
def test_what_is_no_plain_https_url_is_refused(url: str) -> None:
    with pytest.raises(AddressRefused):
        check_url(url)


def resolved_to(monkeypatch: pytest.MonkeyPatch, *addresses: str) -> list[str]:
    """Let every name resolve to these addresses, and return the list of the names that were resolved."""
    asked: list[str] = []

    def getaddrinfo(host: str, port: int, **_: Any) -> list[Any]:
        asked.append(host)
        kind = {4: socket.AF_INET, 6: socket.AF_INET6}
        return [
            (kind[ipaddress.ip_address(address).version], socket.SOCK_STREAM, 6, "", (address, port))
            for address in addresses
        ]

    monkeypatch.setattr(outgoing_http.socket, "getaddrinfo", getaddrinfo)
    return asked


def test_a_name_with_one_private_address_among_public_ones_is_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    resolved_to(monkeypatch, "8.8.8.8", "10.0.0.1")
    with pytest.raises(AddressRefused, match=r"hooks\.example\.com"):
        outgoing_http.post("https://hooks.example.com/secret-path", b"", {})


def test_the_connection_goes_to_the_address_that_was_checked(monkeypatch: pytest.MonkeyPatch) -> None:
    asked = resolved_to(monkeypatch, "8.8.8.8")
    adapter = outgoing_http.PinningAdapter()
    request = outgoing_http.requests.Request("POST", "https://hooks.example.com:8443/hook").prepare()
    host, pool = adapter.build_connection_pool_key_attributes(request, verify=True)
    assert (host["host"], host["port"]) == ("8.8.8.8", 8443)
    assert pool["server_hostname"] == pool["assert_hostname"] == "hooks.example.com"
    assert request.headers["Host"] == "hooks.example.com:8443"
    assert asked == ["hooks.example.com"]


@pytest.mark.parametrize(
    ("allowed", "url", "is_allowed"),
    [
        (["hooks.internal"], "http://hooks.internal/", True),
        (["10.1.0.0/16"], "https://10.1.2.3/", True),
        (["10.1.0.0/16"], "https://10.2.2.3/", False),
        (["10.1.0.0/16"], "http://10.1.2.3/", True),
        (["10.1.2.3"], "http://10.1.2.3/", True),
        (["hooks.internal"], "http://other.internal/", False),
        (["fd00::/8"], "https://[fd00::1]/", True),
    ],
)  # fmt: skip
def test_the_setting_allows_hosts_and_networks(settings: Any, allowed: list[str], url: str, is_allowed: bool) -> None:
    settings.OUTGOING_ALLOWED = allowed
    if is_allowed:
        check_url(url)
    else:
        with pytest.raises(AddressRefused):
            check_url(url)


def test_errors_name_the_host_and_nothing_else(monkeypatch: pytest.MonkeyPatch) -> None:
    def no_name(*_: Any, **__: Any) -> Any:
        raise OSError

    monkeypatch.setattr(outgoing_http.socket, "getaddrinfo", no_name)
    with pytest.raises(NoAnswer) as refused:
        outgoing_http.post("https://hooks.example.com/token?secret=1", b"", {})
    assert "hooks.example.com" in refused.value.detail
    assert "token" not in refused.value.detail


@pytest.mark.parametrize("host", ["localhost", "LOCALHOST.", "crm.localhost"])
def test_names_of_this_machine_are_refused_without_a_look_up(host: str, settings: Any) -> None:
    with pytest.raises(AddressRefused, match="not public"):
        check_url(f"https://{host}/")
    settings.OUTGOING_ALLOWED = [host]
    assert check_url(f"http://{host}/").hostname
    settings.OUTGOING_ALLOWED = ["127.0.0.0/8"]
    assert check_url(f"https://{host}/").hostname


def test_a_new_address_is_looked_up_and_refused_as_a_request_to_it_would_be(
    monkeypatch: pytest.MonkeyPatch, settings: Any
) -> None:
    resolved_to(monkeypatch, "10.0.0.1")
    with pytest.raises(AddressRefused, match=r"intranet\.example\.com is in a network that is not public"):
        check_new_url("https://intranet.example.com/hook")
    settings.OUTGOING_ALLOWED = ["10.0.0.0/8"]
    assert check_new_url("https://intranet.example.com/hook").hostname == "intranet.example.com"


def test_a_new_address_whose_name_cannot_be_looked_up_now_is_accepted(monkeypatch: pytest.MonkeyPatch) -> None:
    def no_name(*_: Any, **__: Any) -> Any:
        raise socket.gaierror("no such name")

    monkeypatch.setattr(outgoing_http.socket, "getaddrinfo", no_name)
    assert check_new_url("https://new.example.com/hook").hostname == "new.example.com"


def test_who_enters_an_address_does_not_wait_for_a_resolver_that_is_silent(monkeypatch: pytest.MonkeyPatch) -> None:
    answers = threading.Event()
    monkeypatch.setattr(outgoing_http, "LOOK_UP_SECONDS", 0.01)
    found = [(socket.AF_INET, socket.SOCK_STREAM, 6, "", ("8.8.8.8", 443))]
    monkeypatch.setattr(outgoing_http.socket, "getaddrinfo", lambda *_, **__: answers.wait(10) and found)
    assert check_new_url("https://slow.example.com/hook").hostname == "slow.example.com"
    assert not answers.is_set()
    answers.set()
