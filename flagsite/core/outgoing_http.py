"""Requests to addresses that users give, such as webhooks. They must not reach the network behind Flagsite.

An address is https, has no user name, and each IP address of its host is public. The name of the host is resolved
once: the connection goes to the address that was checked. Redirects are not followed, and proxies of the environment
are not used. A server cannot hold the process up: the whole request has a time limit, and only a part of the answer is
read. OUTGOING_ALLOWED lists hosts and networks that are allowed although they are private or without https.
"""

from __future__ import annotations

import contextlib
import ipaddress
import socket
import threading
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any
from urllib.parse import SplitResult, urlsplit

import requests
from django.conf import settings
from requests.adapters import HTTPAdapter
from urllib3.exceptions import HTTPError

from flagsite.core.adapters.urllib3 import Deadline
from flagsite.core.errors import FlagsiteError

Address = ipaddress.IPv4Address | ipaddress.IPv6Address
LOOPBACK = ipaddress.ip_address("127.0.0.1")
LOOK_UP_SECONDS = 2.0
"""How long somebody who enters an address waits for the look-up of its name."""
CONNECT_SECONDS = 5.0
READ_SECONDS = 15.0
"""The longest silence of the server."""
TOTAL_SECONDS = 20.0
"""How long a request may take from the connection to the end of the answer, however slowly the server sends."""
MAX_ANSWER_BYTES = 2048
"""How much of an answer is read."""
HEADERS = {"User-Agent": "Flagsite", "Accept": "*/*", "Accept-Encoding": "identity", "Connection": "close"}
PUBLIC_IPV6 = ipaddress.ip_network("2000::/3")
WITH_IPV4 = [ipaddress.ip_network("64:ff9b::/96")]
"""Networks whose addresses have a public IPv4 address in their last 32 bits (NAT64)."""
NOT_PUBLIC = [
    ipaddress.ip_network(network)
    for network in (
        "100.64.0.0/10",  # carrier-grade NAT
        "192.0.0.0/24",  # protocol assignments
        "192.88.99.0/24",  # 6to4 relays
        "224.0.0.0/4",  # multicast
        "240.0.0.0/4",
        "2001::/23",  # Teredo and other protocols
        "2001:db8::/32",
        "2002::/16",  # 6to4
        "3fff::/20",
    )
]
"""Networks that are not public although the first look says so, in each version of Python."""


class AddressRefused(FlagsiteError):
    """Flagsite sends nothing to this address."""


class NoAnswer(FlagsiteError):
    """The server did not answer."""


@dataclass(frozen=True, slots=True)
class Answer:
    """The status and the beginning of the body of an answer."""

    status: int
    body: str
    headers: Mapping[str, str]


def check_url(url: str) -> SplitResult:
    """Return the parts of a URL that users may give. Raises AddressRefused.

    A host that is an IP address or a name of this machine is checked too; the addresses of other names are checked by
    each request.
    """
    try:
        parts = urlsplit(url)
        host, _ = parts.hostname or "", parts.port
    except ValueError:
        raise AddressRefused("The address is not a valid URL.") from None
    if not url.isascii() or not url.isprintable() or " " in url:
        raise AddressRefused("The address has a character that a URL cannot have.")
    if not host or parts.scheme not in {"https", "http"}:
        raise AddressRefused("The address must be a URL that begins with https://.")
    if parts.username is not None or parts.password is not None:
        raise AddressRefused("The address must have no user name and no password.")
    literal = _literal(host)
    if parts.scheme != "https" and not _is_allowed(host, literal):
        raise AddressRefused("The address must begin with https://.")
    if literal is not None:
        _check(host, [literal])
    elif _is_of_this_machine(host) and not _is_allowed(host, LOOPBACK):
        raise _not_public(host)
    return parts


def check_new_url(url: str) -> SplitResult:
    """Check a URL that somebody enters as a request to it would be checked. Returns its parts. Raises AddressRefused.

    A name that cannot be looked up now, or not within LOOK_UP_SECONDS, is accepted: each request looks it up again.
    """
    parts = check_url(url)
    refusals: list[AddressRefused] = []

    def look_up() -> None:
        try:
            check_host(parts.hostname or "", parts.port or 443)
        except AddressRefused as error:
            refusals.append(error)
        except NoAnswer:
            pass

    thread = threading.Thread(target=look_up, name="look-up", daemon=True)
    thread.start()
    thread.join(LOOK_UP_SECONDS)
    if refusals:
        raise refusals[0]
    return parts


def check_host(host: str, port: int) -> str:
    """Resolve the host once, check each of its IP addresses, and return the first. Raises AddressRefused, NoAnswer."""
    try:
        found = socket.getaddrinfo(host, port, type=socket.SOCK_STREAM)
    except (OSError, UnicodeError):
        raise NoAnswer(f"The host {host} cannot be found.") from None
    addresses = [ipaddress.ip_address(str(entry[4][0]).partition("%")[0]) for entry in found]
    _check(host, addresses)
    return str(addresses[0])


