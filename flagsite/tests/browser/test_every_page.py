"""Every page of the site, light on a wide screen and dark on a phone: nothing is refused, cut, broken or unnamed.

With FLAGSITE_PICTURES set, the pages are opened in all four looks, and their screenshots are kept.
"""

from __future__ import annotations

import json
import os
import re
from collections.abc import Callable
from typing import Any

import pytest
from playwright.sync_api import Page, expect

from flagsite.tests.browser.conftest import SignIn
from flagsite.tests.browser.test_overview import fits, serious
from flagsite.tests.crash.installation import Installation, eventually

pytestmark = [pytest.mark.slow, pytest.mark.timeout(400)]
Picture = Callable[..., None]
BOTH = [(False, False), (True, True)]
LOOKS = [*BOTH, (True, False), (False, True)] if os.environ.get("FLAGSITE_PICTURES") else BOTH
PLANT = """
from datetime import timedelta
from decimal import Decimal
from django.utils import timezone
from flags.definitions import service
from flags.definitions.models import Flag
from flags.schedules.models import FlagSchedule
from flags.segments import service as segments
from orgs.access import access_keys
from jobs.batches.creation import Member, create_batch
from jobs.operations.enqueue import enqueue
from jobs.notifications import subscriptions
from jobs.notifications.subscriptions import Wish
from orgs.access.caller import Caller
from orgs.access.models import Role
from flagsite.core import actor
from jobs.engine.models import Queue
from django_celery_beat.models import IntervalSchedule, CrontabSchedule, PeriodicTask
service.create(key="checkout", by="user:ada", values={
    "description": "One page instead of four.", "owner": "payments", "tags": ["web"],
    "rollout_percentage": Decimal("37.5"), "environments": {"staging": True}})
FlagSchedule.objects.create(flag=Flag.objects.get(key="checkout"), flag_key="checkout", organization_id=1,
    wanted={"enabled": True}, scheduled_at=timezone.now(), status="failed", created_by="user:ada", reason="launch",
    last_error="The flag was archived.")
service.create(key="old-search", by="user:olga", values={"description": "Searches.", "killed": True})
service.create(key="gone", by="user:olga", values={})
service.archive(key="gone", by="user:olga", reason="nobody needs it")
segments.create(key="pilot", by="user:ada", values={"included": ["user-17"]})
segments.create(key="beta", by="user:ada", values={"description": "Who tries new things.", "owner": "payments",
    "rules": [{"clauses": [{"op": "inSegment", "values": ["pilot"]}]}]})
segments.update(key="beta", by="user:ada", values={"tags": ["web"]})
asks = [{"clauses": [{"op": "inSegment", "values": ["beta"]}], "serve": {"variant": "on"}}]
service.create(key="for-testers", by="user:ada", values={"targeting_rules": asks})
with actor.acting("command", actor="user:ada"):
    access_keys.create(name="nightly export", role=Role.EVALUATOR)
later = Member(kind="cleanup", name="in a month", is_required=True, arguments={"dryRun": True},
    run_at=timezone.now() + timedelta(days=30))
create_batch("upkeep", [Member(kind="cleanup", name="now"), later], by="user:ada", reason="The disk is nearly full.")
ada = Caller("user:ada", Role.ADMIN)
made, _ = subscriptions.create(ada, Wish(name="On call", channel="email", target="oncall@example.com",
    events=["job.failed", "batch.ended"], digest_seconds=0))
hook, _ = subscriptions.create(ada, Wish(name="CRM of Acme", channel="webhook", target="https://crm.example.com/hooks/17",
    events=["flag.changed"]))
subscriptions.send_test(ada, hook)
subscriptions.send_test(ada, made)
report = enqueue(kind="report", arguments={"report": "usage", "period": "week"}, by="user:olga", reason="For the board")
interval, _ = IntervalSchedule.objects.get_or_create(every=7, period="days")
CrontabSchedule.objects.get_or_create(minute="0", hour="9")
Queue.objects.get_or_create(name="exports")
enqueue(kind="cleanup", queue="exports", by="user:ada")
PeriodicTask.objects.get_or_create(name="mine", defaults={"task": "jobs.sweep", "interval": interval})
"""
WORDS_BROKEN = """() => {
  const broken = [];
  const walker = document.createTreeWalker(document.querySelector('#content, #page'), NodeFilter.SHOW_TEXT);
  while (walker.nextNode()) {
    const node = walker.currentNode;
    const above = node.parentElement;
    if (!above.checkVisibility() || above.closest('.material-symbols-outlined, .fs-unseen, .fs-secret')) continue;
    for (const word of node.data.matchAll(/(?<![A-Za-z0-9])[A-Za-z]{2,18}(?![A-Za-z0-9])/g)) {
      const range = document.createRange();
      range.setStart(node, word.index); range.setEnd(node, word.index + word[0].length);
      if (new Set(Array.from(range.getClientRects(), (box) => Math.round(box.top))).size > 1) broken.push(word[0]);
    }
  }
  return broken;
}"""
CELLS_UNNAMED = """() => innerWidth > 640 ? [] : Array.from(document.querySelectorAll('.fs-stacked tbody td'))
  .filter((cell) => !cell.dataset.label && cell.colSpan === 1 && !cell.ariaHidden && !cell.querySelector('.fs-button'))
  .map((cell) => cell.textContent.trim().slice(0, 60))"""


