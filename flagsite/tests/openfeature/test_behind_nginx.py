"""A real nginx in front of Flagsite: its default settings work, and `doctor --url` finds faults of others."""

from __future__ import annotations

import os
import shutil
import subprocess
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import httpx
import pytest

from flagsite.development import secret_key
from flagsite.health.doctor import Site, site_checks
from flagsite.tests.crash.installation import eventually, free_port
from flagsite.tests.openfeature.served import Served
from flagsite.tests.openfeature.waiting import waiting_at

pytestmark = [
    pytest.mark.slow,
    pytest.mark.skipif(
        not shutil.which("nginx") and "FLAGSITE_REQUIRE_NGINX" not in os.environ, reason="nginx is not installed"
    ),
]
CONFIGURATION = """
daemon off; master_process off; pid {folder}/nginx.pid; error_log {folder}/nginx-error.log;
events {{}}
http {{
    access_log off;
    client_body_temp_path {folder}; proxy_temp_path {folder}; fastcgi_temp_path {folder}; uwsgi_temp_path {folder};
    scgi_temp_path {folder};
    {servers}
}}
"""
SERVER = """
server {{
    listen 127.0.0.1:{port};
    {settings}
    location / {{ proxy_pass http://127.0.0.1:{web}; }}
    location /ofrep/v1/events {{ proxy_pass http://127.0.0.1:{events}; }}
}}
"""
SETTINGS = {
    "defaults": "",
    "passes on everything": "proxy_set_header Host $http_host; proxy_set_header X-Forwarded-Proto $scheme;",
    "says https": "proxy_set_header Host $http_host; proxy_set_header X-Forwarded-Proto https;",
    "keeps back": "proxy_ignore_headers X-Accel-Buffering; proxy_buffers 8 64k; proxy_buffer_size 64k;",
}


@dataclass(frozen=True)
class Proxies:
    """One nginx with a port for each of SETTINGS."""

    ports: dict[str, int]

    def site(self, name: str) -> Site:
        return Site(f"http://127.0.0.1:{self.ports[name]}")


@pytest.fixture(scope="module")
def nginx(flagsite: Served, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Proxies]:
    folder = tmp_path_factory.mktemp("nginx")
    ports = {name: free_port() for name in SETTINGS}
    parts = [
        SERVER.format(port=ports[name], settings=settings, web=flagsite.port, events=flagsite.events_port)
        for name, settings in SETTINGS.items()
    ]
    file = Path(folder, "nginx.conf")
    file.write_text(CONFIGURATION.format(folder=folder, servers="".join(parts)))
    process = subprocess.Popen(["nginx", "-c", str(file), "-p", str(folder)], stderr=subprocess.DEVNULL)
    try:
        proxies = Proxies(ports)
        eventually(lambda: _answers(proxies), within=10)
        yield proxies
    finally:
        process.terminate()
        process.wait(10)


def _answers(proxies: Proxies) -> bool:
    try:
        return httpx.get(f"{proxies.site('defaults').url}/livez").is_success
    except httpx.TransportError:
        return False


@pytest.fixture
def same_installation(flagsite: Served, settings: Any) -> None:
    """Let this process sign as the doctor of the installation."""
    settings.SECRET_KEY = secret_key.secret_key(flagsite.folder)


def test_with_default_settings_events_reach_the_client_at_once(flagsite: Served, nginx: Proxies) -> None:
    flagsite.define("nginx.events")
    path = flagsite.events_address().partition(str(flagsite.events_port))[2]
    with waiting_at(nginx.site("defaults").url + path) as waiting:
        flagsite.define("nginx.events", enabled=True)

        assert waiting.next().data["type"] == "refetchEvaluation"


def test_with_default_settings_probes_answer(nginx: Proxies) -> None:
    url = nginx.site("defaults").url
    assert httpx.get(f"{url}/livez").status_code == 200
    assert httpx.get(f"{url}/readyz").status_code == 200


def test_doctor_is_content_with_a_proxy_that_passes_on_everything(
    nginx: Proxies, same_installation: None, settings: Any
) -> None:
    site = nginx.site("passes on everything")
    settings.EVENTS_URL = site.url
    checks = (
        site_checks.check_encryption,
        site_checks.check_answer,
        site_checks.check_proxy_headers,
        site_checks.check_sign_in,
        site_checks.check_event_stream,
    )
    assert {check.__name__: check(site).severity.value for check in checks} == dict.fromkeys(
        (check.__name__ for check in checks), "ok"
    )


def test_doctor_finds_a_proxy_that_does_not_pass_on_the_host_name(nginx: Proxies, same_installation: None) -> None:
    result = site_checks.check_proxy_headers(nginx.site("defaults"))
    assert result.severity.value == "problem"
    assert "its host name is" in result.message
    assert "proxy_set_header Host" in result.advice


def test_doctor_finds_that_people_cannot_sign_in_and_names_the_setting(nginx: Proxies) -> None:
    result = site_checks.check_sign_in(nginx.site("defaults"))
    assert result.severity.value == "problem"
    assert "let the proxy pass on the header Host" in result.advice
    assert "CSRF_TRUSTED_ORIGINS" in result.advice


def test_doctor_finds_a_proxy_whose_headers_are_not_trusted(nginx: Proxies, same_installation: None) -> None:
    site = nginx.site("says https")
    result = site_checks.check_proxy_headers(Site(site.url.replace("http://", "https://"), session=_Plain()))
    assert "the web server sees http" in result.message
    assert "TRUST_PROXY_HEADERS=true" in result.advice


class _Plain(site_checks.requests.Session):
    """Reaches a site with https as a proxy with a certificate would."""

    def request(self, method: Any, url: Any, *rest: Any, **options: Any) -> Any:
        return super().request(method, url.replace("https://", "http://"), *rest, **options)


def test_doctor_finds_a_proxy_that_keeps_back_events(nginx: Proxies, same_installation: None, settings: Any) -> None:
    settings.EVENTS_URL = nginx.site("keeps back").url
    result = site_checks.check_event_stream(nginx.site("keeps back"))
    assert result.severity.value == "problem"
    assert "proxy_buffering off" in result.advice


def test_another_installation_is_not_told_how_its_requests_arrive(nginx: Proxies, settings: Any) -> None:
    settings.SECRET_KEY = "another key of at least thirty-two characters"
    result = site_checks.check_proxy_headers(nginx.site("passes on everything"))
    assert "does not recognise this doctor" in result.message
    assert "same SECRET_KEY" in result.advice
