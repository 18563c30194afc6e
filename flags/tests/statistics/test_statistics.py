"""The ten statistics: their figures, the batch that computes them side by side, and the doors to both."""

from __future__ import annotations

import json
from collections.abc import Iterator
from dataclasses import replace
from datetime import timedelta
from importlib import import_module
from typing import Any

import pytest
from django.apps import apps
from django.utils import timezone
from django_celery_beat.models import PeriodicTask

from conftest import Cast
from flags.definitions.models import Flag
from flags.insights.models import EnvironmentUseDay, FlagUseDay
from flags.states.set_flag import set_flag
from flags.statistics import computation, figures
from flags.statistics.models import Statistic
from flags.statistics.selectors import all_statistics
from jobs.batches import operations
from jobs.batches.models import Batch
from jobs.engine import runner
from jobs.engine.models import Job
from jobs.engine.states import Status
from jobs.operations.enqueue import enqueue
from orgs.access import access_keys
from orgs.access.models import Role
from orgs.tests.api import Api
from orgs.tests.commands import run

pytestmark = pytest.mark.django_db
TEN = {
    "adoption", "evaluations", "environments", "stale-flags", "overrides", "changes", "propagations", "failures",
    "schedules", "keys",
}  # fmt: skip


def run_all(*queues: str) -> None:
    for queue in queues or ("default", "propagation"):
        while runner.run_next(queue) is not None:
            pass


def points(name: str) -> dict[str, Any]:
    """Compute a statistic; returns the value and the details of each point by its label."""
    return {point["label"]: (point["value"], point["details"]) for point in figures.STATISTICS[name].compute()}


def set_(organization: Any, enabled: bool, flag: str = "checkout", by: str = "user:olga") -> None:
    set_flag(organization_id=organization.pk, flag_key=flag, enabled=enabled, requested_by=by)


def test_there_are_ten() -> None:
    assert set(figures.STATISTICS) == TEN


def test_adoption_counts_the_organizations_with_each_flag_on(cast: Cast) -> None:
    set_(cast.acme, True)
    set_(cast.oslo, True, "search")
    run_all()
    found = points("adoption")
    assert (found["checkout"][0], found["search"][0]) == (6, 1)
    assert found["checkout"][1] == {"off": 2, "neverSet": 2}


def test_evaluations_are_added_up_by_day(cast: Cast) -> None:
    today = timezone.now().date()
    rows = [(0, cast.oslo.pk, 3), (0, cast.rome.pk, 4), (1, cast.oslo.pk, 5), (91, cast.oslo.pk, 6)]
    FlagUseDay.objects.bulk_create(
        FlagUseDay(day=today - timedelta(days=age), organization_id=place, flag_id=0, evaluations=count)
        for age, place, count in rows
    )
    assert points("evaluations") == {str(today - timedelta(days=1)): (5, {}), str(today): (7, {})}


def test_environments_tell_their_evaluations_and_how_many_flags_they_force() -> None:
    Flag.objects.create(key="a", environments={"staging": True, "production": False})
    Flag.objects.create(key="b", environments={"staging": True})
    Flag.objects.create(key="c", environments={"old": True}, archived=True)
    today = timezone.now().date()
    for day, name, evaluations in (
        (today, "staging", 2),
        (today, "", 7),
        (today, "*", 1),
        (today - timedelta(days=91), "old", 9),
    ):
        EnvironmentUseDay.objects.create(day=day, environment=name, evaluations=evaluations)
    EnvironmentUseDay.objects.create(day=today - timedelta(days=2), environment="staging", evaluations=3)
    assert points("environments") == {
        "no environment": (7, {"flagsOn": 0, "flagsOff": 0}),
        "staging": (5, {"flagsOn": 2, "flagsOff": 0}),
        "other environments": (1, {"flagsOn": 0, "flagsOff": 0}),
        "production": (0, {"flagsOn": 0, "flagsOff": 1}),
    }


def test_stale_flags_are_counted_by_cause() -> None:
    Flag.objects.create(key="a", expires_on="2020-01-01")
    Flag.objects.create(key="b")
    assert points("stale-flags") == {"unused": (0, {"flags": []}), "settled": (0, {"flags": []}),
                                     "expired": (1, {"flags": ["a"]})}  # fmt: skip


