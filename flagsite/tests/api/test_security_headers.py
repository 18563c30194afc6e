"""The Content-Security-Policy of every page: scripts and styles come from Flagsite's own files only."""

from __future__ import annotations

import re
from typing import Any

import pytest
from django.contrib.auth.models import User
from django.test import Client

pytestmark = pytest.mark.django_db
PAGES = [
    "/",
    "/docs",
    "/admin/login/",
    "/admin/",
    "/admin/jobs/job/",
    "/admin/orgs/organization/",
    "/admin/flags/flag/",
]
INLINE = re.compile(r"<script(?![^>]*\ssrc=)[^>]*>|\sstyle=|\son[a-z]+=\"|javascript:", re.IGNORECASE)
STYLE_WITHOUT_NONCE = re.compile(r"<style(?![^>]*nonce=)")


def policy_of(answer: Any) -> dict[str, str]:
    parts = (part.strip().partition(" ") for part in answer["Content-Security-Policy"].split(";"))
    return {name: value for name, _, value in parts}


@pytest.fixture
def client() -> Client:
    client = Client()
    client.force_login(User.objects.create_superuser("root"))
    return client


@pytest.mark.parametrize("path", PAGES)
def test_a_page_has_a_policy_without_inline_exceptions(client: Client, path: str) -> None:
    answer = client.get(path, follow=True)
    assert answer.status_code == 200
    policy = policy_of(answer)
    assert "unsafe-inline" not in answer["Content-Security-Policy"]
    assert policy["default-src"] == "'self'"
    assert policy["object-src"] == policy["frame-ancestors"] == policy["base-uri"] == "'none'"


@pytest.mark.parametrize("path", PAGES)
def test_a_page_has_no_inline_script_and_no_style_without_a_nonce(client: Client, path: str) -> None:
    text = client.get(path, follow=True).content.decode()
    assert INLINE.findall(text) == []
    assert STYLE_WITHOUT_NONCE.findall(text) == []


def test_every_answer_has_another_nonce(client: Client) -> None:
    nonces = {re.search(r"nonce-(\S+)'", client.get("/admin/")["Content-Security-Policy"])[1] for _ in range(2)}
    assert len(nonces) == 2


def test_a_problem_has_the_policy_too(client: Client) -> None:
    assert "default-src 'self'" in client.get("/nothing-here")["Content-Security-Policy"]