@pytest.fixture
def planted(site: Installation) -> dict[str, Any]:
    """Something on each page; returns what the addresses name."""
    root = site.plant_tree(2, 3)
    site.manage("shell", "--no-imports", "-c", PLANT)
    site.start_worker()
    job = site.set_flag(root, "checkout", True)
    eventually(lambda: site.chain_ended(job), within=30)
    one = {
        "report": "SELECT max(id) FROM jobs_job WHERE kind = 'report'",
        "subscription": "SELECT max(id) FROM jobs_subscription",
        "delivery": "SELECT max(id) FROM jobs_delivery",
        "batch": "SELECT max(id) FROM jobs_batch",
        "schedule": "SELECT max(id) FROM flags_flagschedule",
        "flag": "SELECT id FROM flags_flag WHERE key = 'checkout'",
        "killed": "SELECT id FROM flags_flag WHERE key = 'old-search'",
        "change": "SELECT max(number) FROM flags_change",
        "definition": "SELECT max(replaced_by) FROM flags_formerdefinition",
        "segment": "SELECT id FROM flags_segment WHERE key = 'beta'",
        "pilot": "SELECT id FROM flags_segment WHERE key = 'pilot'",
        "segment_change": "SELECT max(replaced_by) FROM flags_formersegment",
        "testers": "SELECT id FROM flags_flag WHERE key = 'for-testers'",
        "gone": "SELECT id FROM flags_flag WHERE key = 'gone'",
        "key": "SELECT prefix FROM orgs_accesskey WHERE name = 'nightly export'",
        "entry": "SELECT max(id) FROM orgs_historyentry",
        "person": "SELECT id FROM auth_user WHERE username = 'vic'",
        "interval": "SELECT max(id) FROM django_celery_beat_intervalschedule",
        "crontab": "SELECT max(id) FROM django_celery_beat_crontabschedule",
        "task": "SELECT id FROM django_celery_beat_periodictask WHERE name = 'mine'",
    }
    found = {name: site.sql(statement)[0][0] for name, statement in one.items()}
    eventually(lambda: site.chain_ended(found["report"]), within=30)
    return {"root": root, "job": job} | found


