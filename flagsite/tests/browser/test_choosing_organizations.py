"""The field to choose an organization: suggestions with paths, and the path of the chosen one, in Chromium."""

from __future__ import annotations

import pytest
from playwright.sync_api import expect

from flagsite.tests.browser.conftest import SignIn
from flagsite.tests.crash.installation import Installation

pytestmark = pytest.mark.slow


def test_a_person_types_a_part_of_the_name_and_sees_paths(site: Installation, sign_in: SignIn) -> None:
    page = sign_in("ada", "/admin/orgs/accesskey/add/")
    field = page.get_by_label("Organization")
    field.fill("oslo")
    option = page.locator("datalist option").first
    expect(option).to_have_attribute("value", "oslo")
    expect(option).to_have_text("Acme › North › Oslo (oslo)")
    expect(page.locator("#id_organization-suggestions")).to_have_text("Acme › North › Oslo")
