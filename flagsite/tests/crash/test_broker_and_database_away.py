"""The broker and PostgreSQL going away, freezing, forgetting and coming back."""

from __future__ import annotations

import os
import signal
import time

import pytest
import redis

from flagsite.development import servers
from flagsite.tests.crash.installation import Installation, eventually

pytestmark = [pytest.mark.slow, pytest.mark.timeout(300)]


def test_a_change_that_is_asked_for_while_the_broker_is_dead_is_accepted_and_carried_out_later(
    installation: Installation,
) -> None:
    root = installation.plant_tree(4, 20)
    installation.valkey.kill()
    job_id = installation.set_flag(root, "checkout", True)
    assert installation.status(job_id) == "PENDING"
    installation.valkey.start()
    installation.start_worker()
    eventually(lambda: installation.chain_ended(job_id), within=40)
    assert installation.values("checkout") == {(True, root)}


def test_a_frozen_broker_does_not_hang_requests(installation: Installation) -> None:
    root = installation.plant_tree(4, 20)
    pid = installation.valkey.pid()
    assert pid
    os.kill(pid, signal.SIGSTOP)
    try:
        for number in range(6):
            installation.set_flag(root, f"flag-{number}", True)  # fails when it takes as long as an HTTP client waits
    finally:
        os.kill(pid, signal.SIGCONT)
    installation.start_worker()
    eventually(installation.all_ended, within=60)


def test_a_job_survives_the_death_of_the_broker_in_its_middle(installation: Installation) -> None:
    root = installation.plant_tree(10, 50)
    installation.slow_down(0.03)
    installation.start_worker()
    job_id = installation.set_flag(root, "checkout", True)
    installation.wait_until_written(job_id, 50)
    installation.valkey.kill()
    later = installation.set_flag(root, "checkout", False)
    time.sleep(1)
    installation.valkey.start()
    installation.speed_up()
    eventually(lambda: installation.chain_ended(job_id) and installation.chain_ended(later), within=90)
    assert installation.values("checkout") == {(False, root)}


@pytest.mark.timeout(240)
def test_two_hundred_jobs_survive_a_broker_that_forgets_everything(installation: Installation) -> None:
    leaves = 10
    root = installation.plant_tree(4, leaves)
    for number in range(200):
        place = root if number % 5 == 4 else installation.branch(number % 4, leaves)
        installation.set_flag(place, f"flag-{number % 7}", number % 2 == 0)
    redis.Redis.from_url(servers.redis_url(installation.folder)).flushall()
    installation.start_worker()
    eventually(installation.all_ended, within=120)
    assert installation.sql("SELECT count(*) FROM jobs_job WHERE status = 'COMPLETED'") == [(200,)]
    wrong = installation.sql(
        """
        SELECT state.organization_id, state.flag_id FROM flags_flagstate state
          JOIN orgs_organization organization ON organization.id = state.organization_id
         WHERE state.change_number <> (
            SELECT max(change.number) FROM flags_change change
              JOIN orgs_organization source ON source.id = change.organization_id
             WHERE change.flag_id = state.flag_id AND organization.lft BETWEEN source.lft AND source.rght)
        """
    )
    assert wrong == []


@pytest.mark.parametrize("how", ["restarted", "killed"])
def test_a_job_survives_postgresql_going_down_in_its_middle(installation: Installation, how: str) -> None:
    root = installation.plant_tree(10, 50)
    installation.slow_down(0.05)
    installation.start_worker()
    job_id = installation.set_flag(root, "checkout", True)
    installation.wait_until_written(job_id, 50)
    if how == "killed":
        installation.postgres.kill()
    else:
        installation.postgres.stop()
    answer = installation.get(f"/{root}/checkout")
    assert answer.status_code == 503
    assert answer.headers["content-type"] == "application/problem+json"
    assert answer.headers["retry-after"].isdigit()
    installation.postgres.start()
    installation.speed_up()
    eventually(lambda: installation.chain_ended(job_id), within=90)
    assert installation.values("checkout") == {(True, root)}
    assert installation.get(f"/{root}/checkout").status_code == 200


def test_each_message_delivered_twenty_times_runs_each_job_once(installation: Installation) -> None:
    leaves = 20
    root = installation.plant_tree(6, leaves)
    broker = redis.Redis.from_url(servers.redis_url(installation.folder))
    broker.flushall()  # what earlier tests have left
    for number in range(6):
        installation.set_flag(installation.branch(number, leaves), "checkout", True)
    installation.set_flag(root, "checkout", False)
    eventually(lambda: broker.llen("flagsite:propagation") > 0, within=10)
    messages = broker.lrange("flagsite:propagation", 0, -1)
    for _ in range(19):
        broker.lpush("flagsite:propagation", *messages)
    installation.start_worker()
    eventually(installation.all_ended, within=60)
    eventually(lambda: broker.llen("flagsite:propagation") == 0, within=30)
    assert installation.sql("SELECT DISTINCT claims, status FROM jobs_job") == [(1, "COMPLETED")]
    assert installation.values("checkout") == {(False, root)}
