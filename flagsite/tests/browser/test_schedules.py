"""A person schedules a change, sees it in the agenda, and sees that it came."""

from __future__ import annotations

from collections.abc import Callable
from datetime import UTC, datetime, timedelta

import pytest
from axe_playwright_python.sync_playwright import Axe
from playwright.sync_api import Page, expect

from flagsite.tests.browser.conftest import SignIn
from flagsite.tests.crash.installation import Installation, eventually

pytestmark = [pytest.mark.slow, pytest.mark.timeout(300)]
LIST = "/admin/flags/flagschedule/"


def violations(page: Page) -> list[tuple[str, str]]:
    found = Axe().run(page).response["violations"]
    return [(one["id"], one["nodes"][0]["html"]) for one in found if one["impact"] in {"serious", "critical"}]


def schedule(page: Page, flag: str, *, at: str = "", off_at: str = "", cron: str = "", where: str = "root") -> None:
    page.goto(f"{LIST}add/")
    page.get_by_label("Flag").fill(flag)
    page.get_by_label("Organization").fill(where)
    page.get_by_label("At", exact=True).fill(at)
    page.get_by_label("Off again at").fill(off_at)
    page.get_by_label("Or again and again").fill(cron)
    page.get_by_label("Reason").fill("launch <soon>")
    page.get_by_role("button", name="Schedule the change").click()


def test_a_change_is_scheduled_shown_in_the_agenda_and_comes(
    site: Installation, sign_in: SignIn, picture: Callable[[Page, str], None]
) -> None:
    root = site.plant_tree(2, 3)
    site.set_flag(root, "checkout", False)
    site.start_worker()
    site.run("celery", "-A", "flagsite", "--quiet", "beat", "--pidfile=")
    page = sign_in("olga")
    page.get_by_role("link", name="Scheduled changes").first.click()
    page.get_by_role("link", name="Agenda").click()
    today = datetime.now(UTC)
    page.goto(f"{LIST}add/")
    picture(page, "schedule-add")
    schedule(page, "nothing", at=f"{today + timedelta(days=1):%Y-%m-%dT09:00}")
    expect(page.locator("body")).to_contain_text("There is no flag 'nothing'.")
    assert violations(page) == []
    picture(page, "schedule-form")
    later, last = today + timedelta(hours=1), today + timedelta(hours=2)
    schedule(page, "checkout", at=f"{later:%Y-%m-%dT%H:%M}", off_at=f"{last:%Y-%m-%dT%H:%M}", where="o1-0")
    schedule(page, "checkout", cron="30 8 * * *", where="o0-1")
    schedule(page, "checkout", at=f"{datetime.now(UTC):%Y-%m-%dT%H:%M}")
    expect(page.locator("body")).to_contain_text("launch <soon>")
    eventually(lambda: page.reload() and "applied" in str(page.locator("#status").text_content()), within=60)
    expect(page.locator("body")).to_contain_text("by the first attempt")
    assert violations(page) == []
    picture(page, "schedule")
    eventually(lambda: site.values("checkout") == {(True, root)}, within=30)
    page.get_by_role("link", name="Agenda").click()
    expect(page.locator(".fs-status-applied")).to_have_count(1)
    assert violations(page) == []
    picture(page, "agenda")
    page.goto(LIST)
    picture(page, "schedules")
    for dark, phone in ((True, False), (False, True), (True, True)):
        other = sign_in("vic", dark=dark, phone=phone)
        other.goto(f"{LIST}agenda/")
        assert violations(other) == []
        width, wide = other.evaluate("[document.documentElement.clientWidth, document.documentElement.scrollWidth]")
        assert wide <= width
        picture(other, f"agenda-{'dark' if dark else 'light'}{'-phone' if phone else ''}")
        other.goto(LIST)
        picture(other, f"schedules-{'dark' if dark else 'light'}{'-phone' if phone else ''}")
