"""A form that is refused: the page says which setting to correct, and people can sign in behind a proxy."""

from __future__ import annotations

from typing import Any

import pytest
from django.test import Client, RequestFactory
from structlog.testing import capture_logs

from flagsite.web import csrf_failure

pytestmark = pytest.mark.django_db


def refused(settings: Any, *, secure: bool = False, **headers: str) -> str:
    settings.CSRF_COOKIE_SECURE = True
    request = RequestFactory().post("/admin/login/", secure=secure, headers={"Host": "testserver", **headers})
    return " ".join(csrf_failure.advice_for(request))


def test_over_plain_http_the_page_asks_for_https(settings: Any) -> None:
    assert "Open the site with https://" in refused(settings, Origin="http://testserver")


def test_with_an_untrusted_proxy_the_page_names_the_setting(settings: Any) -> None:
    told = {"X-Forwarded-Proto": "https"}
    assert "Set TRUST_PROXY_HEADERS=true" in refused(settings, Origin="http://testserver", **told)


def test_from_an_unknown_address_the_page_names_host_and_trusted_origins(settings: Any) -> None:
    words = refused(settings, secure=True, Origin="https://other.example.com")
    assert "https://other.example.com" in words
    assert "header Host" in words
    assert "CSRF_TRUSTED_ORIGINS" in words


def test_without_a_cookie_the_page_says_to_open_the_form_again(settings: Any) -> None:
    assert "Open the page again" in refused(settings, secure=True, Origin="https://testserver")


def test_the_page_is_for_people_and_the_log_has_the_advice(settings: Any) -> None:
    with capture_logs() as logs:
        answer = Client(enforce_csrf_checks=True).post("/admin/login/", {"username": "anna"})
    assert answer.status_code == 403
    assert answer["Content-Type"].startswith("text/html")
    assert "This form was refused" in answer.content.decode()
    assert [line["event"] for line in logs if line["event"] == "form_refused"] == ["form_refused"]


def test_behind_a_proxy_with_https_people_send_forms_without_further_settings(settings: Any) -> None:
    settings.CSRF_TRUSTED_ORIGINS = ["https://flags.example.com"]  # as production derives it from ALLOWED_HOSTS
    settings.ALLOWED_HOSTS = ["flags.example.com"]
    client = Client(enforce_csrf_checks=True, headers={"Host": "flags.example.com"})
    page = client.get("/admin/login/").content.decode()
    token = page.partition('name="csrfmiddlewaretoken" value="')[2].partition('"')[0]
    form = {"csrfmiddlewaretoken": token, "username": "", "password": ""}
    answer = client.post("/admin/login/", form, headers={"Origin": "https://flags.example.com"})
    assert answer.status_code == 200
