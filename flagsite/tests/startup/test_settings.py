"""What a setting must not be is refused at the start, by name; what it may be is taken as it is meant."""

from __future__ import annotations

import os
import runpy
import subprocess
import sys
from pathlib import Path
from typing import Any

import limits
import pytest
from django.core.exceptions import ImproperlyConfigured

from flags.client import context
from flagsite import environment
from flagsite.development.servers import ROOT, ServerError, locks

SETTINGS = str(ROOT / "flagsite" / "settings.py")
PRODUCTION = {
    "DATABASE_URL": "postgresql://flagsite:secret@db/flagsite",
    "REDIS_URL": "rediss://:secret@redis:6379/0",
    "SECRET_KEY": "k" * 32,
    "ALLOWED_HOSTS": "flags.example.com, .example.org,[::1]",
    "CSRF_TRUSTED_ORIGINS": "https://*.example.com",
}
WRONG = [
    ("FLAGSITE_ENVIRONMENT", "prod"),
    ("DEBUG", "maybe"),
    ("ALLOWED_HOSTS", "https://flags.example.com"),
    ("ALLOWED_HOSTS", "flags.example.com:8000"),
    ("CSRF_TRUSTED_ORIGINS", "flags.example.com"),
    ("CORS_ORIGINS", "https://a.example, https://b.example/"),
    ("DATABASE_URL", "mysql://host/name"),
    ("DATABASE_URL", "postgresql://u:hidden@host:port/name"),
    ("DATABASE_URL", "postgresql://u:hidden@host:99999/name"),
    ("DATABASE_URL", "postgresql://u:hidden@[::1/name"),
    ("DATABASE_URL", "postgresql://u:hidden@host"),
    ("DATABASE_URL", "postgresql://u:hidden@host/name?unheard=of"),
    ("DATABASE_DIRECT_URL", "postgresql://u:hidden@host"),
    ("DATABASE_DIRECT_URL", "postgresql://u:hidden@host/name"),  # without DATABASE_URL
    ("REDIS_URL", "http://:hidden@host"),
    ("REDIS_URL", "redis://:hidden@host:port/0"),
    ("REDIS_URL", "redis://:hid/den@host:6379/0"),
    ("REDIS_URL", "redis://:hidden@host/name"),
    ("REDIS_URL", "redis://:hidden@host/0?unheard=of"),
    ("EVENTS_URL", "events.example.com"),
    ("SITE_URL", "flags.example.com"),
    ("SITE_URL", "https://flags.example.com/path"),
    ("SITE_URL", "https://user@flags.example.com"),
    ("SITE_URL", "https://flags.example.com?query"),
    ("FLAG_ENVIRONMENT", "two words"),
    ("FLAG_REQUEST_USER", "visitor_of"),
    ("FLAG_REQUEST_ORGANIZATION", "shop/flags.py"),
    ("RATE_LIMIT", "abc"),
    ("RATE_LIMIT", "0/minute"),
    ("RATE_LIMIT", "10/fortnight"),
    ("RATE_LIMIT", "10/minute;1/second"),
    ("EVALUATION_RATE_LIMIT", "0"),
    ("PAGE_SIZE", "many"),
    ("PAGE_SIZE", "nan"),
    ("FLAG_STALE_DAYS", "1000000"),
    ("JOBS_KEEP_COMPLETED_DAYS", "1000000"),
    ("JOBS_KEEP_FAILED_DAYS", "1000000"),
    ("FLAG_SCHEDULE_KEEP_DAYS", "1000000"),
    ("FLAG_HISTORY_KEEP_DAYS", "1000000"),
    ("IDEMPOTENCY_HOURS", "10000000"),
    ("METRICS_TOKEN", "short"),
    ("EMAIL_URL", "mail.example.com"),
    ("EMAIL_URL", "smtp://u:hidden@mail.example.com"),  # no sender
    ("EMAIL_URL", "smtp://u:hidden@mail.example.com?from=somebody"),
    ("EMAIL_URL", "smtp://u:hidden@mail.example.com:port?from=a@example.com"),
    ("EMAIL_URL", "smtp://u:hidden@mail.example.com?from=a@example.com&tls=yes"),
    ("EMAIL_URL", "smtp://u:hidden@mail.example.com?from=a@example.com&unheard=of"),
    ("EMAIL_URL", "smtp:///?from=a@example.com"),
    ("EMAIL_URL", "imap://u:hidden@mail.example.com?from=a@example.com"),
    ("EMAIL_URL", "anymail://unheard-of?server_token=hidden&from=a@example.com"),
    ("VAPID_KEYS", "hidden"),
    ("VAPID_KEYS", "mailto:ops@example.com,hidden"),
    ("VAPID_KEYS", "ops@example.com,hidden"),
    ("APPRISE_URLS", "json://u:hidden@host"),
    ("APPRISE_URLS", "Ops=json://u:hidden@host"),
    ("APPRISE_URLS", "ops=unheardof://u:hidden@host"),
    ("APPRISE_URLS", "sms=json://u:hidden@host"),
    ("APPRISE_URLS", "ops=json://u:hidden@host/{to}"),
    ("SEND_WEBHOOKS", "perhaps"),
    ("OUTGOING_ALLOWED", "https://hooks.example.com"),
    ("OUTGOING_ALLOWED", "10.0.0.0/99"),
    ("SECRET_KEY_FALLBACKS", f"hidden,{'k' * 40}"),
    ("DELIVERIES_KEEP_DAYS", "1000000"),
    ("LOG_LEVEL", "LOUD"),
    ("LOG_FORMAT", "xml"),
]
UNSAFE = [
    ("SECRET_KEY", ""),
    ("SECRET_KEY", "short"),
    ("ALLOWED_HOSTS", ""),
    ("ALLOWED_HOSTS", "*"),
    ("DEBUG", "true"),
    ("SITE_URL", "http://flags.example.com"),
    ("REDIS_URL", ""),
]


