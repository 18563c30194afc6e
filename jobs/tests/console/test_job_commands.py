"""The commands about jobs: what they list and show, what they do, and that the audit log has each operation once."""

from __future__ import annotations

import re
from dataclasses import replace
from typing import Any

import pytest

from conftest import Cast
from jobs.engine import claiming, lifecycle
from jobs.engine.models import Job, JobFailure
from jobs.operations import job_operations
from jobs.tests.engine_steps import KIND, LONG_AGO, QUEUE, changed, claimed, lease_of, statuses, waiting
from orgs.tests.commands import OLGA, audit_entries, run

pytestmark = pytest.mark.django_db


def failed(**columns: Any) -> Job:
    """A job whose chain has come to a bad end."""
    job = claimed(**columns)
    lifecycle.fail(job_id=job.pk, lease=lease_of(job), error="the disk is full", permanent=True)
    job.refresh_from_db()
    return job


def listed(*arguments: object) -> list[int]:
    return [job["id"] for job in run("jobs", "--json", *arguments).document["results"]]


# --- jobs -----------------------------------------------------------------------------------------------------------


def test_jobs_are_listed_newest_first_up_to_a_limit() -> None:
    jobs = [waiting().pk for _ in range(3)]
    assert listed() == jobs[::-1]
    ran = run("jobs", "--limit", 2)
    assert [line.split()[0] for line in ran.lines[1:3]] == [str(jobs[2]), str(jobs[1])]
    assert ran.lines[3] == "There are more than 2 jobs. To see more, use --limit."
    assert run("jobs", "--limit", 2, "--json").document["more"] is True
    assert run("jobs", "--limit", 3, "--json").document["more"] is False


def test_filters_hold_together(cast: Cast) -> None:
    on_oslo = waiting(organization=cast.oslo, arguments={"featureFlagName": "checkout", "enabled": True})
    on_acme = changed(failed(), organization=cast.acme)
    on_rival = waiting(organization=cast.rival, created_at=LONG_AGO)
    assert listed("--organization", "acme") == [on_acme.pk, on_oslo.pk]
    assert listed("--organization", cast.north.pk) == [on_oslo.pk]
    assert listed("--status", "failed") == [on_acme.pk]
    assert listed("--flag", "checkout") == [on_oslo.pk]
    assert listed("--since", "1h") == [on_acme.pk, on_oslo.pk]
    assert listed("--since", "1999-12-31") == [on_rival.pk, on_acme.pk, on_oslo.pk]
    assert listed("--kind", KIND, "--queue", QUEUE, "--status", "PENDING", "--organization", "rival") == [on_rival.pk]
    assert listed("--queue", "propagation") == []
    assert run("jobs", "--queue", "propagation").out == "There are no such jobs.\n"


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (["--organization", "nowhere"], "There is no organization with the key or id 'nowhere'."),
        (["--queue", "mist"], "There is no queue 'mist'. The queues are: "),
        (["--kind", "magic"], "There is no kind of job 'magic'. The kinds are: "),
    ],
)
def test_a_filter_that_nothing_can_match_is_refused(arguments: list[str], words: str) -> None:
    for command in ("jobs", "retry_failed"):
        if command == "jobs" or arguments[0] != "--kind":
            ran = run(command, *arguments)
            assert ran.error.startswith(words)
            assert (ran.out, ran.status) == ("", 1)


def test_a_list_costs_the_same_queries_however_long(cast: Cast, django_assert_max_num_queries: Any) -> None:
    for _ in range(3):
        for organization in cast.of_acme:
            waiting(organization=organization)
    with django_assert_max_num_queries(5):
        assert len(listed("--organization", "acme")) == 18


def test_the_table_fits_a_narrow_terminal_with_all_that_tells_jobs_apart(
    cast: Cast, monkeypatch: pytest.MonkeyPatch
) -> None:
    waiting(organization=cast.oslo, arguments={"featureFlagName": "new-checkout-" + "x" * 60, "enabled": True})
    wide = run("jobs").lines
    assert wide[0].split()[:8] == ["Job", "Status", "Done", "Organization", "Work", "Attempt", "Queue", "Created"]
    monkeypatch.setenv("FORCE_COLOR", "1")
    monkeypatch.setenv("COLUMNS", "80")
    narrow = [re.sub(r"\x1b\[[0-9;]*m", "", line) for line in run("jobs").lines]
    assert all(len(line) <= 80 for line in narrow), narrow
    assert "PENDING" in "".join(narrow)
    assert "oslo" in "".join(narrow)
    assert "…" not in "".join(narrow)


# --- job ------------------------------------------------------------------------------------------------------------