PAGES = {
    "start": "/",
    "docs": "/docs",
    "overview": "/admin/",
    "search": "/admin/search/?s=o",
    "nothing-found": "/admin/search/?s=xyzzy",
    "not-found": "/admin/nothing/",
    "own-password": "/admin/password_change/",
    "jobs": "/admin/jobs/job/",
    "no-jobs": "/admin/jobs/job/?q=xyzzy",
    "job": "/admin/jobs/job/{job}/change/",
    "job-priority": "/admin/jobs/job/{job}/priority/do/",
    "queues": "/admin/jobs/queue/",
    "queue": "/admin/jobs/queue/default/change/",
    "new-queue": "/admin/jobs/queue/add/",
    "delete-queue": "/admin/jobs/queue/exports/delete/",
    "enqueue": "/admin/jobs/job/enqueue/",
    "enqueue-a-report": "/admin/jobs/job/enqueue/?kind=report",
    "switch-gate": "/admin/gates/jobs-queue/off/",
    "pause": "/admin/jobs/queue/default/pause/",
    "resume": "/admin/jobs/queue/default/resume/",
    "workers": "/admin/jobs/worker/",
    "subscriptions": "/admin/jobs/subscription/",
    "subscription": "/admin/jobs/subscription/{subscription}/change/",
    "new-subscription": "/admin/jobs/subscription/add/",
    "test-subscription": "/admin/jobs/subscription/{subscription}/test/",
    "rotate-secret": "/admin/jobs/subscription/{subscription}/rotate/",
    "my-notifications": "/admin/my-notifications/",
    "deliveries": "/admin/jobs/delivery/",
    "delivery": "/admin/jobs/delivery/{delivery}/change/",
    "replay-delivery": "/admin/jobs/delivery/{delivery}/replay/",
    "artifacts": "/admin/jobs/artifact/",
    "upload-artifact": "/admin/jobs/artifact/add/",
    "job-with-artifacts": "/admin/jobs/job/{report}/change/",
    "batches": "/admin/jobs/batch/",
    "batch": "/admin/jobs/batch/{batch}/change/",
    "new-batch": "/admin/jobs/batch/add/",
    "add-members": "/admin/jobs/batch/{batch}/members/",
    "retry-batch": "/admin/jobs/batch/{batch}/retry/",
    "cancel-batch": "/admin/jobs/batch/{batch}/cancel/",
    "reports": "/admin/flags/report/",
    "report": "/admin/flags/report/{report}/change/",
    "new-report": "/admin/flags/report/add/",
    "imports": "/admin/jobs/organizationimport/",
    "import": "/admin/jobs/organizationimport/add/",
    "organizations": "/admin/orgs/organization/",
    "organizations-found": "/admin/orgs/organization/?q=branch",
    "new-tree": "/admin/orgs/organization/add/",
    "organization": "/admin/orgs/organization/{root}/change/",
    "rename": "/admin/orgs/organization/{root}/rename/do/",
    "create-below": "/admin/orgs/organization/{root}/create/do/",
    "move": "/admin/orgs/organization/{root}/move/do/",
    "delete": "/admin/orgs/organization/{root}/delete/do/",
    "switch": "/admin/flags/flag/set/{root}/?flag=checkout&enabled=false",
    "flags": "/admin/flags/flag/",
    "new-flag": "/admin/flags/flag/add/",
    "flag": "/admin/flags/flag/{flag}/change/",
    "flag-killed": "/admin/flags/flag/{killed}/change/",
    "flag-archived": "/admin/flags/flag/{gone}/change/",
    "undo": "/admin/flags/flag/undo/{change}/",
    "undo-definition": "/admin/flags/flag/undo/{definition}/",
    "set-somewhere": "/admin/flags/flag/{flag}/set/",
    "archive": "/admin/flags/flag/{flag}/archive/do/",
    "purge": "/admin/flags/flag/{gone}/purge/do/",
    "segments": "/admin/flags/segment/",
    "segment": "/admin/flags/segment/{segment}/change/",
    "segment-in-use": "/admin/flags/segment/{pilot}/change/",
    "new-segment": "/admin/flags/segment/add/",
    "remove-segment": "/admin/flags/segment/{pilot}/remove/",
    "undo-segment": "/admin/flags/flag/undo/{segment_change}/",
    "try-out-segments": "/admin/flags/flag/{testers}/evaluate/?organization=id:{root}",
    "try-out": "/admin/flags/flag/{flag}/evaluate/",
    "try-out-result": "/admin/flags/flag/{killed}/evaluate/?organization=id:{root}",
    "try-out-refused": "/admin/flags/flag/{flag}/evaluate/?organization=id:{root}",
    "definition": "/admin/flags/flag/{flag}/change/?tab=definition",
    "flag-at": "/admin/flags/flag/{flag}/change/?below={root}",
    "flag-settings": "/admin/flags/flag/{flag}/change/?settings=1",
    "flag-search": "/admin/flags/flag/{flag}/change/?q=o",
    "stale": "/admin/flags/flag/stale/",
    "import-flags": "/admin/flags/flag/import/",
    "statistics": "/admin/flags/statistic/",
    "compute-statistics": "/admin/flags/statistic/compute/",
    "schedules": "/admin/flags/flagschedule/",
    "schedule": "/admin/flags/flagschedule/{schedule}/change/",
    "schedule-retry": "/admin/flags/flagschedule/{schedule}/retry/do/",
    "new-schedule": "/admin/flags/flagschedule/add/",
    "agenda": "/admin/flags/flagschedule/agenda/",
    "agenda-empty": "/admin/flags/flagschedule/agenda/?month=2020-01",
    "keys": "/admin/orgs/accesskey/",
    "new-key": "/admin/orgs/accesskey/add/",
    "revoke": "/admin/orgs/accesskey/{key}/revoke/",
    "rotate": "/admin/orgs/accesskey/{key}/rotate/",
    "audit-log": "/admin/orgs/auditentry/",
    "audit-entry": "/admin/orgs/auditentry/{entry}/change/",
    "people": "/admin/auth/user/",
    "new-person": "/admin/auth/user/add/",
    "person": "/admin/auth/user/{person}/change/",
    "password": "/admin/auth/user/{person}/password/",
    "groups": "/admin/auth/group/",
    "tasks": "/admin/django_celery_beat/periodictask/",
    "task": "/admin/django_celery_beat/periodictask/{task}/change/",
    "delete-task": "/admin/django_celery_beat/periodictask/{task}/delete/",
    "interval": "/admin/django_celery_beat/intervalschedule/{interval}/change/",
    "crontab": "/admin/django_celery_beat/crontabschedule/{crontab}/change/",
}