@pytest.fixture(autouse=True)
def nothing_is_set(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in environment.known_variables:
        monkeypatch.delenv(name, raising=False)


@pytest.mark.parametrize(("name", "value"), WRONG)
def test_a_value_that_makes_no_sense_is_refused_by_name(monkeypatch: pytest.MonkeyPatch, name: str, value: str) -> None:
    monkeypatch.setenv("FLAGSITE_ENVIRONMENT", "development")
    monkeypatch.setenv(name, value)
    with pytest.raises(ImproperlyConfigured, match=name) as refused:
        runpy.run_path(SETTINGS)
    assert "hid" not in str(refused.value), "a password"


@pytest.mark.parametrize(("name", "value"), UNSAFE)
def test_production_refuses_what_is_missing_or_unsafe_by_name(
    monkeypatch: pytest.MonkeyPatch, name: str, value: str
) -> None:
    for one, good in (PRODUCTION | {name: value}).items():
        monkeypatch.setenv(one, good)
    with pytest.raises(ImproperlyConfigured, match=name):
        runpy.run_path(SETTINGS)


def test_production_starts_with_what_it_needs() -> None:
    read = "from flagsite import settings as s; print(s.PRODUCTION, s.ALLOWED_HOSTS, s.LOG_FORMAT)"
    done = subprocess.run(
        [sys.executable, "-c", read], cwd=ROOT, env=os.environ | PRODUCTION, capture_output=True, text=True, check=True
    )
    assert done.stdout == "True ['flags.example.com', '.example.org', '[::1]'] json\n"


def test_production_trusts_forms_from_its_own_host_names_over_https(monkeypatch: pytest.MonkeyPatch) -> None:
    for name, value in {**PRODUCTION, "CSRF_TRUSTED_ORIGINS": ""}.items():
        monkeypatch.setenv(name, value)
    assert runpy.run_path(SETTINGS)["CSRF_TRUSTED_ORIGINS"] == [
        "https://flags.example.com",
        "https://example.org",
        "https://*.example.org",
        "https://[::1]",
    ]


def test_messages_leave_as_the_settings_say(monkeypatch: pytest.MonkeyPatch) -> None:
    key = "9Bk1WSYEPMJEBqA8oB1Pu8YV1gtGqw1IbIyMT8i9Z2E"
    values = {
        "EMAIL_URL": "smtp://user:p%40ss@mail.example.com:587?tls=starttls&from=Flags+<flags@example.com>",
        "VAPID_KEYS": f"mailto:ops@example.com, {key}",
        "APPRISE_URLS": "ops=json://host/ops\n sms=smseagle://token@host/{to}",
        "OUTGOING_ALLOWED": "hooks.internal, 10.1.0.0/16",
    }
    for name, value in values.items():
        monkeypatch.setenv(name, value)
    monkeypatch.setenv("FLAGSITE_ENVIRONMENT", "development")
    settings = runpy.run_path(SETTINGS)
    assert (settings["EMAIL_HOST"], settings["EMAIL_PORT"]) == ("mail.example.com", 587)
    assert (settings["EMAIL_HOST_USER"], settings["EMAIL_HOST_PASSWORD"]) == ("user", "p@ss")
    assert (settings["EMAIL_USE_TLS"], settings["EMAIL_USE_SSL"]) == (True, False)
    assert settings["DEFAULT_FROM_EMAIL"] == "Flags <flags@example.com>"
    assert (settings["VAPID_SUBJECT"], settings["VAPID_PRIVATE_KEY"]) == ("mailto:ops@example.com", key)
    assert settings["APPRISE_URLS"] == {"ops": "json://host/ops", "sms": "smseagle://token@host/{to}"}
    assert settings["OUTGOING_ALLOWED"] == ["hooks.internal", "10.1.0.0/16"]


def test_the_address_of_the_site_is_taken_without_the_slash_at_its_end(monkeypatch: pytest.MonkeyPatch) -> None:
    for name, value in (PRODUCTION | {"SITE_URL": "https://flags.example.com:8443/"}).items():
        monkeypatch.setenv(name, value)
    assert runpy.run_path(SETTINGS)["SITE_URL"] == "https://flags.example.com:8443"


def test_without_settings_no_message_leaves(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("FLAGSITE_ENVIRONMENT", "development")
    settings = runpy.run_path(SETTINGS)
    assert not settings["EMAIL"].is_set
    assert settings["VAPID_PRIVATE_KEY"] == ""
    assert settings["APPRISE_URLS"] == {}
    assert settings["SEND_WEBHOOKS"] is False


def test_a_database_may_be_named_by_a_service() -> None:
    assert environment.database("postgresql:///?service=flags")["OPTIONS"]["service"] == "flags"


def test_behind_a_pooler_no_cursor_stays_on_the_server(monkeypatch: pytest.MonkeyPatch) -> None:
    for name, value in (PRODUCTION | {"DATABASE_DIRECT_URL": "postgresql://u@primary:5433/flags"}).items():
        monkeypatch.setenv(name, value)
    made = runpy.run_path(SETTINGS)
    assert made["DATABASES"]["default"]["DISABLE_SERVER_SIDE_CURSORS"] is True
    assert (made["DATABASE_DIRECT"]["HOST"], made["DATABASE_DIRECT"]["PORT"]) == ("primary", "5433")
    monkeypatch.delenv("DATABASE_DIRECT_URL")
    made = runpy.run_path(SETTINGS)
    assert made["DATABASES"]["default"]["DISABLE_SERVER_SIDE_CURSORS"] is False
    assert made["DATABASE_DIRECT"] is None


@pytest.mark.parametrize("period", ["second", "minute", "hour", "day"])
def test_a_rate_that_the_settings_take_is_one_that_the_counter_understands(
    monkeypatch: pytest.MonkeyPatch, period: str
) -> None:
    monkeypatch.setenv("RATE_LIMIT", f"120/{period}")
    monkeypatch.setenv("LOG_FORMAT", "stop here")
    with pytest.raises(ImproperlyConfigured, match="LOG_FORMAT"):
        runpy.run_path(SETTINGS)
    assert limits.parse(f"120/{period}").amount == 120


@pytest.mark.parametrize("path", ["nowhere.at_all", "flags.client.no_such_name", f"{__name__}.SETTINGS"])
def test_a_function_that_is_not_there_is_refused_at_the_start(settings: Any, path: str) -> None:
    settings.FLAG_REQUEST_USER = path
    with pytest.raises(ImproperlyConfigured, match=f"FLAG_REQUEST_USER is '{path}'"):
        context.check_settings()


@pytest.mark.slow
def test_a_process_that_starts_warns_of_retries_out_of_range_and_checks_the_functions(tmp_path: Path) -> None:
    variables = os.environ | {
        "DJANGO_SETTINGS_MODULE": "flagsite.settings",
        "FLAGSITE_DATA_DIR": str(tmp_path),
        "FLAG_SCHEDULE_MAX_RETRIES": "11",
    }
    command = [sys.executable, "-c", "import django; django.setup()"]
    started = subprocess.run(command, cwd=ROOT, env=variables, capture_output=True, text=True, check=True)
    assert "schedule_max_retries_out_of_range" in started.stderr
    variables["FLAG_REQUEST_ORGANIZATION"] = "nowhere.at_all"
    refused = subprocess.run(command, cwd=ROOT, env=variables, capture_output=True, text=True, check=False)
    assert refused.returncode != 0
    assert "FLAG_REQUEST_ORGANIZATION is 'nowhere.at_all'" in refused.stderr


def test_a_data_folder_that_cannot_be_made_is_named(tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    for folder in (tmp_path / "file", tmp_path / "file" / "data"):
        with pytest.raises(ServerError, match=f"The data folder {folder} cannot be made .*FLAGSITE_DATA_DIR"):
            locks.make_data_folder(folder)


@pytest.mark.parametrize(("enabled", "inline"), [("", False), ("true", False), ("false", True), ("off", True)])
def test_without_a_queue_work_runs_in_the_request(monkeypatch: pytest.MonkeyPatch, enabled: str, inline: bool) -> None:
    """The setting of the reference, and JOBS_INLINE, mean the same."""
    monkeypatch.setenv("QUEUE_ENABLED", enabled)
    monkeypatch.delenv("JOBS_INLINE", raising=False)
    assert runpy.run_path(SETTINGS)["JOBS_INLINE"] is inline


def test_the_shortest_wait_of_a_retry_is_not_longer_than_the_longest(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("RETRY_WAIT_MIN", "20")
    with pytest.raises(ImproperlyConfigured, match="RETRY_WAIT_MIN is greater than RETRY_WAIT_MAX"):
        runpy.run_path(SETTINGS)
