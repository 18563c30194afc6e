"""People follow jobs in the admin site, retry and cancel them, one or many at once."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator

import pytest
from playwright.sync_api import Page, expect

from flags.tests.states import faults
from flagsite.tests.browser.conftest import SignIn
from flagsite.tests.browser.test_overview import fits, serious
from flagsite.tests.crash.installation import Installation, eventually

pytestmark = [pytest.mark.slow, pytest.mark.timeout(300)]
Picture = Callable[..., None]
LIST = "/admin/jobs/job/"


@pytest.fixture
def refusing(site: Installation) -> Iterator[Callable[..., None]]:
    """The rows of these organizations cannot be written, until it is called with none."""
    site.sql(faults.INSTALL)

    def refuse(*organization_ids: int) -> None:
        site.sql("DELETE FROM test_refused")
        for organization_id in organization_ids:
            site.sql("INSERT INTO test_refused VALUES (%s)", [organization_id])

    yield refuse
    site.sql(faults.REMOVE)


@pytest.fixture
def slow(site: Installation) -> Iterator[Installation]:
    """Each chunk takes a while."""
    site.slow_down(0.4)
    yield site
    site.speed_up()


def test_a_running_jobs_bar_moves_by_itself_until_it_is_cancelled(
    slow: Installation, sign_in: SignIn, picture: Picture
) -> None:
    slow.plant_tree(20, 20)
    job = slow.set_flag(1, "checkout", True)
    page = sign_in("olga")
    page.goto(LIST)
    expect(page.locator(f"#job-{job}-status")).to_have_text("PENDING")
    slow.start_worker()
    bar = page.locator(f"#job-{job}-progress progress")
    eventually(lambda: int(bar.get_attribute("value") or 0) > 5, within=30)
    expect(page.locator(f"#job-{job}-status")).to_have_text("IN_PROGRESS")
    picture(page, "jobs-running")
    page.click(f"#cancel-{job}")
    page.get_by_label("Reason").fill("Too early")
    page.get_by_role("button", name=f"Cancel job {job}").click()
    expect(page.locator(f"#job-{job}-status")).to_have_text("CANCELLED")
    expect(page.locator("#job-now")).to_contain_text("cancelled by user:olga")
    page.get_by_role("region", name="Audit log").get_by_text("Too early").wait_for()
    picture(page, "job-cancelled")


def test_jobs_that_come_while_a_person_looks_are_announced(site: Installation, sign_in: SignIn) -> None:
    site.plant_tree(2, 2)
    site.set_flag(1, "checkout", True)
    page = sign_in("vic")
    page.goto(f"{LIST}?flag=checkout")
    page.locator("[data-job]").wait_for()
    job = site.set_flag(1, "checkout", False)
    site.set_flag(1, "another", False)
    page.get_by_role("link", name="1 new job", exact=True).click()
    expect(page.locator(f"#job-{job}-status")).to_be_visible()
    expect(page).to_have_url(re.compile("flag=checkout$"))
    expect(page.locator("[data-job]")).to_have_count(2)


def test_a_text_that_a_list_cuts_is_whole_while_it_has_the_focus(
    site: Installation, sign_in: SignIn, picture: Picture
) -> None:
    site.plant_tree(2, 2)
    site.set_flag(1, "checkout", True)
    page = sign_in("vic")
    page.goto(LIST)
    text = page.locator("#result_list .fs-clip[tabindex]").first
    is_cut = "node => node.scrollWidth > node.clientWidth"
    assert text.evaluate(is_cut)
    text.click()
    assert not text.evaluate(is_cut)
    picture(page, "jobs-whole-text")


def follow(page: Page, number: int) -> None:
    """Go to that attempt of the chain."""
    link = page.locator("#job-now .fs-timeline").get_by_role("link", name=re.compile("^Job")).nth(number)
    address = str(link.get_attribute("href"))
    link.click()
    page.wait_for_url(f"**{address}")


def test_what_failed_is_retried_from_its_page_and_from_the_list(
    site: Installation, sign_in: SignIn, refusing: Callable[..., None], picture: Picture
) -> None:
    site.plant_tree(2, 5)
    site.sql("UPDATE jobs_queue SET max_retries = 0")
    site.start_worker()
    refusing(*range(1, 14))
    broken = [site.set_flag(1, f"flag{number}", True) for number in range(3)]
    for job in broken:
        eventually(lambda job=job: site.status(job) == "FAILED", within=30)
    refusing(3, 4)
    page = sign_in("olga")
    page.goto(f"{LIST}{broken[0]}/change/")
    expect(page.locator("#job-error")).to_contain_text("organizations failed")
    page.click(f"#retry-{broken[0]}")
    page.get_by_label("Reason").fill("The disk has room again")
    page.get_by_role("button", name=f"Retry job {broken[0]}").click()
    expect(page.locator("#job-now")).to_contain_text("retried by user:olga: “The disk has room again”")
    expect(page.locator(f"#job-{broken[0]}-status .fs-status-COMPLETED")).to_be_visible()
    expect(page.locator("#job-attempt")).to_contain_text("This attempt FAILED.")
    picture(page, "job-completed-by-a-retry")
    follow(page, 1)
    expect(page.get_by_role("region", name="Failures")).to_contain_text("organization 3 is refused")
    page.get_by_label("Search the failures").fill("organization 4")
    page.get_by_role("button", name="Search").click()
    expect(page.get_by_role("region", name="Failures")).not_to_contain_text("organization 3 is")
    picture(page, "job-failures-searched")
    expect(page.get_by_role("link", name="Retry the")).to_have_count(0)
    expect(page.locator("body")).to_contain_text(
        "A retry covers all organizations that failed, not only the results of the search."
    )
    page.get_by_label("Search the failures").fill("")
    page.get_by_role("button", name="Search").click()
    picture(page, "job-failures")
    refusing()
    page.get_by_role("link", name="Retry the 2 organizations that failed").click()
    expect(page.locator("#question")).to_contain_text("only the 2 organizations that the last attempt left")
    page.get_by_label("Reason").fill("And the rest")
    page.get_by_role("button", name="Retry job").click()
    expect(page.locator("#job-now")).to_contain_text("2 done, 0 failed")
    follow(page, 2)
    expect(page.locator("#job-now .fs-figure").first).to_have_text("2")

    page.goto(f"{LIST}?status__exact=FAILED&trigger__exact=request")
    page.click(f"#retry-{broken[1]}")  # at once, without a question
    expect(page.locator("body")).to_contain_text("1 job was retried.")
    assert "status__exact=FAILED" in page.url
    eventually(lambda: site.chain_statuses(broken[1]) == ["FAILED", "COMPLETED"], within=30)
    site.sql("UPDATE jobs_queue SET max_retries = 3")


def test_all_that_match_a_filter_are_retried_and_the_others_are_counted_with_the_reason(
    site: Installation, sign_in: SignIn, refusing: Callable[..., None], picture: Picture
) -> None:
    site.plant_tree(2, 2)
    site.sql("UPDATE jobs_queue SET max_retries = 0")
    site.start_worker()
    good = site.set_flag(1, "good", True)
    eventually(site.all_ended, within=30)
    refusing(*range(1, 8))
    for number in range(60):
        site.set_flag(1, f"flag{number}", True)
    eventually(site.all_ended, within=90)
    refusing()
    assert site.status(good) == "COMPLETED"
    page = sign_in("olga")
    page.goto(LIST)
    page.locator("#action-toggle").check()
    page.get_by_role("link", name="Select all").click()
    page.locator("select[name=action]").select_option(label="Retry")
    page.get_by_role("button", name="Run").click()
    page.get_by_label("Reason").fill("All again")
    picture(page, "jobs-confirm")
    page.get_by_role("button", name="Retry").click()
    expect(page.locator("body")).to_contain_text("60 jobs were retried.")
    expect(page.locator("body")).to_contain_text("1 skipped: it had completed; there was nothing to retry.")
    eventually(site.all_ended, within=60)
    assert site.sql("SELECT count(*) FROM jobs_job WHERE trigger = 'manual' AND status = 'COMPLETED'") == [(60,)]
    site.sql("UPDATE jobs_queue SET max_retries = 3")


def test_a_viewer_sees_all_and_can_do_none_of_it(site: Installation, sign_in: SignIn) -> None:
    site.plant_tree(2, 2)
    job = site.set_flag(1, "checkout", True)
    page = sign_in("vic")
    page.goto(LIST)
    expect(page.locator(f"#job-{job}-status")).to_have_text("PENDING")
    assert page.locator(f"#cancel-{job}").count() == 0
    assert page.locator("select[name=action]").count() == 0
    page.goto(f"{LIST}{job}/change/")
    assert page.get_by_role("link", name="Cancel").count() == 0
    answer = page.goto(f"{LIST}{job}/cancel/do/")
    assert answer is not None
    assert answer.status == 403


@pytest.mark.parametrize("dark", [False, True], ids=["light", "dark"])
def test_the_pages_keep_nobody_out(site: Installation, sign_in: SignIn, picture: Picture, dark: bool) -> None:
    site.plant_tree(2, 2)
    site.start_worker()
    job = site.set_flag(1, "checkout", True)
    eventually(lambda: site.chain_ended(job), within=30)
    site.set_flag(1, "later", True)
    page = sign_in("olga", dark=dark)
    for name, address in {"jobs": LIST, "job": f"{LIST}{job}/change/", "retry": f"{LIST}{job}/retry/do/"}.items():
        page.goto(address)
        picture(page, f"{name}-{'dark' if dark else 'light'}")
        assert serious(page) == [], name
    phone = sign_in("olga", dark=dark, phone=True)
    phone.goto(LIST)
    phone.locator("[data-job]").first.wait_for()
    picture(phone, f"jobs-phone-{'dark' if dark else 'light'}", whole=False)
    assert fits(phone)
    phone.goto(f"{LIST}{job}/change/")
    picture(phone, f"job-phone-{'dark' if dark else 'light'}")
    assert fits(phone)
