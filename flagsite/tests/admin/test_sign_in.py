"""The sign-in: failed attempts are limited for each person and address, and passwords cost others no time."""

from __future__ import annotations

import os
import threading
import time
from typing import Any
from uuid import uuid4

import pytest
from django.contrib.auth.hashers import PBKDF2PasswordHasher
from django.contrib.auth.models import User
from django.test import Client

from flagsite.core import password_hasher
from flagsite.web import sign_in
from flagsite.web.api_rate_limit import circuit_breaker

pytestmark = pytest.mark.django_db
PASSWORD = "a long enough password"


class Visitor:
    """Somebody at an address of their own who tries to sign in."""

    def __init__(self, address: str = "") -> None:
        self.client = Client(REMOTE_ADDR=address or f"10.1.{uuid4().int % 250}.{uuid4().int % 250}")

    def tries(self, password: str, name: str = "anna") -> Any:
        return self.client.post("/admin/login/?next=/admin/", {"username": name, "password": password})

    def fails(self, times: int, name: str = "anna") -> list[int]:
        return [self.tries("wrong", name).status_code for _ in range(times)]


@pytest.fixture(autouse=True)
def anna() -> User:
    return User.objects.create_superuser(f"anna-{uuid4().hex}", password=PASSWORD)


def test_after_five_failures_a_person_is_refused_from_this_address_even_with_the_right_password(anna: User) -> None:
    visitor = Visitor()
    assert visitor.fails(5, anna.username) == [200] * 5
    refused = visitor.tries(PASSWORD, anna.username)
    assert refused.status_code == 429
    assert 0 < int(refused["Retry-After"]) <= 900
    assert "too many failed attempts to sign in. Try again in 15 minutes." in refused.content.decode()
    assert "an admin can set a new one" in refused.content.decode()


def test_the_same_person_signs_in_from_another_address(anna: User) -> None:
    Visitor().fails(6, anna.username)
    assert Visitor().tries(PASSWORD, anna.username).status_code == 302


def test_a_name_that_does_not_exist_is_limited_like_one_that_does() -> None:
    assert Visitor().fails(6, f"nobody-{uuid4().hex}")[-1] == 429


def test_an_address_that_tries_many_names_is_refused_for_all(anna: User) -> None:
    visitor = Visitor()
    for _ in range(30):
        visitor.fails(1, f"nobody-{uuid4().hex}")
    assert visitor.tries(PASSWORD, anna.username).status_code == 429


def test_many_addresses_that_try_one_person_are_refused_in_the_end(anna: User, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sign_in.LIMITS, "person", sign_in.limits.parse("3/15 minutes"))
    for _ in range(3):
        Visitor().fails(1, anna.username)
    assert Visitor().tries(PASSWORD, anna.username).status_code == 429


@pytest.mark.parametrize("spelling", [" {}", "{}\t", "\N{FULLWIDTH LATIN SMALL LETTER A}nna{}"])
def test_another_spelling_of_a_name_has_no_attempts_of_its_own(anna: User, spelling: str) -> None:
    visitor = Visitor()
    typed = spelling.format(anna.username.removeprefix("anna") if "nna" in spelling else anna.username)
    assert visitor.fails(5, typed) == [200] * 5
    assert visitor.tries(PASSWORD, anna.username).status_code == 429


def test_all_addresses_of_an_ipv6_network_count_together(anna: User) -> None:
    network = f"2001:db8:{uuid4().hex[:4]}:{uuid4().hex[:4]}"
    for number in range(5):
        Visitor(f"{network}::{number}").fails(1, anna.username)
    assert Visitor(f"{network}:1:2:3:4").tries(PASSWORD, anna.username).status_code == 429


def test_a_refused_attempt_computes_no_hash(anna: User, monkeypatch: pytest.MonkeyPatch) -> None:
    visitor = Visitor()
    visitor.fails(5, anna.username)
    monkeypatch.setattr(sign_in.AuthenticationForm, "clean", lambda form: pytest.fail("a password was checked"))
    assert visitor.tries(PASSWORD, anna.username).status_code == 429


def test_while_the_redis_server_is_away_each_process_counts_alone(anna: User) -> None:
    circuit_breaker.trip()
    try:
        assert Visitor("10.9.9.9").fails(6, anna.username)[-1] == 429
    finally:
        circuit_breaker.reset()


def test_while_one_person_signs_in_another_is_asked_to_send_the_form_again(anna: User) -> None:
    with sign_in.password_check:
        refused = Visitor().tries(PASSWORD, anna.username)
    assert (refused.status_code, refused["Retry-After"]) == (429, "1")
    assert "Send the form again." in refused.content.decode()


def test_behind_a_trusted_proxy_the_clients_address_counts(anna: User, settings: Any) -> None:
    settings.TRUST_PROXY_HEADERS = True
    proxy = Visitor()
    for _ in range(6):
        proxy.client.post(
            "/admin/login/",
            {"username": anna.username, "password": "wrong"},
            headers={"X-Forwarded-For": "198.51.100.1, 203.0.113.9"},
        )
    other = {"username": anna.username, "password": PASSWORD}
    assert (
        proxy.client.post("/admin/login/?next=/admin/", other, headers={"X-Forwarded-For": "203.0.113.10"}).status_code
        == 302
    )


def test_passwords_are_hashed_as_django_does_by_one_patient_thread() -> None:
    ours, djangos = password_hasher.PatientPasswordHasher(), PBKDF2PasswordHasher()
    assert ours.encode("secret", "salt", 1000) == djangos.encode("secret", "salt", 1000)
    native = password_hasher.patient_thread.submit(threading.get_native_id).result()
    if os.uname().sysname == "Linux":
        assert os.getpriority(os.PRIO_PROCESS, native) == password_hasher.LOWEST_PRIORITY


def test_a_forked_child_hashes_too() -> None:
    child = os.fork()
    if child == 0:
        password_hasher.PatientPasswordHasher().encode("secret", "salt", 1000)
        os._exit(7)
    deadline = time.monotonic() + 30
    while time.monotonic() < deadline:
        ended, status = os.waitpid(child, os.WNOHANG)
        if ended:
            assert os.waitstatus_to_exitcode(status) == 7
            return
        time.sleep(0.02)
    os.kill(child, 9)
    pytest.fail("The child has waited for a thread that it does not have.")
