"""People find a flag in the list and change its definition."""

from __future__ import annotations

from collections.abc import Callable

import pytest
from playwright.sync_api import expect

from flagsite.tests.browser.conftest import SignIn
from flagsite.tests.browser.test_overview import fits, serious
from flagsite.tests.crash.installation import Installation

pytestmark = pytest.mark.slow
Picture = Callable[..., None]
LIST = "/admin/flags/flag/"
FLAGS = """
from decimal import Decimal
from flags.definitions import service
from flags.insights.adoption_counts import count_adoption
from flags.states.set_flag import set_flag
service.create(key="checkout", by="user:ada", values={
    "description": "One page instead of four.", "owner": "payments", "tags": ["web"], "whitelist": ["user-1", "user-2"],
    "rollout_percentage": Decimal("37.5"), "environments": {"staging": True}})
service.create(key="suggestions", by="user:ada", values={
    "description": "What one may mean, while one types.", "owner": "search", "kind": "experiment",
    "prerequisites": ["checkout"]})
service.create(key="banner", by="user:olga", values={
    "description": "Tells of works to come.", "owner": "operations", "kind": "operational", "enabled": True})
service.create(key="old-search", by="user:olga", values={
    "description": "Searches the old way.", "owner": "search", "enabled": True, "killed": True})
set_flag(organization_id=3, flag_key="checkout", enabled=True, requested_by="user:olga")
count_adoption()
"""
LONG_ONE = """
from flags.definitions import service
key = "a-key-that.is_longer.than-a-phone-is.wide.and-goes-on.and-on.and-on"
service.create(key=key, by="user:olga", values={"description": "What it says. " * 20})
"""


@pytest.fixture
def planted(site: Installation) -> Installation:
    """Four flags, one of them killed."""
    site.plant_tree(2, 2)
    site.manage("shell", "--no-imports", "-c", FLAGS)
    return site


@pytest.mark.parametrize("dark", [False, True])
def test_a_definition_is_found_and_changed(
    planted: Installation, sign_in: SignIn, picture: Picture, dark: bool
) -> None:
    page = sign_in("olga", dark=dark)
    page.goto(LIST)
    expect(page.get_by_role("row", name="old-search").locator(".fs-status")).to_have_text("killed")
    expect(page.get_by_role("row", name="banner").locator(".fs-status")).to_have_text("live")
    expect(page.get_by_role("row", name="checkout").locator(".fs-measure")).to_have_text("on for 1, off for 6")
    assert serious(page) == []
    picture(page, "definitions-dark" if dark else "definitions")
    page.get_by_role("link", name="checkout").click()
    expect(page.locator("#header-inner")).to_contain_text("checkout")  # as it is written, not Checkout
    page.get_by_role("link", name="Definition", exact=True).click()
    expect(page.get_by_label("Whitelist")).to_be_visible()
    expect(page.get_by_label("Salt")).not_to_be_visible()  # rare fields are folded
    assert serious(page) == []
    picture(page, "definition-dark" if dark else "definition", whole=False)
    page.get_by_label("Description").fill("Two pages.")
    page.get_by_label("Reason").fill("simpler")
    page.get_by_role("button", name="Save", exact=True).click()
    expect(page.get_by_text("Two pages.", exact=True)).to_be_visible()
    expect(page.locator("#history-title ~ div")).to_contain_text("simpler")


def test_a_change_is_reviewed_before_it_is_saved_and_undone_from_the_audit_log(
    planted: Installation, sign_in: SignIn, picture: Picture
) -> None:
    page = sign_in("olga")
    page.goto(LIST)
    page.get_by_role("link", name="banner").click()
    page.get_by_role("link", name="Definition", exact=True).click()
    page.get_by_label("Killed").check()
    page.get_by_role("button", name="Review the change").click()
    expect(page.locator("#plan")).to_contain_text("killed: false → true")
    expect(page.locator("#plan")).to_contain_text("7 of 7 organizations get another answer.")
    assert serious(page) == []
    picture(page, "review")
    page.get_by_role("button", name="Save the change").click()
    expect(page.locator("#state-of-flag")).to_contain_text("The flag is killed.")
    page.goto("/admin/orgs/auditentry/")
    page.locator("#result_list a").first.click()
    page.get_by_role("link", name="Undo this change").click()
    row = page.get_by_role("row", name="killed")
    expect(row).to_contain_text("true")
    expect(row).to_contain_text("false")
    assert serious(page) == []
    picture(page, "undo-of-a-definition")
    page.get_by_label("Reason").fill("the wrong flag")
    page.get_by_role("button", name="Undo the change").click()
    expect(page.get_by_text("is undone: 1 field restored.")).to_be_visible()
    expect(page.locator("#state-of-flag")).to_have_count(0)


def test_many_flags_are_archived_from_the_list(planted: Installation, sign_in: SignIn, picture: Picture) -> None:
    page = sign_in("olga")
    page.goto(LIST)
    for key in ("banner", "suggestions"):
        page.get_by_role("row", name=key).get_by_role("checkbox").check()
    page.locator("select[name=action]").select_option("archive")
    page.get_by_role("button", name="Run").click()
    page.get_by_label("Reason").fill("nobody asks")
    assert serious(page) == []
    picture(page, "archive-many", whole=False)
    page.get_by_role("button", name="Archive", exact=True).click()
    expect(page.get_by_text("2 flags are archived. Reason: nobody asks")).to_be_visible()
    expect(page.get_by_role("row", name="banner").locator(".fs-status")).to_have_text("archived")


def test_nothing_of_them_is_cut_off_on_a_phone(planted: Installation, sign_in: SignIn, picture: Picture) -> None:
    planted.manage("shell", "--no-imports", "-c", LONG_ONE)
    page = sign_in("olga", phone=True, dark=True)
    page.goto(LIST)
    assert fits(page)
    cut_off = (
        "[...document.querySelectorAll('#result_list :is(td, th)')].filter(e => e.scrollHeight > e.clientHeight + 1)"
    )
    assert page.evaluate(f"{cut_off}.map(e => e.textContent)") == []
    picture(page, "definitions-phone")
    page.get_by_role("link", name="checkout").click()
    page.get_by_role("link", name="Definition", exact=True).click()
    expect(page.get_by_label("Description")).to_be_visible()
    assert fits(page)
    picture(page, "definition-phone")
