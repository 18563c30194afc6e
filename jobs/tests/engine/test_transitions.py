"""A job goes from one status to another by a move of the table, or not at all."""

from __future__ import annotations

import ast
import itertools
from collections.abc import Callable
from pathlib import Path
from uuid import UUID, uuid4

import pytest
from django.conf import settings
from django.db import IntegrityError, connection, transaction

from jobs.engine import claiming, lifecycle
from jobs.engine.models import Job
from jobs.engine.states import ENDINGS, OPEN, TRANSITIONS, Guard, Status, allowed
from jobs.errors import LeaseLost, NotCancellable, NotRetryable, TransitionRefused
from jobs.operations import job_operations
from jobs.tests.engine_steps import KIND, LONG_AGO, QUEUE, by_hand

PAIRS = [(source, target) for source, target in itertools.product(Status.values, repeat=2) if source != target]
REFUSALS = (LeaseLost, TransitionRefused, NotCancellable, NotRetryable)
STEPS: dict[str, Callable[[int, UUID], object]] = {
    "claim": lambda job_id, lease: claiming.claim(queue=QUEUE, worker="worker"),
    "renew": lambda job_id, lease: lifecycle.renew(job_id=job_id, lease=lease),
    "record_progress": lambda job_id, lease: lifecycle.record_progress(job_id=job_id, lease=lease, processed=1),
    "complete": lambda job_id, lease: lifecycle.complete(job_id=job_id, lease=lease),
    "fail": lambda job_id, lease: lifecycle.fail(job_id=job_id, lease=lease, error="no"),
    "fail for good": lambda job_id, lease: lifecycle.fail(job_id=job_id, lease=lease, error="no", permanent=True),
    "release": lambda job_id, lease: lifecycle.release(job_id=job_id, lease=lease),
    "stop": lambda job_id, lease: lifecycle.stop(job_id=job_id, lease=lease),
    "rescue": lambda job_id, lease: lifecycle.rescue(job_id=job_id),
    "cancel": lambda job_id, lease: job_operations.cancel(job_id=job_id, by="bob"),
    "retry": lambda job_id, lease: job_operations.retry(job_id=job_id, by="bob"),
}
ENDS = {
    ("claim", "PENDING"): "IN_PROGRESS",
    ("renew", "IN_PROGRESS"): "IN_PROGRESS",
    ("record_progress", "IN_PROGRESS"): "IN_PROGRESS",
    ("complete", "IN_PROGRESS"): "COMPLETED",
    ("fail", "IN_PROGRESS"): "RETRYING",
    ("fail for good", "IN_PROGRESS"): "FAILED",
    ("release", "IN_PROGRESS"): "PENDING",
    ("stop", "IN_PROGRESS"): "CANCELLED",
    ("rescue", "IN_PROGRESS"): "RETRYING",
    ("cancel", "PENDING"): "CANCELLED",
    ("cancel", "IN_PROGRESS"): "IN_PROGRESS",  # it is asked, and stops at its next chunk
    ("retry", "FAILED"): "RETRYING",
    ("retry", "RETRYING"): "RETRYING",  # without the attempt that should follow it: a person may add it
}
"""Every step that a job alone in its chain can take; whatever is not here is refused."""


@pytest.mark.django_db
@pytest.mark.parametrize("status", Status.values)
@pytest.mark.parametrize("step", STEPS)
def test_each_step_is_taken_from_its_own_statuses_only(step: str, status: str) -> None:
    job = by_hand(status)
    taken = True
    try:
        with transaction.atomic():
            taken = STEPS[step](job.pk, job.lease_token or uuid4()) is not None or step != "claim"
    except REFUSALS:
        taken = False
    job.refresh_from_db()
    assert taken == ((step, status) in ENDS)
    assert job.status == ENDS.get((step, status), status)
    assert job.status == status or (status, job.status) in allowed()


@pytest.mark.django_db
@pytest.mark.parametrize(("step", "status"), [pair for pair in ENDS if pair[0] != "renew"])
def test_each_step_but_a_renewal_of_the_lease_says_when_it_was_taken(step: str, status: str) -> None:
    job = by_hand(status, updated_at=LONG_AGO)
    STEPS[step](job.pk, job.lease_token or uuid4())
    job.refresh_from_db()
    assert job.updated_at > LONG_AGO


@pytest.mark.django_db
def test_earlier_attempts_say_when_they_settled() -> None:
    first = by_hand("RETRYING", retry_count=1, updated_at=LONG_AGO)
    again = by_hand("IN_PROGRESS", parent_job=first, retry_count=1)
    lifecycle.complete(job_id=again.pk, lease=again.lease_token or uuid4())
    first.refresh_from_db()
    assert (first.status, first.ended_as) == ("COMPLETED", "FAILED")
    assert first.updated_at > LONG_AGO


