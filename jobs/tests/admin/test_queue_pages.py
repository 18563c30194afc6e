"""The pages for queues and workers: how things stand, and what an operator changes."""

from __future__ import annotations

from datetime import timedelta
from typing import Any

import pytest
from django.utils import timezone

from jobs.engine import claiming
from jobs.engine.models import Queue
from jobs.engine.worker_model import Worker
from jobs.operations import queue_operations
from jobs.tests.engine_steps import changed, claimed, waiting
from orgs.audit.models import AuditEntry
from orgs.tests.people import shown, signed_in

pytestmark = pytest.mark.django_db

SETTINGS = {
    "concurrency": "2", "max_retries": "3", "backoff_type": "exponential", "backoff_base": "2.0", "backoff_delay": "",
    "backoff_jitter": "0.0", "rate_allowed": "", "rate_seconds": "60",
}  # fmt: skip


def said_last() -> dict[str, Any]:
    """The newest entry of the audit log."""
    return dict(AuditEntry.objects.values("actor", "action", "subject", "reason", "via", "details").latest("id"))


def test_a_line_tells_what_waits_runs_and_how_it_is_set_up() -> None:
    claimed()
    waiting(run_at=timezone.now() - timedelta(minutes=5))
    waiting(run_at=timezone.now() + timedelta(hours=1))
    Queue.objects.filter(pk="default").update(concurrency=4, max_retries=2, backoff_base=3, backoff_jitter=0.25)
    page = " ".join(shown(signed_in("operator").get("/admin/jobs/queue/")).split())
    for name, count in (("due", 1), ("later", 1), ("running", 1)):
        assert f">{count}</a>" in page[page.index(f'id="{name}-default"') :][:300]
    assert "5 min" in page
    assert '<td data-label="Limits">4 at once</td>' in page
    assert "3.0 s, 9.0 s, up to 25% more" in page


def test_an_operator_pauses_with_a_reason_and_resumes() -> None:
    client = signed_in("operator")
    client.post("/admin/jobs/queue/default/pause/", {"reason": "the database moves"})
    assert claiming.claim(queue=waiting().queue, worker="w") is None
    assert said_last() == {
        "actor": "user:pat", "action": "queue.pause", "subject": "queue:default", "reason": "the database moves",
        "via": "admin", "details": {},
    }  # fmt: skip
    assert "by user:pat: “the database moves”" in shown(client.get("/admin/jobs/queue/live/"))
    client.post("/admin/jobs/queue/default/resume/", {})
    assert claiming.claim(queue="default", worker="w") is not None
    assert said_last()["action"] == "queue.resume"


def test_a_pause_may_go_without_a_reason_since_a_resume_undoes_it() -> None:
    signed_in("operator").post("/admin/jobs/queue/default/pause/", {"reason": " "})
    assert Queue.objects.get(pk="default").paused_at is not None


def test_a_second_pause_leaves_the_first_ones_reason_and_says_so() -> None:
    queue_operations.pause("default", by="user:olga", reason="first")
    client = signed_in("operator")
    page = shown(client.post("/admin/jobs/queue/default/pause/", {"reason": "second"}, follow=True))
    assert "was paused already by user:olga" in page
    assert Queue.objects.get(pk="default").pause_reason == "first"


def test_a_queue_that_is_not_paused_has_nothing_to_resume() -> None:
    client = signed_in("operator")
    page = shown(client.get("/admin/jobs/queue/default/resume/"))
    assert "is not paused; there is nothing to resume" in page
    assert "Resume default</button>" not in page
    assert "was not paused" in shown(client.post("/admin/jobs/queue/default/resume/", {}, follow=True))
    queue_operations.pause("default", by="user:olga", reason="x")
    assert "Resume default</button>" in shown(client.get("/admin/jobs/queue/default/resume/"))


def test_what_is_not_a_queue_is_not_found() -> None:
    assert signed_in("operator").post("/admin/jobs/queue/nothing/pause/", {"reason": "x"}).status_code == 404


