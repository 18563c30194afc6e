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

import gc
import os
import threading
import warnings
from collections import Counter
from collections.abc import Callable, Generator, Iterator
from dataclasses import dataclass

import pytest
from django.conf import settings
from django.contrib.auth.models import Group
from django.db import connection, transaction
from django.db.models import QuerySet
from pytest_django import DjangoDbBlocker
from xdist.scheduler import LoadScopeScheduling
from xdist.workermanage import NodeManager

from flags.serving import evaluation_cache, usage_counter
from flagsite.core import actor
from flagsite.core.db import transient_errors
from flagsite.development.servers import template_data
from flagsite.development.servers.interruption import interrupt_once
from jobs.engine import wakeup
from jobs.engine.models import Queue
from orgs.access.models import AccessKey, Role
from orgs.access.people import ROLES_BY_GROUP
from orgs.tree import locks
from orgs.tree.models import Organization


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


def succeeds_in_child(work: Callable[[], bool]) -> bool:
    """Fork a child that does the work, and return what the work returned there; False if it raised something."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", DeprecationWarning)  # Python 3.12 does not like forks of processes with threads
        child = os.fork()
    if child == 0:
        succeeded = False
        try:
            succeeded = work()
        finally:
            os._exit(0 if succeeded else 1)
    return os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]) == 0


TOGETHER = [f"flagsite/tests/{name}" for name in ("browser", "crash", "signals", "openfeature", "commands")]
"""Folders whose files share processes that take long to start; those that take longest first."""
LONG = [f"flagsite/tests/startup/test_{name}.py" for name in ("demo", "commands")]
"""Files of few tests that take long each; they come next, as otherwise all would wait for them in the end."""


def _unit(test: str) -> str:
    """What one process of `bin/test` runs as a whole: a file, or one of the folders."""
    file = test.partition("::")[0]
    return next((folder for folder in TOGETHER if file.startswith(f"{folder}/")), file)


class Together(LoadScopeScheduling):
    """Gives the processes of `bin/test` one unit after the other."""

    def _split_scope(self, nodeid: str) -> str:
        return _unit(nodeid)


def pytest_xdist_make_scheduler(config: pytest.Config, log: object) -> Together:
    """In place of xdist's own, which know files, but not folders."""
    return Together(config, log)


@pytest.hookimpl(wrapper=True, tryfirst=True)
def pytest_collection_modifyitems(items: list[pytest.Item]) -> Generator[None]:
    """Mark tests with transactions of their own slow, as the database is emptied after each; long units come first."""
    for item in items:
        if _has_own_transactions(item):
            item.add_marker("slow")
    yield  # here those that -m does not want are left out, and the others shuffled
    slow = Counter(_unit(item.nodeid) for item in items if item.get_closest_marker("slow"))
    units = list(dict.fromkeys([*TOGETHER, *LONG, *(unit for unit, _ in slow.most_common())]))
    place = {unit: number for number, unit in enumerate(units)}
    items.sort(key=lambda item: place.get(_unit(item.nodeid), len(units)))


def pytest_collection_finish() -> None:
    """What is there now stays to the end: the collector of garbage need not look at it again and again."""
    gc.collect()
    gc.freeze()


def pytest_sessionfinish() -> None:
    """Nobody waits for the evaluations that tests have counted, and the server for them is gone."""
    usage_counter.forget_counts()


def pytest_configure(config: pytest.Config) -> None:
    """Neither passwords that take long to check, nor a look at all static files for each client that a test makes.

    An audit entry without an actor fails the test that writes it.
    A process of several that is interrupted tears its fixtures down, whoever interrupts it a second time.
    """
    if hasattr(config, "workerinput"):
        interrupt_once()
    NodeManager.EXIT_TIMEOUT = 20  # seconds; xdist itself gives them 15
    settings.PASSWORD_HASHERS = ["django.contrib.auth.hashers.MD5PasswordHasher"]
    settings.WHITENOISE_AUTOREFRESH = True
    settings.AUDIT_ACTOR_REQUIRED = True


@pytest.fixture(scope="session")
def django_db_modify_db_settings(django_db_modify_db_settings: None) -> None:
    """The tests' database is a copy of the one that bin/test has prepared, not made by all migrations anew."""
    if template_data.VARIABLE in os.environ:
        connection.settings_dict["TEST"]["TEMPLATE"] = "flagsite"


@pytest.fixture(scope="session")
def django_db_setup(django_db_setup: None, django_db_blocker: DjangoDbBlocker) -> None:
    """The tests' database alone lets its audit log be emptied, as Django does after tests with real transactions."""
    with django_db_blocker.unblock(), connection.cursor() as cursor:
        cursor.execute("ALTER TABLE orgs_historyentry DISABLE TRIGGER orgs_history_is_not_emptied")


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


@pytest.fixture(autouse=True)
def what_a_test_does_itself_nobody_asked_for() -> Iterator[None]:
    """The system is the actor of what a test calls directly; requests, commands, jobs and threads say their own."""
    with actor.acting("worker", actor=actor.SYSTEM):
        yield


@pytest.fixture(autouse=True)
def what_a_test_writes_counts_as_committed(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> None:
    """The transaction around a test is what everybody sees, so that memory keeps what is read in it."""
    if not _has_own_transactions(request.node):
        monkeypatch.setattr(evaluation_cache, "reads_committed_data", lambda: True)


@pytest.fixture
def wake_ups(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """The queues for which the test has asked for a wake-up; none is sent."""
    queues: list[str] = []
    monkeypatch.setattr(wakeup, "wake", queues.append)
    return queues


@pytest.fixture
def reconnections(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """One entry for each connection that was to be dropped because it was lost; the test's own stays open."""
    threads: list[str] = []
    monkeypatch.setattr(transient_errors, "reconnect", lambda: threads.append(threading.current_thread().name))
    return threads


CAST = {  # parent, number of the tree, level, lft, rght
    "acme": (None, 1, 0, 1, 12),
    "north": ("acme", 1, 1, 2, 7),
    "oslo": ("north", 1, 2, 3, 4),
    "bergen": ("north", 1, 2, 5, 6),
    "south": ("acme", 1, 1, 8, 11),
    "rome": ("south", 1, 2, 9, 10),
    "rival": (None, 2, 0, 1, 4),
    "rival_store": ("rival", 2, 1, 2, 3),
}


@pytest.fixture
def cast(db: None) -> Cast:
    """Acme and its rival, put into the tables as `orgs.tree` would do it, which took a third of all tests' time."""
    with transaction.atomic(), connection.cursor() as cursor:
        locks.lock_tree_for_writing()
        cursor.execute(
            "SELECT nextval(pg_get_serial_sequence('orgs_organization', 'id')),"
            " (SELECT coalesce(max(tree_id), 0) FROM orgs_organization) FROM generate_series(1, %s)",
            [len(CAST)],
        )
        drawn = cursor.fetchall()
        ids = {key: number for key, (number, _) in zip(CAST, drawn, strict=True)}
        organizations = [
            Organization(
                id=ids[key], name=key.title(), key=key, parent_id=ids.get(parent or ""),
                tree_id=drawn[0][1] + tree, level=level, lft=lft, rght=rght,
            )
            for key, (parent, tree, level, lft, rght) in CAST.items()
        ]  # fmt: skip
        QuerySet(Organization).bulk_create(organizations)
    found = Organization.objects.in_bulk(ids.values())
    return Cast(*(found[number] for number in ids.values()))


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
