"""While a structural write holds the tree for long, requests that write are refused, and others are answered."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from time import monotonic
from typing import Any

import psycopg
import pytest
from django.db import connection
from django.test import Client

from conftest import Cast
from flags.definitions.models import Flag
from flags.states.models import Change
from flagsite.core import actor
from flagsite.web import lanes
from jobs.tests.races.threads import Background
from orgs.errors import TreeBusy
from orgs.idempotency.models import IdempotentRequest
from orgs.tests.api import Api, kind_of
from orgs.tree import locks, tree_operations
from orgs.tree.models import Organization

pytestmark = pytest.mark.django_db(transaction=True)


@contextmanager
def held_tree() -> Iterator[None]:
    """Another process holds the tree, as an import does."""
    parameters = connection.get_connection_params()
    address = {name: parameters[name] for name in ("dbname", "user", "password", "host", "port") if name in parameters}
    with psycopg.connect(**address) as other:
        other.execute(locks.ALL_TREES_FOR_WRITING)
        yield


@pytest.fixture
def short_waits(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(locks, "REQUEST_SECONDS", 0.05)
    monkeypatch.setattr(locks, "SHORTEST_WAIT_SECONDS", 0.05)


@pytest.fixture
def long_waits(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(locks, "REQUEST_SECONDS", 600.0)


def writes(cast: Cast) -> list[tuple[str, str, Any]]:
    return [
        ("POST", f"/{cast.acme.pk}/f/true", None),
        ("POST", f"/{cast.oslo.pk}/f/true", None),
        ("POST", "/organizations", {"key": "new", "name": "New"}),
        ("PATCH", f"/organizations/{cast.oslo.pk}", {"parentId": cast.south.pk}),
        ("DELETE", f"/organizations/{cast.oslo.pk}", None),
    ]


def refused(response: Any) -> bool:
    return (response.status_code, kind_of(response), response["Retry-After"]) == (503, "tree-busy", "1")


@pytest.mark.usefixtures("short_waits")
def test_a_write_is_refused_while_the_tree_is_held_and_has_done_nothing(cast: Cast, admin_key: str) -> None:
    api = Api(admin_key)
    with held_tree():
        assert [write for write in writes(cast) if not refused(api.send(*write))] == []
    assert not Flag.objects.exists()
    assert not Change.objects.exists()
    assert Organization.objects.count() == 8


@pytest.mark.usefixtures("short_waits")
def test_a_refused_request_leaves_its_idempotency_key_free(cast: Cast, admin_key: str) -> None:
    api, path = Api(admin_key), f"/{cast.oslo.pk}/f/true"
    with held_tree():
        assert refused(api.post(path, Idempotency_Key="k"))
    assert not IdempotentRequest.objects.exists()
    assert api.post(path, Idempotency_Key="k").status_code == 200


@pytest.mark.usefixtures("short_waits")
def test_pages_of_the_admin_site_say_so_too(cast: Cast, admin_client: Client) -> None:
    tree_page = "/admin/orgs/organization/"
    with held_tree():
        answer = admin_client.post(f"{tree_page}{cast.oslo.pk}/delete/do/", {"key": "oslo", "reason": "closed"})
        assert str(TreeBusy()) in answer.content.decode()
    assert Organization.objects.count() == 8


@pytest.mark.usefixtures("long_waits")
def test_a_request_that_gets_the_lock_in_time_is_carried_out(cast: Cast, admin_key: str) -> None:
    with held_tree():
        patient = Background(lambda: Api(admin_key).post(f"/{cast.oslo.pk}/f/true").status_code)
        patient.wait_until_blocked()
        assert Api(admin_key).get(f"/organizations/{cast.oslo.pk}").status_code == 200
    assert patient.result() == 200


def test_the_wait_for_a_thread_counts_as_a_wait_for_the_lock(cast: Cast, monkeypatch: pytest.MonkeyPatch) -> None:
    """A test that hangs if the request waited as if it had come in just now."""
    monkeypatch.setattr(locks, "REQUEST_SECONDS", 600.0)
    monkeypatch.setattr(locks, "SHORTEST_WAIT_SECONDS", 0.05)
    with held_tree(), pytest.raises(TreeBusy), actor.acting("api", came_at=monotonic() - 600):
        tree_operations.create(key="new", name="New")


def test_a_request_waits_for_less_than_a_second() -> None:
    assert lanes.WRITES.queued_seconds + locks.SHORTEST_WAIT_SECONDS <= locks.REQUEST_SECONDS < 1


@pytest.mark.usefixtures("short_waits")
def test_commands_and_workers_wait_as_long_as_it_takes(cast: Cast) -> None:
    with held_tree():
        patient = Background(lambda: tree_operations.create(key="new", name="New"))
        patient.wait_until_blocked()
    assert patient.result().key == "new"
