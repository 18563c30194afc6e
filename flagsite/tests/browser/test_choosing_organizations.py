"""The field to choose an organization: suggestions with paths, and the path of the chosen one, in Chromium."""

from __future__ import annotations

from collections.abc import Callable

import pytest
from playwright.sync_api import Page, expect

from flagsite.tests.browser.conftest import SignIn
from flagsite.tests.crash.installation import Installation

pytestmark = pytest.mark.slow


@pytest.mark.parametrize(("dark", "phone"), [(False, False), (True, True)])
def test_a_person_types_a_part_of_the_name_and_sees_paths(
    site: Installation, sign_in: SignIn, picture: Callable[[Page, str], None], *, dark: bool, phone: bool
) -> None:
    site.plant_tree(2, 2)
    site.sql("UPDATE orgs_organization SET name = 'Oslo', key = 'oslo-' || id WHERE id IN (3, 6)")
    page = sign_in("ada", dark=dark, phone=phone)
    page.goto("/admin/orgs/accesskey/add/")
    field = page.get_by_label("Organization")
    field.fill("oslo")
    options = page.locator("datalist option")
    expect(options).to_have_count(2)
    expect(options.first).to_have_attribute("value", "oslo-3")
    expect(options.first).to_contain_text("› Oslo (oslo-3)")
    expect(page.locator("#id_organization-suggestions > span")).to_contain_text("2 found: choose one.")
    field.fill("oslo-3")
    expect(page.locator("#id_organization-suggestions > span")).to_contain_text("› Oslo")
    picture(page, f"key-add-{'dark' if dark else 'light'}")
    page.goto("/admin/orgs/organization/3/change/")
    picture(page, f"organization-history-{'dark' if dark else 'light'}")
    page.goto("/admin/auth/user/add/")
    picture(page, f"person-add-{'dark' if dark else 'light'}")
    page.goto("/admin/orgs/auditentry/")
    picture(page, f"audit-{'dark' if dark else 'light'}")