def test_a_queue_with_any_name_can_be_paused() -> None:
    Queue.objects.create(name="a/b_c d")
    client = signed_in("operator")
    page = shown(client.get("/admin/jobs/queue/"))
    assert "/admin/jobs/queue/a_2Fb_5Fc%20d/pause/" in page
    client.post("/admin/jobs/queue/a_2Fb_5Fc%20d/pause/", {"reason": "x"})
    assert Queue.objects.get(pk="a/b_c d").paused_at is not None


def test_settings_change_in_the_audit_log_and_leave_a_pause_alone() -> None:
    client = signed_in("operator")
    queue_operations.pause("default", by="user:olga", reason="first")
    answer = client.post("/admin/jobs/queue/default/change/", SETTINGS | {"reason": "fewer at once"})
    assert answer.status_code == 302
    queue = Queue.objects.get(pk="default")
    assert (queue.concurrency, queue.pause_reason) == (2, "first")
    last = said_last()
    assert (last["actor"], last["action"], last["reason"]) == ("user:pat", "queue.change", "fewer at once")
    assert (last["details"]["before"]["concurrency"], last["details"]["after"]["concurrency"]) == (None, 2)


def test_a_changed_concurrency_counts_from_the_next_claim_on() -> None:
    claimed()
    waiting()
    client = signed_in("operator")
    client.post("/admin/jobs/queue/default/change/", SETTINGS | {"concurrency": "1"})
    assert claiming.claim(queue="default", worker="w") is None
    client.post("/admin/jobs/queue/default/change/", SETTINGS | {"concurrency": ""})
    assert claiming.claim(queue="default", worker="w") is not None


@pytest.mark.parametrize(("field", "wrong"), [("max_retries", "11"), ("backoff_base", "0"), ("backoff_jitter", "2")])
def test_settings_that_cannot_be_are_refused(field: str, wrong: str) -> None:
    before = Queue.objects.values().get(pk="default")
    page = shown(signed_in("operator").post("/admin/jobs/queue/default/change/", SETTINGS | {field: wrong}))
    assert "Ensure this value is" in page
    assert Queue.objects.values().get(pk="default") == before


def test_a_viewer_reads_settings_without_a_form() -> None:
    page = shown(signed_in("viewer").get("/admin/jobs/queue/default/change/"))
    assert 'name="concurrency"' not in page
    assert "Pause" not in shown(signed_in("viewer", name="vic").get("/admin/jobs/queue/"))


def test_workers_say_what_they_hold_and_who_is_gone() -> None:
    now = timezone.now()
    Worker.objects.create(token="abc", host="alpha", pid=11, queues=["default"], concurrency=4)
    Worker.objects.create(token="old", host="beta", pid=12, queues=["x"], seen_at=now - timedelta(minutes=3))
    Worker.objects.create(token="sto", host="gamma", pid=13, queues=["x"], is_stopping=True)
    job = changed(claimed(), worker="alpha:99:abc", started_at=now - timedelta(minutes=2))
    page = " ".join(shown(signed_in("viewer").get("/admin/jobs/worker/live/")).split())
    alpha, gamma, beta = (page[page.index(name) :] for name in ("alpha", "gamma", "beta"))
    assert "1 of 4" in alpha
    assert f'href="/admin/jobs/job/{job.pk}/change/"' in alpha
    assert "for 2 min" in alpha
    assert "stopping" in gamma
    assert "not seen for 3 min" in beta


@pytest.mark.parametrize("path", ["/admin/jobs/queue/", "/admin/jobs/worker/"])
def test_a_page_takes_as_many_queries_for_many_as_for_few(path: str, django_assert_max_num_queries: Any) -> None:
    client = signed_in("operator")
    counts = []
    for size in (1, 6):
        for number in range(size):
            Queue.objects.get_or_create(name=f"q{number}")
            Worker.objects.get_or_create(token=f"w{number}", defaults={"host": "h", "pid": number})
            changed(claimed(), worker=f"h:1:w{number}")
        with django_assert_max_num_queries(12) as queries:
            shown(client.get(path))
        counts.append(len(queries))
    assert counts[0] == counts[1]
