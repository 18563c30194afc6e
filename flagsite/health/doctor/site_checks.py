"""Checks of `doctor --url`: they open the site from outside, as a browser does, and find what a proxy does wrong."""

from __future__ import annotations

import re
import socket
import ssl
import time
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import Any
from urllib.parse import urlsplit

import requests
from django.conf import settings

from flagsite.core.words import counted
from flagsite.health import version
from flagsite.health.doctor.check_result import CheckResult, not_checked, ok, problem, warning
from flagsite.health.doctor_token import HEADER, doctor_token

TIMEOUT_SECONDS = 10.0
CERTIFICATE_WARNING_DAYS = 14
LOCAL_NAMES = frozenset({"localhost", "127.0.0.1", "::1"})
EVENTS_APART_SECONDS = 0.5
"""The events server sends two comments one second apart. A shorter time means that a proxy keeps back the first."""
TOKEN_FIELD = re.compile(r'name="csrfmiddlewaretoken" value="([A-Za-z0-9]+)"')


@dataclass(frozen=True, slots=True)
class Site:
    """The site that people and clients open.

    Attributes:
        url: scheme, host name and port, without a slash at the end, such as `https://flags.example.com`.
        certificates: a file with certificates to trust in addition to those of the system; empty for none.
    """

    url: str
    certificates: str = ""
    session: requests.Session = field(default_factory=requests.Session)

    def get(self, path: str, **options: Any) -> requests.Response:
        """GET a path of the site. Raises requests.RequestException."""
        return self.request("GET", self.url + path, **options)

    def request(self, method: str, url: str, **options: Any) -> requests.Response:
        """Send a request, without following redirects. Raises requests.RequestException."""
        verify: str | bool = self.certificates or True
        return self.session.request(
            method, url, **({"timeout": TIMEOUT_SECONDS, "allow_redirects": False, "verify": verify} | options)
        )

    @property
    def scheme(self) -> str:
        return urlsplit(self.url).scheme

    @property
    def host(self) -> str:
        """The host name, without port."""
        return urlsplit(self.url).hostname or ""

    @property
    def address(self) -> str:
        """The host name with its port, as the header Host has it."""
        return urlsplit(self.url).netloc


def check_encryption(site: Site) -> CheckResult:
    """Check that the site uses HTTPS with a valid certificate that does not end soon."""
    if site.scheme == "http":
        if site.host in LOCAL_NAMES:
            return ok("The site is on this machine, so it needs no HTTPS.")
        return problem(
            "The site does not use HTTPS, so passwords and access keys cross the network in plain text.",
            "Let a proxy end HTTPS in front of Flagsite (docs/operating.md), and open the site with https://.",
        )
    context = ssl.create_default_context(cafile=site.certificates or None)
    try:
        with (
            socket.create_connection((site.host, urlsplit(site.url).port or 443), TIMEOUT_SECONDS) as plain,
            context.wrap_socket(plain, server_hostname=site.host) as encrypted,
        ):
            certificate = encrypted.getpeercert() or {}
    except ssl.SSLCertVerificationError as error:
        return problem(
            f"The certificate of {site.host} is not valid: {error.verify_message}.",
            "Install a certificate for this host name, with its whole chain. For a certificate of your own authority, "
            "name the authority's file with --certificates FILE.",
        )
    end = datetime.fromtimestamp(ssl.cert_time_to_seconds(str(certificate["notAfter"])), UTC)
    days = (end - datetime.now(UTC)).days
    if days < CERTIFICATE_WARNING_DAYS:
        return warning(f"The certificate ends in {counted(days, 'day')} ({end:%Y-%m-%d}).", "Renew the certificate.")
    return ok(f"HTTPS works, and the certificate is valid until {end:%Y-%m-%d}.")


def check_answer(site: Site) -> CheckResult:
    """Check that this installation answers at the URL, and not another program or another version."""
    answer = site.get("/version")
    try:
        about = answer.json()
    except ValueError:
        about = None
    if answer.status_code != requests.codes.ok or not isinstance(about, dict) or "version" not in about:
        return problem(
            f"{site.url}/version answers {answer.status_code}, but not as Flagsite does.",
            "Let the proxy pass on all paths to the web server of Flagsite, without changing them.",
        )
    ours = version.about()
    if (about["version"], about.get("commit")) != (ours["version"], ours["commit"]):
        return warning(
            f"The site runs version {about['version']} ({about.get('commit') or 'commit not known'}), and this is "
            f"version {ours['version']} ({ours['commit'] or 'commit not known'}).",
            "Restart the web servers after an upgrade.",
        )
    ready = site.get("/readyz")
    if ready.status_code != requests.codes.ok:
        return problem(f"{site.url}/readyz answers {ready.status_code}.", "Run doctor without --url on that machine.")
    return ok(f"Flagsite {about['version']} answers at {site.url}.")


