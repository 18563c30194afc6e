"""A person pauses a queue, changes it, and opens it again."""

from __future__ import annotations

from collections.abc import Callable

import pytest
from playwright.sync_api import Page, expect

from flagsite.tests.browser.conftest import SignIn
from flagsite.tests.crash.installation import Installation, eventually

pytestmark = pytest.mark.slow
CLEANED_UP = "SELECT count(*) FROM jobs_job WHERE kind = 'cleanup' AND status = 'COMPLETED'"


def test_a_paused_queue_says_why_and_its_jobs_wait_until_it_is_resumed(
    site: Installation, sign_in: SignIn, picture: Callable[[Page, str], None]
) -> None:
    site.plant_tree(3, 5)
    site.start_worker()
    page = sign_in("olga")
    page.get_by_role("link", name="Queues").first.click()
    page.get_by_role("link", name="Pause propagation").click()
    page.get_by_label("Reason").fill("The database moves <tonight>")
    page.get_by_role("button", name="Pause propagation").click()
    row = page.locator("#queue-table tbody tr", has_text="propagation")
    expect(row).to_contain_text("paused")
    expect(row).to_contain_text("user:olga: “The database moves <tonight>”")
    job = site.set_flag(1, "late", True)
    expect(page.locator("#due-propagation")).to_have_text("1")
    assert site.status(job) == "PENDING"
    picture(page, "queue-paused")
    page.get_by_role("link", name="Resume propagation").click()
    page.get_by_role("button", name="Resume propagation").click()
    eventually(lambda: site.status(job) == "COMPLETED", within=30)
    expect(page.locator("#due-propagation")).to_have_text("0")
    page.goto("/admin/orgs/auditentry/?q=queue:propagation")
    expect(page.locator("#result_list")).to_contain_text("The database moves <tonight>")


def test_a_changed_concurrency_counts_from_the_next_claim_on(site: Installation, sign_in: SignIn) -> None:
    page = sign_in("olga")
    page.goto("/admin/jobs/queue/propagation/change/")
    page.get_by_label("Concurrency").fill("1")
    page.get_by_label("Reason").fill("One at a time")
    page.get_by_role("button", name="Save", exact=True).click()
    page.wait_for_url("**/admin/jobs/queue/")
    site.plant_tree(3, 50)
    site.slow_down(1)
    site.start_worker(concurrency=2)
    jobs = [site.set_flag(1, f"both{number}", True) for number in range(2)]
    try:
        eventually(lambda: "IN_PROGRESS" in {site.status(job) for job in jobs}, within=30)
        site.manage("cleanup_jobs")  # another queue's job, for which the worker has a free slot
        eventually(lambda: site.sql(CLEANED_UP) == [(1,)], within=30)
        assert sorted(site.status(job) for job in jobs) == ["IN_PROGRESS", "PENDING"]
        expect(page.locator("#running-propagation")).to_have_text("1")
    finally:
        site.speed_up()
        site.sql("UPDATE jobs_queue SET concurrency = NULL")
    for job in jobs:
        eventually(lambda job=job: site.status(job) == "COMPLETED", within=30)
