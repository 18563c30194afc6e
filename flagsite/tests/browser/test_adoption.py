"""People walk a flag's adoption down the tree, and find the flags that should go."""

from __future__ import annotations

from collections.abc import Callable

import pytest
from playwright.sync_api import expect

from flagsite.tests.browser.conftest import SignIn
from flagsite.tests.browser.test_overview import fits, serious
from flagsite.tests.crash.installation import Installation

pytestmark = pytest.mark.slow
Picture = Callable[..., None]
FLAGS = """
from datetime import date
from django.utils import timezone
from flags.states.set_flag import set_flag
from flags.insights.adoption_counts import count_adoption
from flags.models import Flag, FlagUse, FlagUseDay, FlagUseTotal
from jobs.engine.runner import run_next
for organization, enabled in ((1, True), (6, False)):
    set_flag(organization_id=organization, flag_key="checkout", enabled=enabled)
    while run_next("propagation"):
        pass
Flag.objects.filter(key="checkout").update(expires_on=date(2026, 1, 31), owner="team-payments")
flag = Flag.objects.get(key="checkout")
now = timezone.now()
for flag_id, organization_id, number in ((flag.pk, 3, 1200), (0, 6, 40)):
    FlagUse.objects.update_or_create(flag_id=flag_id, organization_id=organization_id,
                                     defaults={"evaluations": number, "last_evaluated_at": now})
    FlagUseDay.objects.update_or_create(day=now.date(), flag_id=flag_id, organization_id=organization_id,
                                        defaults={"evaluations": number})
    FlagUseTotal.objects.update_or_create(flag_id=flag_id, defaults={
        "evaluations": number, "first_evaluated_at": now, "last_evaluated_at": now})
count_adoption()
"""


@pytest.fixture
def planted(site: Installation) -> Installation:
    """Root, with West (Lisbon, Porto) and East (Tartu, Narva); checkout is on, but not for Tartu."""
    site.plant_tree(2, 2)
    named = {1: "Root", 2: "West", 3: "Lisbon", 4: "Porto", 5: "East", 6: "Tartu", 7: "Narva"}
    for number, name in named.items():
        site.sql("UPDATE orgs_organization SET name = %s, key = lower(%s) WHERE id = %s", [name, name, number])
    site.manage("shell", "--no-imports", "-c", FLAGS)
    return site


@pytest.mark.parametrize("dark", [False, True])
def test_the_tree_of_a_flag_unfolds_down_to_the_minority(
    planted: Installation, sign_in: SignIn, picture: Picture, dark: bool
) -> None:
    page = sign_in("vic", dark=dark)
    page.goto("/admin/flags/flag/")
    page.get_by_role("link", name="Stale flags").click()
    expect(page.locator("#stale tbody tr")).to_contain_text("The flag expired on 2026-01-31.")
    expect(page.locator("#stale tbody tr")).to_contain_text("off for 1 under 1 parent (Tartu)")
    assert serious(page) == []
    picture(page, "stale-dark" if dark else "stale")
    page.get_by_role("link", name="checkout").click()
    east = page.locator("#node-5 > summary")
    expect(east).to_contain_text("on for 2, off for 1, 1 set below")  # the only root is open from the beginning
    expect(page.locator("#node-2 > summary")).to_contain_text("on for all 3")
    east.press("Enter")
    tartu = page.locator("li", has=page.get_by_role("link", name="Open Tartu", exact=True)).last
    expect(tartu.locator(".fs-status")).to_have_text("set off")
    expect(page.locator("#askers")).to_contain_text("Root › West › Lisbon")
    assert serious(page) == []
    picture(page, "flag-dark" if dark else "flag")


def test_an_operator_sets_a_flag_from_its_tree_and_sees_it_arrive(
    planted: Installation, sign_in: SignIn, picture: Picture
) -> None:
    page = sign_in("olga")
    page.goto("/admin/flags/flag/")
    page.get_by_role("link", name="checkout").click()
    page.get_by_label("Search for an organization in the tree").fill("narv")
    page.get_by_role("link", name="Show in the tree Narva").click()
    page.get_by_role("navigation", name="Path in the tree").get_by_role("link", name="East").click()
    page.get_by_role("link", name="Set checkout on East").click()
    dialog = page.get_by_role("dialog")
    expect(dialog.get_by_label("Value")).to_be_focused()
    dialog.get_by_label("Value").select_option("off")
    dialog.get_by_label("Reason").fill("till broken")
    dialog.get_by_role("button", name="Show the effect").click()
    expect(dialog.locator("#preview")).to_contain_text("2 get a new value")
    assert serious(page) == []
    picture(page, "set-from-the-tree", whole=False)
    dialog.get_by_role("button", name="Set the flag").click()
    expect(page.get_by_text("Reason: till broken")).to_be_visible()
    expect(page.locator("#under-way")).to_contain_text("A change is on its way down from Root › East")
    expect(page.locator("#node-5 > summary")).to_contain_text("on its way")
    planted.start_worker()
    expect(page.locator("#node-5 > summary")).to_contain_text("off for all 3", timeout=30_000)
    expect(page.locator("#under-way")).to_be_empty()
    expect(page.locator("#history-title ~ div")).to_contain_text("till broken")


def test_an_operator_locks_a_flag_from_its_tree_and_resets_it(
    planted: Installation, sign_in: SignIn, picture: Picture
) -> None:
    planted.start_worker()
    page = sign_in("olga")
    page.goto("/admin/flags/flag/")
    page.get_by_role("link", name="checkout").click()
    for value, below, button, effect in (
        ("off", "do not count: lock the flag here", "Lock the flag", "locked off"),
        ("as inherited", "stay", "Reset the flag", "on for 2, off for 1, 1 set below"),
    ):
        page.get_by_role("link", name="Set checkout on East").click()
        dialog = page.get_by_role("dialog")
        dialog.get_by_label("Value").select_option(value)
        dialog.get_by_label("Settings below").select_option(below)
        dialog.get_by_role("button", name="Show the effect").click()
        dialog.get_by_role("button", name=button).click()
        expect(page.locator("#node-5 > summary")).to_contain_text(effect, timeout=30_000)
        expect(page.locator("#under-way")).to_be_empty(timeout=30_000)
        if below != "stay":
            expect(page.get_by_text("locked above", exact=True)).to_be_visible()
            assert serious(page) == []
            picture(page, "locked-tree", whole=False)
    expect(page.get_by_text("locked above", exact=True)).not_to_be_visible()


def test_the_tree_of_a_flag_fits_a_phone(planted: Installation, sign_in: SignIn, picture: Picture) -> None:
    page = sign_in("olga", phone=True)
    page.goto("/admin/flags/flag/stale/")
    assert fits(page)
    page.get_by_role("link", name="checkout").click()
    page.locator("#node-5 > summary").press("Enter")
    expect(page.get_by_role("link", name="Open Tartu", exact=True)).to_be_visible()
    assert fits(page)
    picture(page, "flag-phone")
    page.get_by_role("link", name="Set checkout on Tartu").click()
    expect(page.get_by_role("dialog").get_by_label("Value")).to_be_visible()
    assert fits(page)
    picture(page, "set-from-the-tree-phone")
    page.get_by_role("dialog").get_by_role("link", name="Back").click()
    expect(page.get_by_role("dialog")).not_to_be_visible()
    page.context.clear_cookies()  # the session has ended
    page.get_by_role("link", name="Set checkout on Tartu").click()
    page.wait_for_url("**/admin/login/**")