@pytest.mark.django_db
@pytest.mark.parametrize(("source", "target"), PAIRS)
def test_the_database_takes_the_moves_of_the_table_and_no_others(source: str, target: str) -> None:
    job = by_hand(source)
    token = uuid4() if target == Status.IN_PROGRESS else None
    possible = True
    try:
        with transaction.atomic(), connection.cursor() as cursor:
            cursor.execute(
                "UPDATE jobs_job SET status = %s, lease_token = %s, lease_expires_at = now() WHERE id = %s",
                [target, token, job.pk],
            )
    except IntegrityError as error:
        assert f"cannot go from {source} to {target}" in str(error)
        possible = False
    assert possible == ((source, target) in allowed())


def test_the_table_leaves_no_way_out_of_what_was_cancelled() -> None:
    assert {move.source for move in TRANSITIONS.values()} == set(Status) - {Status.CANCELLED}


@pytest.mark.django_db
@pytest.mark.parametrize(("source", "target"), sorted(allowed()))
def test_how_an_attempt_ended_is_written_once_and_never_again(source: str, target: str) -> None:
    job = by_hand(source)
    job.refresh_from_db()
    before = job.ended_as
    assert before == ("" if source in OPEN else ENDINGS[Status(source)])
    token = uuid4() if target == Status.IN_PROGRESS else None
    with connection.cursor() as cursor:
        cursor.execute(
            "UPDATE jobs_job SET status = %s, ended_as = 'CANCELLED', lease_token = %s, lease_expires_at = now() "
            "WHERE id = %s",
            [target, token, job.pk],
        )
    job.refresh_from_db()
    assert job.ended_as == (before or ("" if target in OPEN else ENDINGS[Status(target)]))


@pytest.mark.django_db
def test_a_row_that_somebody_inserts_by_sql_is_a_job_that_waits() -> None:
    with connection.cursor() as cursor:
        cursor.execute("INSERT INTO jobs_job (kind, queue) VALUES (%s, %s) RETURNING id", [KIND, QUEUE])
        (job_id,) = cursor.fetchone()
    made, inserted = Job(kind=KIND, queue=QUEUE), Job.objects.get(pk=job_id)
    for field in Job._meta.concrete_fields:
        if field.attname not in {"id", "created_at", "updated_at", "run_at"}:
            assert getattr(inserted, field.attname) == getattr(made, field.attname), field.name
    claimed = claiming.claim(queue=QUEUE, worker="worker")
    assert claimed is not None
    assert claimed.pk == job_id


def test_whoever_moves_a_running_job_needs_its_lease_or_its_expiry() -> None:
    unguarded = [
        name for name, move in TRANSITIONS.items() if move.source == Status.IN_PROGRESS and move.guard is Guard.NONE
    ]
    assert unguarded == []


@pytest.mark.django_db
@pytest.mark.parametrize(
    ("status", "token"), [("IN_PROGRESS", None), ("PENDING", uuid4()), ("COMPLETED", uuid4()), ("ELSEWHERE", None)]
)
def test_the_database_refuses_a_status_that_does_not_fit_the_lease(status: str, token: UUID | None) -> None:
    with pytest.raises(IntegrityError):
        Job.objects.create(kind="k", queue=QUEUE, status=status, lease_token=token)


def test_only_the_transitions_and_the_claim_assign_a_status() -> None:
    """Neither as an attribute nor as a column of an update, nor in SQL."""
    guilty = [
        f"{path.relative_to(settings.BASE_DIR)}:{line}"
        for path in _sources()
        if path.name not in ("transitions.py", "claiming.py")
        for line in _assignments_of_status(path.read_text())
    ]
    assert guilty == []


def test_the_scan_finds_what_it_is_to_find() -> None:
    written = "job.status = 1\njobs.update(x=1, status=2)\nQ = 'update jobs_job\\n set a = 1, status = 3'\n"
    assert _assignments_of_status(written) == [1, 2, 3]
    assert _assignments_of_status("jobs.filter(status=2)\nQ = \"SELECT FROM jobs_job WHERE status = 'x'\"") == []


def _sources() -> list[Path]:
    apps = [Path(settings.BASE_DIR) / app for app in ("jobs", "flags", "flagsite")]  # orgs knows nothing of jobs
    found = [path for app in apps for path in app.rglob("*.py")]
    return [path for path in found if not {"tests", "migrations"} & set(path.parts)]


def _assignments_of_status(source: str) -> list[int]:
    lines = []
    for node in ast.walk(ast.parse(source)):
        targets = node.targets if isinstance(node, ast.Assign) else []
        named = isinstance(node, ast.Call) and isinstance(node.func, ast.Attribute) and node.func.attr == "update"
        if (
            any(isinstance(target, ast.Attribute) and target.attr == "status" and _is_job(target) for target in targets)
            or (named and isinstance(node, ast.Call) and any(word.arg == "status" for word in node.keywords))
            or (isinstance(node, ast.Constant) and isinstance(node.value, str) and _sets_status(node.value))
        ):
            lines.append(node.lineno)
    return sorted(lines)


def _is_job(target: ast.Attribute) -> bool:
    """Requests and answers have statuses too; those that are assigned are not called job."""
    return not isinstance(target.value, ast.Name) or target.value.id not in {"self", "response", "request"}


def _sets_status(text: str) -> bool:
    upper = text.upper()
    return "UPDATE JOBS_JOB" in upper and "STATUS =" in upper.partition(" SET ")[2].partition("WHERE")[0]
