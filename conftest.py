"""The cast that every test knows.

`acme` is a holding with two regions and three stores; `rival` is another customer, a stranger to acme:

    acme (holding)
      north (region)
        oslo (store)
        bergen (store)
      south (region)
        rome (store)
    rival (holding)
      rival_store
"""

from __future__ import annotations

from dataclasses import dataclass

import pytest
from django.contrib.auth.models import Group

from flags.serving import usage
from jobs.models import Queue
from orgs import tree
from orgs.models import AccessKey, Organization, Role
from orgs.staff import ROLES_BY_GROUP


@dataclass(frozen=True, slots=True)
class Cast:
    """The organizations of the two customers, as they were when created; reload before trusting tree columns."""

    acme: Organization
    north: Organization
    oslo: Organization
    bergen: Organization
    south: Organization
    rome: Organization
    rival: Organization
    rival_store: Organization

    @property
    def of_acme(self) -> list[Organization]:
        """Acme's whole tree."""
        return [self.acme, self.north, self.oslo, self.bergen, self.south, self.rome]


@pytest.hookimpl(trylast=True)
def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Mark tests with transactions of their own slow, as the database is emptied after each; browsers come last.

    An open browser has an event loop in the tests' thread, where no other loop can then run.
    """
    for item in items:
        if _has_own_transactions(item):
            item.add_marker("slow")
    with_browser = {item.path for item in items if "chromium" in getattr(item, "fixturenames", ())}
    items.sort(key=lambda item: item.path in with_browser)


def pytest_sessionfinish() -> None:
    """Nobody waits for the evaluations that tests have counted, and the server for them is gone."""
    usage._begin_anew()  # noqa: SLF001


def _has_own_transactions(item: pytest.Item) -> bool:
    marker = item.get_closest_marker("django_db")
    fixtures = set(getattr(item, "fixturenames", ()))
    return bool({"transactional_db", "live_server"} & fixtures or (marker and marker.kwargs.get("transaction")))


@pytest.fixture(autouse=True)
def queues_and_groups_after_an_emptied_database(request: pytest.FixtureRequest) -> None:
    """Tests with real transactions leave an empty database behind; put back what migrations make."""
    if _has_own_transactions(request.node):
        request.getfixturevalue("transactional_db")
    elif request.node.get_closest_marker("django_db") or "db" in request.fixturenames:
        request.getfixturevalue("db")
    else:
        return
    Queue.objects.bulk_create([Queue(name=name) for name in ("propagation", "default")], ignore_conflicts=True)
    Group.objects.bulk_create([Group(name=name) for name in ROLES_BY_GROUP], ignore_conflicts=True)


@pytest.fixture
def cast(db: None) -> Cast:
    """Acme and its rival, made through the tree's own functions."""

    def made(key: str, parent: Organization | None = None) -> Organization:
        return tree.create(name=key.title(), key=key, parent_id=parent.pk if parent else None)

    acme = made("acme")
    north, south = made("north", acme), made("south", acme)
    oslo, bergen, rome = made("oslo", north), made("bergen", north), made("rome", south)
    rival = made("rival")
    return Cast(acme, north, oslo, bergen, south, rome, rival, made("rival_store", rival))


def _key(name: str, role: Role, organization: Organization | None = None) -> str:
    return AccessKey.objects.create_key(name=name, role=role, organization=organization)[1]


@pytest.fixture
def admin_key(db: None) -> str:
    """A key that may do everything everywhere."""
    return _key("admin", Role.ADMIN)


@pytest.fixture
def acme_key(cast: Cast) -> str:
    """Acme's own administrator: everything, below acme only."""
    return _key("acme", Role.ADMIN, cast.acme)


@pytest.fixture
def reader_key(db: None) -> str:
    """A key that may only look, everywhere."""
    return _key("reader", Role.READER)