def is_public(address: Address) -> bool:
    """Return whether the IP address is one of the public network. It looks into addresses that contain another one."""
    if isinstance(address, ipaddress.IPv6Address):
        if (inner := address.ipv4_mapped) is not None:
            return is_public(inner)
        if any(address in network for network in WITH_IPV4):
            return is_public(ipaddress.IPv4Address(int(address) & 0xFFFFFFFF))
        if address not in PUBLIC_IPV6:
            return False
    return address.is_global and not any(address in network for network in NOT_PUBLIC)


def post(url: str, body: bytes, headers: Mapping[str, str]) -> Answer:
    """Send a POST request. Raises AddressRefused, or NoAnswer if there was no whole head of an answer in time.

    The messages of the errors name the host only, because the rest of a URL may be a secret.
    """
    parts = check_url(url)
    with Deadline(TOTAL_SECONDS) as deadline, contextlib.closing(PinningAdapter(deadline)) as adapter:
        try:
            # not by a session, which reads the whole body of a redirect, even if it does not follow it
            request = requests.Request("POST", url, data=body, headers=HEADERS | dict(headers)).prepare()
            answer = adapter.send(request, stream=True, timeout=(CONNECT_SECONDS, READ_SECONDS))
        except requests.RequestException as error:
            why = f"within {TOTAL_SECONDS:.0f} s" if deadline.has_passed else f"({type(error).__name__})"
            raise NoAnswer(f"{parts.hostname} did not answer {why}.") from None
        with contextlib.closing(answer):
            if deadline.has_passed:  # a head without its end looks like a whole one
                raise NoAnswer(f"{parts.hostname} did not answer within {TOTAL_SECONDS:.0f} s.")
            return Answer(answer.status_code, _beginning(answer), dict(answer.headers))


def _beginning(answer: requests.Response) -> str:
    """Return the beginning of the body as it was sent. The status counts, even if the body cannot be read."""
    beginning = b""
    with contextlib.suppress(HTTPError, OSError):
        beginning = answer.raw.read(MAX_ANSWER_BYTES, decode_content=False)
    return beginning.decode("utf-8", "replace")


class PinningAdapter(HTTPAdapter):
    """Connects to the IP address that was checked, and still checks the certificate for the name of the host."""

    def __init__(self, deadline: Deadline | None = None) -> None:
        super().__init__()
        self._deadline = deadline

    def get_connection_with_tls_context(self, *arguments: Any, **named: Any) -> Any:
        """Return the pool of connections, each of which ends with the deadline. Raises AddressRefused, NoAnswer."""
        pool = super().get_connection_with_tls_context(*arguments, **named)
        if self._deadline is not None:
            self._deadline.limit(pool)
        return pool

    def build_connection_pool_key_attributes(self, request: Any, verify: Any, cert: Any = None) -> Any:
        """Return where to connect to. Raises AddressRefused, NoAnswer."""
        host, pool = super().build_connection_pool_key_attributes(request, verify, cert)
        name = host["host"]
        port = host["port"]
        default = 443 if host["scheme"] == "https" else 80
        shown = f"[{name}]" if ":" in name else name
        request.headers["Host"] = shown if port in (None, default) else f"{shown}:{port}"
        host["host"] = check_host(name, port or default)
        if host["scheme"] == "https":
            names: dict[str, Any] = {"assert_hostname": name, "server_hostname": name}
            pool.update(names)  # type: ignore[typeddict-item]
        return host, pool


def _check(host: str, addresses: list[Address]) -> None:
    for address in addresses:
        if not is_public(address) and not _is_allowed(host, address):
            raise _not_public(host)


def _not_public(host: str) -> AddressRefused:
    return AddressRefused(f"The host {host} is in a network that is not public. OUTGOING_ALLOWED can allow it.")


def _is_of_this_machine(host: str) -> bool:
    """Return whether the host is `localhost` or below it, which no resolver has to know (RFC 6761)."""
    return host.lower().rstrip(".").rpartition(".")[2] == "localhost"


def _literal(host: str) -> Address | None:
    try:
        return ipaddress.ip_address(host.partition("%")[0])
    except ValueError:
        return None


def _is_allowed(host: str, address: Address | None) -> bool:
    """Return whether OUTGOING_ALLOWED names the host, or a network that has the address."""
    for entry in settings.OUTGOING_ALLOWED:
        if host.lower() == entry.lower():
            return True
        network = _network(entry)
        if network is not None and address is not None and address.version == network.version and address in network:
            return True
    return False


def _network(entry: str) -> ipaddress.IPv4Network | ipaddress.IPv6Network | None:
    try:
        return ipaddress.ip_network(entry)
    except ValueError:
        return None
