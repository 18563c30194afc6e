"""A person computes the statistics, and sees the charts fresh."""

from __future__ import annotations

from collections.abc import Callable

import pytest
from playwright.sync_api import expect

from flagsite.tests.browser.conftest import SignIn
from flagsite.tests.crash.installation import Installation

pytestmark = pytest.mark.slow


def test_the_button_starts_the_computation_and_the_charts_follow(
    site: Installation, sign_in: SignIn, picture: Callable[..., None]
) -> None:
    site.plant_tree(3, 5)
    site.set_flag(1, "new-basket", True)
    site.start_worker()
    page = sign_in("olga")
    page.get_by_role("link", name="Statistics").first.click()
    page.get_by_role("link", name="Compute statistics now").click()
    page.get_by_label("Reason").fill("For the board")
    page.get_by_role("button", name="Compute statistics now").click()
    expect(page.locator("#statistics-state")).to_contain_text("succeeded", timeout=60_000)
    expect(page.locator("#adoption-age")).to_contain_text("Computed")
    expect(page.locator("section", has_text="Adoption by flag")).to_contain_text("new-basket")
    picture(page, "statistics")
    dark = sign_in("vic", dark=True, phone=True)
    dark.goto("/admin/flags/statistic/")
    picture(dark, "statistics-dark-phone")
