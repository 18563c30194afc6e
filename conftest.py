"""Shared fixtures of all tests, and the order in which `bin/test` runs them.

The fixture `cast` has the organizations of two customers: `acme` is a holding with two regions and three stores, and
`rival` is another customer, whose keys have no access to acme:

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

import hypothesis
import pytest
import structlog
from django.conf import settings
from django.db import connection, transaction
from django.db.models import QuerySet
from pytest_django import DjangoDbBlocker
from xdist.scheduler import LoadScopeScheduling
from xdist.workermanage import NodeManager

from flags.serving import evaluation_cache, process_cache, usage_counter
from flagsite.core import actor
from flagsite.core.db import transient_errors
from flagsite.development.servers import template_data
from flagsite.development.servers.interruption import interrupt_once
from flagsite.tests.emptying import leaving_what_migrations_made, rows_of_migrations
from jobs.engine import wakeup
from jobs.notifications import events
from orgs.access.models import AccessKey, Role
from orgs.tree import locks
from orgs.tree.models import Organization

# That other programs keep the machine busy is no fault of a property.
hypothesis.settings.register_profile(
    "busy-machine",
    hypothesis.settings(deadline=None, suppress_health_check=[hypothesis.HealthCheck.too_slow]),
)
hypothesis.settings.load_profile("busy-machine")


@dataclass(frozen=True, slots=True)
class Cast:
    """The organizations of the two customers, as they were created. Reload one before you use its tree columns."""

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
    """Call `work` in a forked child, and return its result; False if it raised an exception."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", DeprecationWarning)  # Python 3.12 warns of forks of processes with threads
        child = os.fork()
    if child == 0:
        succeeded = False
        try:
            succeeded = work()
        finally:
            os._exit(0 if succeeded else 1)
    return os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]) == 0


FOLDERS_AS_UNIT = [f"flagsite/tests/{name}" for name in ("browser", "crash", "signals", "openfeature", "commands")]
"""Folders whose files share processes that take long to start; the slowest folders first."""
SLOW_FILES = [f"flagsite/tests/startup/test_{name}.py" for name in ("demo", "commands")]
"""Files of a few very slow tests. They come next, because otherwise the whole run would wait for them at its end."""


def _unit(test: str) -> str:
    """The unit that one process of `bin/test` runs as a whole: a file, or one of FOLDERS_AS_UNIT."""
    file = test.partition("::")[0]
    return next((folder for folder in FOLDERS_AS_UNIT if file.startswith(f"{folder}/")), file)


class UnitScheduling(LoadScopeScheduling):
    """Gives each process of `bin/test` one unit after the other."""

    def _split_scope(self, nodeid: str) -> str:
        return _unit(nodeid)


def pytest_xdist_make_scheduler(config: pytest.Config, log: object) -> UnitScheduling:
    """Use UnitScheduling instead of xdist's own schedulers, which know files but not folders."""
    return UnitScheduling(config, log)


@pytest.hookimpl(wrapper=True, tryfirst=True)
def pytest_collection_modifyitems(items: list[pytest.Item]) -> Generator[None]:
    """Mark tests with real transactions as slow, because the database is emptied after each. Slow units come first."""
    for item in items:
        if _has_own_transactions(item):
            item.add_marker("slow")
    yield  # here pytest deselects tests by -m, and shuffles the others
    slow = Counter(_unit(item.nodeid) for item in items if item.get_closest_marker("slow"))
    units = list(dict.fromkeys([*FOLDERS_AS_UNIT, *SLOW_FILES, *(unit for unit, _ in slow.most_common())]))
    position = {unit: number for number, unit in enumerate(units)}
    items.sort(key=lambda item: position.get(_unit(item.nodeid), len(units)))


def pytest_collection_finish() -> None:
    """Freeze all present objects, because they stay until the end; garbage collections then skip them."""
    gc.collect()
    gc.freeze()


def pytest_sessionfinish() -> None:
    """Forget the evaluations that tests have counted, because the database server is gone already."""
    usage_counter.forget_counts()


def pytest_configure(config: pytest.Config) -> None:
    """Use a fast password hash, do not scan static files for each test client, and require an actor in audit entries.

    A process of a parallel run that is interrupted tears its fixtures down, even if it is interrupted a second time.
    """
    if hasattr(config, "workerinput"):
        interrupt_once()
    NodeManager.EXIT_TIMEOUT = 20  # seconds; the default is 15
    settings.PASSWORD_HASHERS = ["django.contrib.auth.hashers.MD5PasswordHasher"]
    settings.WHITENOISE_AUTOREFRESH = True
    settings.AUDIT_ACTOR_REQUIRED = True
    structlog.configure(cache_logger_on_first_use=False)  # else `capture_logs` misses loggers that were used before


@pytest.fixture(scope="session")
def django_db_modify_db_settings(django_db_modify_db_settings: None) -> None:
    """Copy the test database from the one that bin/test has prepared, instead of running all migrations again."""
    if template_data.VARIABLE in os.environ:
        connection.settings_dict["TEST"]["TEMPLATE"] = "flagsite"