def test_own_values_are_counted_by_level_and_those_that_a_later_change_replaced_are_not(cast: Cast) -> None:
    set_(cast.rome, False)
    set_(cast.south, True)
    set_(cast.oslo, True)
    set_(cast.acme, True, "search")
    run_all()
    assert points("overrides") == {
        "level 0": (1, {"flags": 1, "organizations": 1}), "level 1": (1, {"flags": 1, "organizations": 1}),
        "level 2": (1, {"flags": 1, "organizations": 1}),
    }  # fmt: skip


def test_changes_are_counted_by_flag_and_actor(cast: Cast) -> None:
    for enabled in (True, False, True):
        set_(cast.oslo, enabled)
    set_(cast.oslo, True, by="key:a")
    set_(cast.oslo, True, "search", by="key:a")
    found = points("changes")
    assert list(found) == ["checkout", "search"]
    assert found["checkout"] == (4, {"actors": {"user:olga": 3, "key:a": 1}})


def test_propagations_have_a_median_for_each_size(cast: Cast) -> None:
    end = timezone.now()
    for total, seconds in ((3, 1), (10, 2), (11, 4), (200_000, 100)):
        Job.objects.create(
            kind="propagation", queue="propagation", status=Status.COMPLETED, ended_as=Status.COMPLETED, total=total,
            started_at=end - timedelta(seconds=seconds), completed_at=end,
        )  # fmt: skip
    found = points("propagations")
    assert found["up to 10"] == (1.5, {"jobs": 2, "percentile95": 1.95})
    assert (found["11 to 100"][0], found["more than 100,000"][0]) == (4.0, 100.0)


def test_failures_are_counted_by_kind(cast: Cast) -> None:
    enqueue(kind="recalculation", arguments={"featureFlagName": "mist"})
    enqueue(kind="recalculation")
    run_all()
    assert points("failures")["recalculation"] == (1, {"attempts": 2, "forGood": 1})


def test_schedules_have_a_count_for_each_status() -> None:
    assert [value for value, _ in points("schedules").values()] == [0, 0, 0, 0]


def test_keys_are_counted_by_their_last_use(reader_key: str) -> None:
    Api(reader_key).get("/v1/feature-flags")
    access_keys.create(name="unused")
    found = points("keys")
    assert found["never"][0] >= 1
    assert sum(value for value, _ in found.values()) >= 2


def test_a_batch_computes_all_of_them_and_then_the_caches_are_read_again() -> None:
    started = computation.start(by="user:olga")
    assert computation.start(by="user:bob").is_deduplicated
    run_all("default")
    batch = Batch.objects.get(pk=started.batch.pk)
    assert (batch.outcome, batch.succeeded, batch.requested_by) == ("SUCCEEDED", 10, "user:olga")
    assert {one.figures.name for one in all_statistics() if one.latest} == TEN
    job = Job.objects.get(pk=batch.callback_job_id)
    assert (job.kind, job.status) == ("cache-invalidation", Status.COMPLETED)
    assert job.result == {"done": [{"all": True}], "failed": [], "complete": True}


