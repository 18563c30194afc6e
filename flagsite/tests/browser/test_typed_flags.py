"""A person defines a flag with variants on a wide screen, and reads and changes it on a phone."""

from __future__ import annotations

from collections.abc import Callable

import pytest
from playwright.sync_api import expect

from flagsite.tests.browser.conftest import SignIn
from flagsite.tests.browser.test_overview import fits, serious
from flagsite.tests.crash.installation import Installation

pytestmark = pytest.mark.slow
VARIANTS = '[{"key": "blue", "value": "#00f"},\n {"key": "red", "value": "#f00"}]'


def test_a_flag_with_variants_is_defined_read_and_changed(
    site: Installation, sign_in: SignIn, picture: Callable[..., None]
) -> None:
    page = sign_in("olga")
    page.goto("/admin/flags/flag/add/")
    page.get_by_label("Key").fill("button-color")
    page.get_by_text("Type and variants").click()
    page.get_by_label("Type", exact=True).select_option("string")
    page.get_by_label("Variants").fill(VARIANTS)
    page.get_by_label("Off variant").fill("green")
    page.get_by_label("Reason").fill("orders")
    page.get_by_role("button", name="Save", exact=True).click()
    expect(page.get_by_text("Unknown variant 'green'. The variants are: blue, red.").first).to_be_visible()
    page.get_by_label("Off variant").fill("red")
    picture(page, "typed-form")
    assert serious(page) == []
    page.get_by_role("button", name="Save", exact=True).click()
    phone = sign_in("olga", dark=True, phone=True)
    phone.goto("/admin/flags/flag/")
    phone.get_by_role("link", name="button-color", exact=True).first.click()
    expect(phone.locator(".fs-rules")).to_contain_text('blue "#00f" (default)')
    expect(phone.locator(".fs-rules")).to_contain_text('red "#f00" (off)')
    assert serious(phone) == []
    assert fits(phone)
    picture(phone, "typed-phone")
    phone.get_by_role("link", name="Definition", exact=True).click()
    expect(phone.get_by_label("Variants")).to_have_value(VARIANTS)
    picture(phone, "typed-form-phone")
    assert fits(phone)
