"""The Content-Security-Policy of every page: scripts and styles come from Flagsite's own files only."""

from __future__ import annotations

import re
from typing import Any

import pytest
from django.contrib.auth.models import User
from django.http import HttpResponseBase
from django.test import Client
from django_celery_beat.models import CrontabSchedule, IntervalSchedule, PeriodicTask

from conftest import Cast
from flags.definitions import service
from flags.states.set_flag import set_flag
from flags.tests.schedules.plans import planned
from jobs.tests.engine_steps import waiting
from orgs.access import access_keys
from orgs.audit.models import AuditEntry

pytestmark = pytest.mark.django_db
JOB, FLAG, TREE = "/admin/jobs/job/", "/admin/flags/flag/", "/admin/orgs/organization/"
BEAT, SCHEDULE, KEY = "/admin/django_celery_beat/", "/admin/flags/flagschedule/", "/admin/orgs/accesskey/"
PAGES = [
    "/",
    "/docs",
    "/admin/login/",
    "/admin/",
    "/admin/search/?s=oslo",
    "/admin/password_change/",
    JOB,
    f"{JOB}?q=nothing",
    f"{JOB}{{job}}/change/",
    *(f"{JOB}{{job}}/{name}/do/" for name in ("retry", "cancel", "priority")),
    "/admin/jobs/queue/",
    "/admin/jobs/queue/default/change/",
    "/admin/jobs/queue/default/pause/",
    "/admin/jobs/queue/default/resume/",
    "/admin/jobs/worker/",
    "/admin/jobs/batch/",
    "/admin/jobs/batch/add/",
    "/admin/flags/report/",
    "/admin/flags/report/add/",
    "/admin/jobs/organizationimport/",
    "/admin/jobs/organizationimport/add/",
    TREE,
    f"{TREE}?q=oslo",
    f"{TREE}add/",
    f"{TREE}{{oslo}}/change/",
    *(f"{TREE}{{oslo}}/{name}/do/" for name in ("rename", "create", "move", "delete")),
    FLAG,
    f"{FLAG}add/",
    f"{FLAG}stale/",
    f"{FLAG}{{flag}}/change/",
    *(f"{FLAG}{{flag}}/{name}/do/" for name in ("archive", "unarchive", "purge")),
    f"{FLAG}{{flag}}/evaluate/?organization=oslo",
    f"{FLAG}{{flag}}/change/?tab=definition",
    f"{FLAG}set/{{oslo}}/",
    SCHEDULE,
    f"{SCHEDULE}add/",
    f"{SCHEDULE}agenda/",
    f"{SCHEDULE}{{schedule}}/change/",
    *(f"{SCHEDULE}{{schedule}}/{name}/do/" for name in ("cancel", "retry")),
    KEY,
    f"{KEY}add/",
    f"{KEY}{{key}}/revoke/",
    f"{KEY}{{key}}/rotate/",
    "/admin/orgs/auditentry/",
    "/admin/orgs/auditentry/{entry}/change/",
    "/admin/auth/user/",
    "/admin/auth/user/add/",
    "/admin/auth/user/{person}/change/",
    "/admin/auth/user/{person}/password/",
    "/admin/auth/group/",
    *(
        f"{BEAT}{model}/{page}"
        for model, one in (("periodictask", "task"), ("intervalschedule", "interval"), ("crontabschedule", "crontab"))
        for page in ("", "add/", f"{{{one}}}/change/", f"{{{one}}}/delete/")
    ),
]
ERRORS = ["/admin/nothing/", "/admin/jobs/job/?q=%00", f"{JOB}999999/change/"]
INLINE = re.compile(r"<script(?![^>]*\ssrc=)[^>]*>|\sstyle=|\son[a-z]+=\"|javascript:", re.IGNORECASE)
STYLE_WITHOUT_NONCE = re.compile(r"<style(?![^>]*nonce=)")


def policy_of(answer: Any) -> dict[str, str]:
    parts = (part.strip().partition(" ") for part in answer["Content-Security-Policy"].split(";"))
    return {name: value for name, _, value in parts}


def check(answer: HttpResponseBase) -> None:
    """Check that a page has a policy without exceptions, and nothing that the policy would refuse."""
    policy = policy_of(answer)
    assert "unsafe-inline" not in answer["Content-Security-Policy"]
    assert policy["default-src"] == "'self'"
    assert policy["object-src"] == policy["frame-ancestors"] == policy["base-uri"] == "'none'"
    text = answer.content.decode()
    assert INLINE.findall(text) == []
    assert STYLE_WITHOUT_NONCE.findall(text) == []


@pytest.fixture
def client() -> Client:
    client = Client()
    client.force_login(User.objects.create_superuser("root"))
    return client


@pytest.fixture
def ids(cast: Cast) -> dict[str, Any]:
    """What the addresses name."""
    interval = IntervalSchedule.objects.create(every=9, period="days")
    flag = service.create(key="checkout", by="user:ada", values={})
    set_flag(organization_id=cast.oslo.pk, flag_key="checkout", enabled=True, requested_by="user:ada")
    return {
        "job": waiting(organization_id=cast.oslo.pk).pk,
        "oslo": cast.oslo.pk,
        "flag": flag.pk,
        "schedule": planned(cast.oslo).pk,
        "key": access_keys.create(name="theirs")[0].prefix,
        "entry": AuditEntry.objects.latest("id").pk,
        "person": User.objects.create(username="pat").pk,
        "interval": interval.pk,
        "crontab": CrontabSchedule.objects.create(minute="7").pk,
        "task": PeriodicTask.objects.create(name="mine", task="jobs.sweep", interval=interval).pk,
    }


@pytest.mark.parametrize("path", PAGES)
def test_a_page_has_a_policy_without_exceptions_and_nothing_inline(
    client: Client, ids: dict[str, Any], path: str
) -> None:
    answer = client.get(path.format(**ids), follow=True)
    assert answer.status_code == 200
    check(answer)


@pytest.mark.parametrize("path", ERRORS)
def test_a_page_about_an_error_has_the_policy_too(client: Client, path: str) -> None:
    answer = client.get(path)
    assert answer.status_code in {400, 404}
    check(answer)


def test_the_page_that_shows_a_new_key_and_a_list_that_asks_have_the_policy_too(
    client: Client, ids: dict[str, Any]
) -> None:
    check(client.post(f"{KEY}add/", {"name": "mine", "role": "reader"}))
    check(client.post(JOB, {"action": "cancel", "_selected_action": ids["job"]}))
    check(client.post(f"{BEAT}periodictask/", {"action": "delete_selected", "_selected_action": ids["task"]}))
    check(client.post(f"{FLAG}set/{ids['oslo']}/", {"flag": "checkout", "enabled": "false"}))


def test_every_answer_has_another_nonce(client: Client) -> None:
    nonces = {re.search(r"nonce-(\S+)'", client.get("/admin/")["Content-Security-Policy"])[1] for _ in range(2)}
    assert len(nonces) == 2


def test_a_problem_has_the_policy_too(client: Client) -> None:
    assert "default-src 'self'" in client.get("/nothing-here")["Content-Security-Policy"]
