"""A transaction holds the tree lock, and requests that wait hold every thread but those of evaluations."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from contextlib import contextmanager, suppress

import httpx
import pytest
import urllib3

from flagsite.tests.crash.installation import Installation, eventually
from flagsite.tests.crash.web_processes import each_web_process
from orgs.tree.locks import ALL_TREES_FOR_WRITING

pytestmark = [pytest.mark.slow, pytest.mark.timeout(300)]
LEAVES, WRITERS = 40, 10
QUEUES_HELD = "LOCK TABLE jobs_queue IN ACCESS EXCLUSIVE MODE"
WAITING_WRITES = "SELECT count(*) FROM pg_locks WHERE NOT granted AND locktype = 'advisory'"
WAITING_LISTS = "SELECT count(*) FROM pg_locks WHERE NOT granted AND locktype = 'relation'"
THREADS = 4
"""Of each lane: two in each of two web processes."""


@contextmanager
def held(installation: Installation, *statements: str) -> Iterator[None]:
    """Another process holds locks."""
    with installation.connection() as holder, holder.transaction():
        for statement in statements:
            holder.execute(statement)
        yield


def write(installation: Installation, leaf: int, answers: list[httpx.Response], done: threading.Event) -> None:
    while not done.is_set():
        answers.append(installation.post(f"/{leaf}/checkout/true"))


@contextmanager
def writers(installation: Installation, first_leaf: int) -> Iterator[list[httpx.Response]]:
    """Clients that send a write again as soon as it is refused, which is sooner than they should."""
    answers: list[httpx.Response] = []
    done = threading.Event()
    threads = [
        threading.Thread(target=write, args=(installation, first_leaf + number, answers, done))
        for number in range(WRITERS)
    ]
    for thread in threads:
        thread.start()
    try:
        yield answers
    finally:
        done.set()
        for thread in threads:
            thread.join()


@contextmanager
def lists(installation: Installation) -> Iterator[None]:
    """Clients that ask for a list, again and again."""
    done = threading.Event()
    threads = [threading.Thread(target=_ask_for_lists, args=(installation, done)) for _ in range(WRITERS)]
    for thread in threads:
        thread.start()
    try:
        yield
    finally:
        done.set()
        for thread in threads:
            thread.join()


def _ask_for_lists(installation: Installation, done: threading.Event) -> None:
    """Ask anew after two seconds, so that in the end every web process has got enough requests."""
    headers = {"Authorization": f"Bearer {installation.key}"}
    while not done.is_set():
        with suppress(httpx.TimeoutException):
            httpx.get(f"http://127.0.0.1:{installation.port}/v1/queues", headers=headers, timeout=2)


def test_evaluations_are_answered_while_writes_and_pages_hold_every_other_thread(installation: Installation) -> None:
    installation.plant_tree(1, LEAVES)
    leaf = installation.branch(0, LEAVES) + 1
    assert installation.post(f"/{leaf}/checkout/true").status_code == 200
    with each_web_process(installation) as processes:
        assert processes.values("checkout", leaf) == [True, True]
        with (
            lists(installation),
            held(installation, ALL_TREES_FOR_WRITING, QUEUES_HELD),
            writers(installation, leaf + 1) as answers,
        ):
            eventually(lambda: installation.sql(WAITING_WRITES)[0][0] == THREADS, within=30)
            eventually(lambda: installation.sql(WAITING_LISTS)[0][0] == THREADS, within=30)
            for other in range(leaf + 1, leaf + 11):
                assert processes.values("checkout", leaf) == [True, True]
                assert processes.values("checkout", other) == [False, False]  # the first read needs the database
                assert installation.get(f"/{other}/checkout").json()["featureFlag"]["enabled"] is False
            assert httpx.get(f"http://127.0.0.1:{installation.port}/livez").status_code == 200
            eventually(lambda: len(answers) >= 2 * WRITERS, within=30)
    refused = answers[: 2 * WRITERS]
    assert {(answer.status_code, answer.headers["Retry-After"]) for answer in refused} == {(503, "1")}


def test_a_client_that_obeys_retry_after_succeeds_once_the_lock_is_free(installation: Installation) -> None:
    installation.plant_tree(1, LEAVES)
    leaf = installation.branch(0, LEAVES) + 1
    usual = urllib3.Retry(total=5, status_forcelist=[503], allowed_methods=None)
    with urllib3.PoolManager(retries=usual) as client, installation.connection() as holder:
        holder.execute("BEGIN")
        holder.execute(ALL_TREES_FOR_WRITING)
        release = threading.Timer(2.5, holder.execute, ["COMMIT"])
        release.start()
        headers = {"Authorization": f"Bearer {installation.key}"}
        answer = client.request("POST", f"http://127.0.0.1:{installation.port}/{leaf}/checkout/true", headers=headers)
        release.join()
    assert answer.status == 200
    assert answer.retries is not None
    assert answer.retries.history