@pytest.fixture
def failing(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """Let one statistic fail."""

    def fail() -> figures.Points:
        raise ValueError("no figures today")

    real = figures.STATISTICS["changes"]
    monkeypatch.setitem(figures.STATISTICS, "changes", replace(real, compute=fail))
    yield
    monkeypatch.setitem(figures.STATISTICS, "changes", real)


def run_to_the_end() -> None:
    """Run all jobs, and their retries without a wait."""
    for _ in range(8):
        run_all("default")
        Job.objects.filter(status=Status.PENDING).update(run_at="2000-01-01T00:00:00Z")


def test_one_that_fails_leaves_nine_fresh_and_is_retried_alone(
    failing: None, monkeypatch: pytest.MonkeyPatch, request: pytest.FixtureRequest
) -> None:
    Statistic.objects.create(name="changes", points=[], computed_at="2020-01-01T00:00:00Z", seconds=1)
    batch = computation.start().batch
    run_to_the_end()
    batch.refresh_from_db()
    assert (batch.outcome, batch.succeeded, batch.failed) == ("PARTIAL", 9, 1)
    assert Statistic.objects.filter(computed_at__year=2020).get().name == "changes"
    before = dict(Statistic.objects.values_list("name", "job_id"))
    monkeypatch.setitem(
        figures.STATISTICS, "changes", replace(figures.STATISTICS["changes"], compute=lambda: [figures.point("a", 1)])
    )
    operations.retry_failed_members(batch.pk, by="user:olga")
    run_to_the_end()
    batch.refresh_from_db()
    assert (batch.outcome, batch.generation) == ("SUCCEEDED", 2)
    after = dict(Statistic.objects.values_list("name", "job_id"))
    assert {name for name in after if after[name] != before[name]} == {"changes"}


def test_a_partial_invalidation_names_what_failed(cast: Cast) -> None:
    job = enqueue(kind="cache-invalidation", arguments={"organizationIds": [cast.oslo.pk, 10**9]}).job
    lost = enqueue(kind="cache-invalidation", arguments={"featureFlags": ["mist"]}).job
    run_all("default")
    job.refresh_from_db()
    lost.refresh_from_db()
    assert job.result is not None
    assert (job.status, job.result["complete"], len(job.result["done"]), len(job.result["failed"])) == (
        Status.COMPLETED, False, 1, 1,
    )  # fmt: skip
    assert (lost.status, lost.error_message) == (Status.FAILED, "Nothing could be invalidated: There is no such flag.")


def test_the_kind_statistics_starts_the_batch_as_beat_does_each_night() -> None:
    import_module("flags.migrations.0018_statistics").create_task(apps, None)
    task = PeriodicTask.objects.get(name="compute the statistics")
    assert (task.task, json.loads(task.kwargs)) == ("jobs.enqueue", {"kind": "statistics"})
    job = enqueue(kind="statistics", trigger=Job.Trigger.SCHEDULE).job
    run_all("default")
    job.refresh_from_db()
    batch = Batch.objects.get()
    assert job.result == {"batchId": batch.pk, "deduplicated": False}
    assert (batch.trigger, batch.outcome) == ("schedule", "SUCCEEDED")


def test_readers_read_and_operators_compute(reader_key: str, admin_key: str) -> None:
    assert Api(reader_key).get("/v1/statistics").json()["batch"] is None
    assert Api(reader_key).post("/v1/statistics").status_code == 403
    started = Api(admin_key).post("/v1/statistics", {"reason": "for the board"})
    assert (started.status_code, started.json()["ended"], started.json()["total"]) == (202, 0, 10)
    assert started.headers["Location"] == started.json()["batchUrl"]
    again = Api(admin_key).post("/v1/statistics")
    assert (again.status_code, again.json()["deduplicated"], again.json()["batchId"]) == (
        200, True, started.json()["batchId"],
    )  # fmt: skip
    run_all("default")
    answer = Api(reader_key).get("/v1/statistics").json()
    assert {one["name"] for one in answer["results"]} == TEN
    assert (answer["batch"]["outcome"], answer["batch"]["ended"]) == ("SUCCEEDED", 10)
    one = Api(reader_key).get("/v1/statistics/keys").json()
    assert one["computedAt"].endswith("Z")
    assert {point["label"] for point in one["points"]} >= {"never", "last day"}
    missing = Api(reader_key).get("/v1/statistics/mist")
    assert (missing.status_code, missing.json()["type"]) == (404, "/problems/statistic-not-found")


def test_a_bound_key_learns_nothing_about_all_organizations(cast: Cast) -> None:
    _, secret = access_keys.create(name="bound", role=Role.OPERATOR, organization=cast.acme)
    api = Api(secret)
    assert {api.get("/v1/statistics").status_code, api.get("/v1/statistics/keys").status_code} == {403}
    assert api.post("/v1/statistics").status_code == 403


def test_a_command_reads_and_computes() -> None:
    assert "never computed" in run("statistics").out
    started = run("statistics", "--compute", "--json").document
    assert started["total"] == 10
    run_all("default")
    assert {one["name"] for one in run("statistics", "--json").document["results"]} == TEN
    assert "Access keys by last use, computed" in run("statistics", "keys").out