def test_a_job_is_shown_with_its_chain_and_the_organizations_that_failed(cast: Cast) -> None:
    first = failed(organization=cast.acme)
    again = job_operations.retry(job_id=first.pk, by="bob", reason="disk emptied")
    taken = claiming.claim(queue=QUEUE, worker="w")
    assert taken == again
    changed(again, processed=5, failed=1, total=6)
    JobFailure.objects.create(job=again, organization=cast.oslo, error="value out of range")
    lifecycle.complete(job_id=again.pk, lease=lease_of(taken), message="1 of 6 organizations failed")
    ran = run("job", first.pk)
    for words in ("acme", "the disk is full", "disk emptied", "bob", "value out of range", "oslo", "COMPLETED"):
        assert words in ran.out, words
    document = run("job", again.pk, "--json").document
    assert document["job"]["id"] == again.pk
    assert [(one["id"], one["status"], one["trigger"]) for one in document["attempts"]] == [
        (first.pk, "FAILED", "request"), (again.pk, "COMPLETED", "manual"),
    ]  # fmt: skip
    assert [(one["organizationKey"], one["error"]) for one in document["failures"]] == [("oslo", "value out of range")]
    assert (document["moreFailures"], document["waitsFor"]) == (False, None)


def test_a_job_names_only_the_counts_that_are_not_zero() -> None:
    job = claimed()
    changed(job, total=4, processed=4, superseded=1)
    lifecycle.complete(job_id=job.pk, lease=lease_of(job))
    assert "4: 1 had a newer value" in run("job", job.pk).out
    changed(job, superseded=0)
    assert "had a newer value" not in run("job", job.pk).out


def test_a_job_that_waits_says_for_what() -> None:
    job = waiting()
    nobody = f"No worker is alive for the queue {QUEUE}; the job waits until one starts."
    assert run("job", job.pk, "--json").document["waitsFor"] == nobody
    assert nobody in run("job", job.pk).lines


@pytest.mark.parametrize("command", [("job",), ("retry_job",), ("cancel_job",)])
def test_a_job_that_is_not_there_is_said_so(command: tuple[str], capsys: pytest.CaptureFixture[str]) -> None:
    ran = run(*command, 4711)
    assert "There is no job 4711." in ran.out + ran.error
    assert ran.status == 1
    assert ran.error or capsys.readouterr().err == "0 done, 1 refused.\n"


# --- retry_job, cancel_job ------------------------------------------------------------------------------------------


def test_jobs_are_retried_for_a_reason_and_a_refusal_does_not_stop_the_others(
    capsys: pytest.CaptureFixture[str],
) -> None:
    bad, good, open_one = failed(), claimed(), None
    lifecycle.complete(job_id=good.pk, lease=lease_of(good))
    worse, open_one = failed(), waiting()
    ran = run("retry_job", bad.pk, good.pk, open_one.pk, worse.pk, bad.pk, "--reason", "disk emptied", "--json")
    assert ran.status == 1
    assert (ran.document["done"], ran.document["refused"]) == (2, 2)
    assert capsys.readouterr().err == "2 done, 2 refused.\n"
    results = {one["jobId"]: one for one in ran.document["results"]}
    assert "nothing to retry" in results[good.pk]["refused"]
    assert "PENDING already" in results[open_one.pk]["refused"]
    again = Job.objects.get(pk=results[bad.pk]["retryJobId"])
    assert (again.requested_by, again.reason, again.parent_job_id) == (OLGA, "disk emptied", bad.pk)
    assert statuses(worse) == ["RETRYING", "PENDING"]
    assert audit_entries() == [
        (OLGA, "job.retry", f"job:{bad.pk}", "disk emptied", "command"),
        (OLGA, "job.retry", f"job:{worse.pk}", "disk emptied", "command"),
    ]


def test_one_retry_is_told_in_a_line() -> None:
    job = failed()
    ran = run("retry_job", job.pk)
    again = Job.objects.of_chain(job.pk).last()
    assert again is not None
    assert ran.lines[1].split() == f"{job.pk} retried by job {again.pk}, PENDING".split()
    assert ran.status == 0


def test_what_waits_is_cancelled_at_once_what_runs_is_asked_to_stop() -> None:
    running, pending = claimed(), waiting()
    ran = run("cancel_job", running.pk, pending.pk, "--reason", "wrong flag")
    assert ran.status == 0
    assert "IN_PROGRESS (cancelling)" in ran.out
    assert "CANCELLED" in ran.out
    assert statuses(pending) == ["CANCELLED"]
    assert [entry[1:4] for entry in audit_entries()] == [
        ("job.cancel", f"job:{running.pk}", "wrong flag"), ("job.cancel", f"job:{pending.pk}", "wrong flag"),
    ]  # fmt: skip


