"""The commands that enqueue jobs and list the kinds."""

from __future__ import annotations

import json

import pytest

from conftest import Cast
from jobs.engine.models import Job
from jobs.engine.runner import run_next
from jobs.tests.operations.test_enqueueing import KIND, SCHEMA
from orgs.tests.commands import OLGA, audit_entries, run

pytestmark = pytest.mark.django_db


def test_a_job_is_enqueued_with_what_the_options_say(cast: Cast) -> None:
    ran = run(
        "enqueue_job", KIND, "--arguments", '{"upTo": 3}', "--organization", "acme", "--run-at", "2h",
        "--start-within", "1h", "--trigger", "event", "--correlation-id", "c-1", "--reason", "why",
    )  # fmt: skip
    job = Job.objects.get(kind=KIND)
    assert ran.out == f"Job {job.pk} of the kind {KIND} is PENDING in the queue default.\n"
    assert (job.arguments, job.organization_id, job.priority) == ({"upTo": 3, "step": 1}, cast.acme.pk, 10)
    assert (job.correlation_id, job.reason, job.requested_by, job.trigger) == ("c-1", "why", OLGA, "event")
    assert job.start_by is not None
    assert (job.start_by - job.run_at).total_seconds() == 3600
    assert audit_entries()[-1] == (OLGA, "job.enqueue", f"job:{job.pk}", "why", "command")


def test_a_second_job_with_a_unique_key_is_the_first_one() -> None:
    options = ("enqueue_job", KIND, "--arguments", '{"upTo": 3}', "--unique-key", "nightly")
    first = run(*options, "--json").document
    again = run(*options, "--json").document
    assert (again["jobId"], again["deduplicated"]) == (first["jobId"], True)
    assert "has this unique key already" in run(*options).out


@pytest.mark.parametrize(
    ("options", "words"),
    [
        ((KIND, "--arguments", "{upTo: 3}"), "is not JSON"),
        ((KIND, "--arguments", "[3]"), "is not a JSON object"),
        ((KIND,), "arguments.upTo: This argument is required."),
        ((KIND, "--arguments", r'{"upTo": 1, "step": "\u0000"}'), "NUL"),
        ((KIND, "--arguments", '{"upTo": 1e999}'), "infinite"),
        (("propagation",), "can be enqueued"),
        ((KIND, "--arguments", '{"upTo": 1}', "--organization", "nowhere"), "nowhere"),
        ((KIND, "--run-at", "2001-01-01"), "is in the past"),
        ((KIND, "--priority", "high"), "is not a whole number"),
        ((KIND, "--unique-key", "x" * 101), "101 characters"),
    ],
)
def test_what_a_job_cannot_have_is_refused(cast: Cast, options: tuple[str, ...], words: str) -> None:
    ran = run("enqueue_job", *options)
    assert (ran.status, words in ran.error) == (1, True), ran
    assert not Job.objects.exists()


def test_a_backslash_and_the_digits_of_nul_are_a_text_like_others() -> None:
    assert run("enqueue_job", KIND, "--arguments", r'{"upTo": 1, "step": "\\u0000"}').error.count("NUL") == 0


def test_the_kinds_are_listed_with_the_schema_of_their_arguments() -> None:
    listed = {kind["name"]: kind for kind in run("job_kinds", "--json").document["results"]}
    assert listed[KIND]["arguments"] == SCHEMA
    assert "propagation" not in listed
    (line,) = [line for line in run("job_kinds").lines if line.startswith(KIND)]
    assert "upTo*, step" in line
    one = run("job_kinds", KIND)
    assert json.loads(one.out.partition("arguments:\n")[2]) == SCHEMA
    assert run("job_kinds", "mist").status == 1


def test_the_result_of_a_job_is_shown() -> None:
    job = run("enqueue_job", KIND, "--arguments", '{"upTo": 2}', "--json").document["jobId"]
    run_next("default")
    assert '"counted": [' in run("job", job).out
    assert run("job", job, "--json").document["job"]["result"] == {"counted": [0, 1]}