def check_proxy_headers(site: Site) -> CheckResult:
    """Check that the web server learns scheme, host name and client of a request behind the proxy."""
    seen = site.get("/version", headers={HEADER: doctor_token()}).json().get("seen")
    if seen is None:
        return problem(
            "The web server does not recognise this doctor.",
            "Start doctor with the same SECRET_KEY as the web server, and let the proxy pass on all headers.",
        )
    if seen["host"] != site.address:
        return problem(
            f"The web server thinks that its host name is {seen['host']}, and not {site.address}.",
            "Let the proxy pass on the host name: in nginx, proxy_set_header Host $http_host.",
        )
    if seen["scheme"] != site.scheme:
        return problem(
            f"The site is opened with {site.scheme}, but the web server sees {seen['scheme']}.",
            "Let the proxy send the scheme (in nginx, proxy_set_header X-Forwarded-Proto $scheme)"
            + ("." if settings.TRUST_PROXY_HEADERS else ", and set TRUST_PROXY_HEADERS=true."),
        )
    if seen["forwardedFor"] and not settings.TRUST_PROXY_HEADERS:
        return warning(
            f"A proxy tells the address of each client, but Flagsite takes {seen['client']} for all clients.",
            "Set TRUST_PROXY_HEADERS=true, so that the limit on failed sign-ins counts each client alone.",
        )
    return ok(f"The web server sees {seen['scheme']}://{seen['host']} and the client {seen['client']}.")


def check_sign_in(site: Site) -> CheckResult:
    """Check that a person can send the form of the sign-in page. The check sends an empty form, and signs in nobody."""
    page = site.get("/admin/login/")
    if page.status_code == requests.codes.bad_request:
        return problem(f"The web server refuses the host name {site.host}.", f"Add {site.host} to ALLOWED_HOSTS.")
    token = TOKEN_FIELD.search(page.text)
    if page.status_code != requests.codes.ok or token is None:
        return problem(f"{site.url}/admin/login/ answers {page.status_code}.", "The log says why.")
    form = {"csrfmiddlewaretoken": token[1], "username": "", "password": "", "next": "/admin/"}
    headers = {"Origin": site.url, "Referer": f"{site.url}/admin/login/"}
    answer = site.request("POST", f"{site.url}/admin/login/", data=form, headers=headers)
    if answer.status_code == requests.codes.forbidden:
        advice = re.findall(r'<p class="mb-4">([^<]+)</p>', answer.text)
        return problem("People cannot sign in: Flagsite refuses the form (CSRF).", " ".join(advice) or "See the log.")
    if answer.status_code != requests.codes.ok:
        return problem(f"The sign-in form is answered with {answer.status_code}.", "The log says why.")
    return ok("People can send the sign-in form.")


def check_plain_http(site: Site) -> CheckResult:
    """Check that nobody can use the site without HTTPS by mistake."""
    if site.scheme == "http":
        return not_checked("The site does not use HTTPS.")
    try:
        answer = site.request("GET", f"http://{site.host}/version")
    except requests.RequestException:
        return ok(f"Nothing answers at http://{site.host}.")
    if answer.is_redirect and answer.headers.get("Location", "").startswith("https://"):
        return ok(f"http://{site.host} redirects to https://.")
    return warning(
        f"http://{site.host} answers without HTTPS ({answer.status_code}).",
        "Let the proxy redirect to https://, so that no access key crosses the network in plain text.",
    )


def check_event_stream(site: Site) -> CheckResult:
    """Check that events reach a client at once, and that no proxy keeps them back."""
    if not settings.EVENTS_URL:
        return not_checked("EVENTS_URL is not set, so clients get no events.")
    url = f"{settings.EVENTS_URL}/ofrep/v1/events"
    with site.request("GET", url, params={"token": doctor_token()}, stream=True) as answer:
        if answer.status_code != requests.codes.ok:
            return problem(
                f"{url} answers {answer.status_code}.",
                "Let the proxy pass on this path to the events process, and set EVENTS_URL to its public address.",
            )
        began = time.monotonic()
        arrived = [time.monotonic() - began for part in answer.iter_content(chunk_size=None) if part]
    if len(arrived) < 2 or arrived[-1] - arrived[0] < EVENTS_APART_SECONDS:  # noqa: PLR2004 - the first and the last
        return problem(
            "A proxy keeps back the events until it has many of them or the stream ends.",
            f"Switch off buffering and compression for {url}: in nginx, proxy_buffering off.",
        )
    return ok("Events reach a client at once.")