@pytest.fixture(scope="session")
def django_db_setup(django_db_setup: None, django_db_blocker: DjangoDbBlocker) -> Iterator[None]:
    """Allow the test database to empty the audit log, because Django does so after tests with real transactions."""
    with django_db_blocker.unblock(), connection.cursor() as cursor:
        cursor.execute("ALTER TABLE orgs_historyentry DISABLE TRIGGER orgs_history_is_not_emptied")
        made = rows_of_migrations()
    with leaving_what_migrations_made(made):
        yield


def _has_own_transactions(item: pytest.Item) -> bool:
    marker = item.get_closest_marker("django_db")
    fixtures = set(getattr(item, "fixturenames", ()))
    return bool({"transactional_db", "live_server"} & fixtures or (marker and marker.kwargs.get("transaction")))


@pytest.fixture(scope="session", autouse=True)
def folder_of_artifacts(tmp_path_factory: pytest.TempPathFactory) -> None:
    """Keep the artifacts of the tests in a folder of each process, which is made when a file is written."""
    location = str(tmp_path_factory.getbasetemp() / "artifacts")
    backend = {"BACKEND": "jobs.artifacts.files.LocalFiles", "OPTIONS": {"location": location}}
    settings.STORAGES = {**settings.STORAGES, "artifacts": backend}


@pytest.fixture(autouse=True)
def nobody_is_told_of_events() -> None:
    """Let this process know that nobody has subscribed to events, so that it does not ask the database in a test."""
    events.remember(set(), seconds=86_400)


@pytest.fixture(autouse=True)
def nothing_listens_after_a_test() -> Iterator[None]:
    """End the caches of this process, whose listener keeps a connection, if the test has evaluated a flag here."""
    yield
    if process_cache.listener() is not None:
        usage_counter.forget_counts()
        process_cache.end()


@pytest.fixture(autouse=True)
def system_as_actor() -> Iterator[None]:
    """Make the system the actor of direct calls in a test. Requests, commands, jobs and threads set their own actor."""
    with actor.acting("worker", actor=actor.SYSTEM):
        yield


@pytest.fixture(autouse=True)
def transaction_of_a_test_counts_as_committed(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> None:
    """Let the evaluation cache keep what it reads in the transaction around a test."""
    if not _has_own_transactions(request.node):
        monkeypatch.setattr(evaluation_cache, "reads_committed_data", lambda: True)


@pytest.fixture
def wake_ups(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """Record the queues of wake-ups instead of sending the wake-ups."""
    queues: list[str] = []
    monkeypatch.setattr(wakeup, "wake", lambda queue, **_: queues.append(queue))
    return queues


@pytest.fixture
def reconnections(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """Record each reconnection by the name of its thread, and keep the connection of the test open."""
    threads: list[str] = []
    monkeypatch.setattr(transient_errors, "reconnect", lambda: threads.append(threading.current_thread().name))
    return threads


CAST = {  # parent, tree number, level, lft, rght, descendants
    "acme": (None, 1, 0, 1, 12, 5),
    "north": ("acme", 1, 1, 2, 7, 2),
    "oslo": ("north", 1, 2, 3, 4, 0),
    "bergen": ("north", 1, 2, 5, 6, 0),
    "south": ("acme", 1, 1, 8, 11, 1),
    "rome": ("south", 1, 2, 9, 10, 0),
    "rival": (None, 2, 0, 1, 4, 1),
    "rival_store": ("rival", 2, 1, 2, 3, 0),
}


@pytest.fixture
def cast(db: None) -> Cast:
    """Acme and rival, written to the tables directly: with `orgs.tree` this took a third of the time of all tests."""
    with transaction.atomic(), connection.cursor() as cursor:
        locks.lock_all_trees_for_writing()
        cursor.execute(
            "SELECT nextval(pg_get_serial_sequence('orgs_organization', 'id')),"
            " (SELECT coalesce(max(tree_id), 0) FROM orgs_organization) FROM generate_series(1, %s)",
            [len(CAST)],
        )
        rows = cursor.fetchall()
        ids = {key: number for key, (number, _) in zip(CAST, rows, strict=True)}
        organizations = [
            Organization(
                id=ids[key], name=key.title(), key=key, parent_id=ids.get(parent or ""),
                tree_id=rows[0][1] + tree, level=level, lft=lft, rght=rght, descendant_count=descendants,
            )
            for key, (parent, tree, level, lft, rght, descendants) in CAST.items()
        ]  # fmt: skip
        QuerySet(Organization).bulk_create(organizations)
    stored = Organization.objects.in_bulk(ids.values())
    return Cast(*(stored[number] for number in ids.values()))


def _key(name: str, role: Role, organization: Organization | None = None) -> str:
    return AccessKey.objects.create_key(name=name, role=role, organization=organization)[1]


@pytest.fixture
def admin_key(db: None) -> str:
    """An access key with the role admin and without a scope."""
    return _key("admin", Role.ADMIN)


@pytest.fixture
def acme_key(cast: Cast) -> str:
    """An access key with the role admin and acme as its scope."""
    return _key("acme", Role.ADMIN, cast.acme)


@pytest.fixture
def reader_key(db: None) -> str:
    """An access key with the role reader and without a scope."""
    return _key("reader", Role.READER)
