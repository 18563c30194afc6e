"""People walk a flag's adoption down the tree, and find the flags that should go."""

from __future__ import annotations

from collections.abc import Callable

import pytest
from playwright.sync_api import Page, expect

from flagsite.tests.browser.conftest import SignIn
from flagsite.tests.browser.test_overview import fits, serious
from flagsite.tests.crash.installation import Installation

pytestmark = pytest.mark.slow
Picture = Callable[[Page, str], None]
FLAGS = """
from datetime import date
from django.utils import timezone
from flags.states.set_flag import set_flag
from flags.insights.adoption_counts import count_adoption
from flags.models import Flag, FlagUse, FlagUseTotal
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
def test_adoption_unfolds_down_to_the_minority(
    planted: Installation, sign_in: SignIn, picture: Picture, dark: bool
) -> None:
    page = sign_in("vic", dark=dark)
    page.goto("/admin/flags/flag/")
    page.get_by_role("link", name="Stale flags").click()
    expect(page.locator("#stale tbody tr")).to_contain_text("The flag expired on 2026-01-31.")
    assert serious(page) == []
    picture(page, "stale-dark" if dark else "stale")
    page.get_by_role("link", name="checkout").click()
    expect(page.get_by_text("off for 1 under 1 parent (Tartu)")).to_be_visible()
    for name in ("Root", "East"):
        page.locator("summary", has_text=name).click()
    tartu = page.locator("li", has=page.get_by_role("link", name="Open Tartu", exact=True)).last
    expect(tartu.locator(".fs-status")).to_have_text("off")
    expect(page.locator("summary", has_text="East")).to_contain_text("on for 2, off for 1")
    expect(page.locator("summary", has_text="West")).to_contain_text("on for all 3")
    assert serious(page) == []
    picture(page, "adoption-dark" if dark else "adoption")


def test_adoption_fits_a_phone(planted: Installation, sign_in: SignIn, picture: Picture) -> None:
    page = sign_in("vic", phone=True)
    page.goto("/admin/flags/flag/stale/")
    assert fits(page)
    page.get_by_role("link", name="checkout").click()
    page.locator("summary", has_text="Root").click()
    expect(page.locator("summary", has_text="East")).to_be_visible()
    assert fits(page)
    picture(page, "adoption-phone")
