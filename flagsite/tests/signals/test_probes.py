"""/livez, /readyz, /version."""

from __future__ import annotations

from typing import Any

import pytest
from django.db import OperationalError, connection
from django.db.migrations.loader import MigrationLoader
from django.db.migrations.recorder import MigrationRecorder
from django.test import Client

from flagsite.health import readiness
from jobs.engine import runner
from jobs.metrics import probe_job
from orgs.access.models import AccessKey, Role
from orgs.tests.api import Api
from orgs.tests.failing_queries import failing_queries

CHECKS = {"database", "migrations", "broker", "beat", "canary", "listener"}


@pytest.fixture(autouse=True)
def nothing_cached() -> None:
    readiness.readiness_cache.clear()


def test_livez_answers_without_the_database() -> None:
    """There is no database fixture: a query would fail the test."""
    response = Api().get("/livez")
    assert (response.status_code, response.json()) == (200, {"status": "ok"})


def test_probes_come_to_any_host_name_and_without_https(settings: Any) -> None:
    settings.SECURE_SSL_REDIRECT = True
    client = Client(headers={"host": "10.1.2.3:8000"}, raise_request_exception=False)
    assert client.get("/livez").status_code == 200
    assert client.get("/version").status_code == 200
    assert client.get("/organizations").status_code == 400


def test_version_tells_version_and_commit_and_no_more() -> None:
    told = Api().get("/version").json()
    assert set(told) == {"version", "commit"}
    assert len(told["commit"]) in {0, 40}


@pytest.mark.django_db(transaction=True)
def test_a_server_is_ready_though_beat_and_broker_are_away(settings: Any) -> None:
    settings.REDIS_URL = "redis://127.0.0.1:1/0"
    response = Api().get("/readyz")
    assert response.status_code == 200
    told = response.json()
    assert told["status"] == "ready"
    assert told["checks"] == {
        "database": "ok", "migrations": "ok", "broker": "not ok", "beat": "not ok", "canary": "not ok",
        "listener": "ok",
    }  # fmt: skip


@pytest.mark.django_db(transaction=True)
def test_a_canary_that_came_through_makes_its_check_ok() -> None:
    probe_job.send_probe()
    runner.run_next("default")
    assert Api().get("/readyz").json()["checks"]["canary"] == "ok"


@pytest.mark.django_db(transaction=True)
def test_a_migration_that_is_missing_makes_it_unready() -> None:
    (latest,) = MigrationLoader(connection).graph.leaf_nodes("flags")
    MigrationRecorder(connection).record_unapplied(*latest)
    try:
        response = Api().get("/readyz")
    finally:
        MigrationRecorder(connection).record_applied(*latest)
    assert (response.status_code, response.json()["checks"]["migrations"]) == (503, "not ok")


@pytest.mark.django_db(transaction=True)
def test_a_database_that_is_away_makes_it_unready_and_tells_no_secret() -> None:
    with failing_queries(OperationalError("connection to flagsite:hunter2@db failed")):
        response = Api().get("/readyz")
    assert (response.status_code, response.json()["status"]) == (503, "not ready")
    assert set(response.json()["checks"]) == CHECKS
    assert b"hunter2" not in response.content
    assert b"details" not in response.content


@pytest.mark.django_db(transaction=True)
def test_details_are_for_who_looks_after_the_whole_installation(reader_key: str, acme_key: str, settings: Any) -> None:
    settings.METRICS_TOKEN = "t" * 20
    assert "details" not in Api().get("/readyz").json()
    assert "details" not in Api(acme_key).get("/readyz").json()
    assert "details" not in Api("wrongwro.wrong").get("/readyz").json()
    for role in (Role.CLIENT, Role.EVALUATOR):
        key = AccessKey.objects.create_key(name=role, role=role)[1]
        assert "details" not in Api(key).get("/readyz").json()
    for key in (reader_key, "t" * 20):
        assert set(Api(key).get("/readyz").json()["details"]) == CHECKS


@pytest.mark.django_db(transaction=True)
def test_who_asks_again_at_once_gets_the_same_answer(django_assert_num_queries: Any) -> None:
    Api().get("/readyz")
    with django_assert_num_queries(0):
        assert Api().get("/readyz").status_code == 200