# --- retry_failed ---------------------------------------------------------------------------------------------------


def test_every_failed_chain_gets_a_new_round_and_others_are_left_alone(cast: Cast) -> None:
    bad = failed()
    partly = claimed(processed=5, failed=2)
    lifecycle.complete(job_id=partly.pk, lease=lease_of(partly))
    well = claimed(processed=5)
    lifecycle.complete(job_id=well.pk, lease=lease_of(well))
    cancelled = job_operations.cancel(job_id=waiting().pk, by="bob")
    under_way = failed()
    job_operations.retry(job_id=under_way.pk, by="bob")
    before = len(audit_entries())
    ran = run("retry_failed", "--reason", "disk emptied", "--json")
    assert (ran.document, ran.status) == ({"dryRun": False, "retried": 2, "skipped": 0, "skippedBecause": {}}, 0)
    assert statuses(bad) == ["RETRYING", "PENDING"]
    assert statuses(partly) == ["RETRYING", "PENDING"]
    assert [statuses(one) for one in (well, cancelled, under_way)] == [
        ["COMPLETED"], ["CANCELLED"], ["RETRYING", "PENDING"],
    ]  # fmt: skip
    assert [entry[:4] for entry in audit_entries()[before:]] == [
        (OLGA, "job.retry", f"job:{one.pk}", "disk emptied") for one in (bad, partly)
    ]
    assert run("retry_failed").out == "No failed job matches.\n"


def test_only_the_latest_attempt_of_a_chain_counts() -> None:
    first = failed()
    job_operations.retry(job_id=first.pk, by="bob")
    again = claiming.claim(queue=QUEUE, worker="w")
    assert again is not None
    lifecycle.fail(job_id=again.pk, lease=lease_of(again), error="no", permanent=True)
    assert run("retry_failed", "--json").document["retried"] == 1
    assert statuses(first) == ["RETRYING", "RETRYING", "PENDING"]


def test_a_dry_run_lists_them_and_changes_nothing(cast: Cast) -> None:
    jobs = [failed(organization=cast.oslo) for _ in range(3)]
    ran = run("retry_failed", "--dry-run", "--json")
    assert (ran.document["wouldRetry"], [one["id"] for one in ran.document["results"]]) == (3, [j.pk for j in jobs])
    words = run("retry_failed", "--dry-run")
    assert words.lines[-1] == "3 would be retried; nothing was changed."
    assert len(words.lines) == 1 + 3 + 1
    assert (Job.objects.count(), audit_entries()) == (3, [])


def test_filters_say_which_failed_chains(cast: Cast) -> None:
    old, oslo, rome = failed(), failed(organization=cast.oslo), failed(organization=cast.rome)
    changed(old, completed_at=LONG_AGO)

    def would(*arguments: object) -> list[int]:
        return [one["id"] for one in run("retry_failed", "--dry-run", "--json", *arguments).document["results"]]

    assert would() == [old.pk, oslo.pk, rome.pk]
    assert would("--since", "1h") == [oslo.pk, rome.pk]
    assert would("--organization", "north") == [oslo.pk]
    assert would("--queue", "propagation") == []
    assert run("retry_failed", "--organization", "south", "--json").document["retried"] == 1
    assert statuses(rome) == ["RETRYING", "PENDING"]
    assert statuses(oslo) == ["FAILED"]


def test_more_than_a_batch_is_retried_each_chain_once(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("jobs.operations.retry_failed.BATCH_SIZE", 2)
    jobs = [failed() for _ in range(5)]
    assert run("retry_failed").out == "5 retried, 0 skipped.\n"
    assert all(statuses(job) == ["RETRYING", "PENDING"] for job in jobs)


def test_a_chain_that_somebody_else_retries_meanwhile_is_skipped_with_the_reason(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    mine, theirs = failed(), failed()
    real = job_operations.retry

    def beaten(*, job_id: int, by: str, reason: str) -> Job:
        if job_id == theirs.pk and by == OLGA:
            real(job_id=job_id, by="bob")
        return real(job_id=job_id, by=by, reason=reason)

    from jobs.operations import bulk  # noqa: PLC0415 - what the operation calls is replaced

    monkeypatch.setitem(bulk.OPERATIONS, "retry", replace(bulk.OPERATIONS["retry"], function=beaten))
    ran = run("retry_failed")
    assert (ran.lines, ran.status) == (["1 retried, 1 skipped.", "1 skipped: it was under way already."], 1)
    assert statuses(mine) == statuses(theirs) == ["RETRYING", "PENDING"]
