"""Who gets into the admin site, and what is offered to them."""

from __future__ import annotations

import re
from collections.abc import Callable

import pytest
from playwright.sync_api import Page, expect

from flagsite.tests.browser.conftest import SignIn

pytestmark = pytest.mark.slow


def test_an_operator_finds_the_jobs_from_the_front_page(sign_in: SignIn, picture: Callable[[Page, str], None]) -> None:
    page = sign_in("olga")
    picture(page, "front")
    page.get_by_role("link", name="Jobs").first.click()
    expect(page.get_by_role("textbox", name="A job's number")).to_be_visible()
    expect(page).to_have_url(re.compile("/admin/jobs/job/$"))
    picture(page, "jobs")