WITH_AXE = {
    "try-out-result", "search", "delete", "purge", "not-found", "schedules", "subscription", "new-subscription",
    "delivery", "deliveries", "my-notifications", "new-queue", "delete-queue", "enqueue", "enqueue-a-report",
    "switch-gate", "undo", "undo-definition",
}  # fmt: skip
"""The pages that no other test checks with axe."""


def without_icon(page: Page) -> list[str]:
    """The page's icon, if there is none: the browser then asks for /favicon.ico, and complains to the console."""
    icons = [str(link.get_attribute("href")) for link in page.locator("link[rel=icon]").all()]
    return [f"no icon: {icons}"] if not icons or not all(page.request.get(icon).ok for icon in icons) else []


def faults(page: Page) -> list[str]:
    """What is wrong with how the page looks."""
    found = [] if fits(page) else ["scrolls sideways"]
    found += [f"broken word: {word}" for word in page.evaluate(WORDS_BROKEN)]
    found += [f"cell without a name: {cell}" for cell in page.evaluate(CELLS_UNNAMED)]
    return found


@pytest.mark.parametrize(("dark", "phone"), LOOKS)
def test_no_page_is_cut_or_breaks_words_or_leaves_cells_unnamed(
    planted: dict[str, Any], sign_in: SignIn, picture: Picture, dark: bool, phone: bool
) -> None:
    page = sign_in("ada", dark=dark, phone=phone)
    look = f"{'dark' if dark else 'light'}-{'phone' if phone else 'wide'}"
    wrong = {}
    for name, path in PAGES.items():
        answer = page.goto(path.format(**planted))
        assert answer is not None
        assert answer.status == (404 if name == "not-found" else 200), path
        problems = without_icon(page) + ([] if name == "docs" else faults(page))
        if name in WITH_AXE:
            problems += serious(page)
        picture(page, f"{name}-{look}")
        if problems:
            wrong[name] = problems
    assert wrong == {}, json.dumps(wrong, indent=1)


def test_the_pages_of_visitors_load_whole_and_have_an_icon(sign_in: SignIn) -> None:
    page = sign_in("vic")
    page.context.clear_cookies()
    for path in ("/", "/admin/login/?next=/admin/", "/docs"):
        page.goto(path, wait_until="networkidle")
        assert without_icon(page) == [], path


def test_the_search_of_the_side_bar_leads_to_what_it_finds(
    planted: dict[str, Any], sign_in: SignIn, picture: Picture
) -> None:
    page = sign_in("ada")
    box = page.get_by_role("searchbox", name="Search everything")
    box.press_sequentially("check")
    found = page.locator("#search-results").get_by_role("link")
    expect(found.first).to_contain_text("checkout")
    picture(page, "side-bar-search", whole=False)
    found.first.click()
    expect(page).to_have_url(re.compile(rf"/flag/{planted['flag']}/change/"))
    page.get_by_role("searchbox", name="Search everything").fill("branch-that-is-not-there")
    expect(page.locator("#search-results")).to_contain_text("Nothing that you may see matches")
    page.keyboard.press("Enter")
    page.wait_for_url("**/admin/search/?s=branch-that-is-not-there")
