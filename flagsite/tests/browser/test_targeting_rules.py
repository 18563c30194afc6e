"""A person writes targeting rules of a flag, and tries out whom they match."""

from __future__ import annotations

from collections.abc import Callable

import pytest
from playwright.sync_api import expect

from flagsite.tests.browser.conftest import SignIn
from flagsite.tests.browser.test_overview import fits, serious
from flagsite.tests.crash.installation import Installation

pytestmark = pytest.mark.slow
RULES = """[
  {"id": "pros", "clauses": [{"attribute": "plan", "op": "in", "values": ["pro"]}], "serve": {"variant": "on"}},
  {"id": "adults", "clauses": [{"attribute": "age", "op": "gte", "values": [18]}],
   "serve": {"rollout": {"on": 20, "off": 80}}}]"""


@pytest.mark.parametrize("phone", [False, True])
def test_a_rule_is_written_read_in_words_and_tried_out(
    site: Installation, sign_in: SignIn, picture: Callable[..., None], phone: bool
) -> None:
    key = "ruled-phone" if phone else "ruled"
    site.manage("define_flag", key)
    page = sign_in("olga", dark=phone, phone=phone)
    page.goto(f"/admin/flags/flag/?q={key}")
    page.get_by_role("link", name=key, exact=True).first.click()
    page.get_by_role("link", name="Definition", exact=True).click()
    page.get_by_text("Exceptions from the values of organizations").click()
    rules = page.locator(".fs-json-field", has=page.locator("#id_targeting_rules"))
    rules.locator("summary").click()
    page.get_by_label("Rules").fill(RULES.replace("gte", "atLeast"))
    page.get_by_label("Reason").fill("the pilot")
    page.get_by_role("button", name="Save", exact=True).click()
    expect(page.locator(".errorlist", has_text="Rule 2, clause 1: Unknown operator 'atLeast'.")).to_be_visible()
    expect(page.locator(".errorlist", has_text="The rule begins on line 3.")).to_be_visible()
    rules.locator("summary").click()
    page.get_by_label("Rules").fill(RULES)
    picture(page, "targeting-rules-form-phone" if phone else "targeting-rules-form", whole=False)
    page.get_by_role("button", name="Save", exact=True).click()
    expect(page.locator(".fs-rules")).to_contain_text('plan is "pro": on')
    expect(page.locator(".fs-rules")).to_contain_text("age ≥ 18: on for 20 % of users")
    assert serious(page) == []
    assert fits(page)
    picture(page, "targeting-rules-phone" if phone else "targeting-rules")
    page.get_by_role("link", name="Try out").click()
    page.get_by_label("User").fill("ann")
    page.get_by_label("Attributes").fill('{"plan": "free", "age": 30}')
    page.get_by_role("button", name="Evaluate").click()
    expect(page.locator("#rules")).to_contain_text('The attribute \'plan\' is "free": in ["pro"] does not match.')
    expect(page.locator("#rules")).to_contain_text("The attribute 'age' is 30: gte [18] matches.")
    assert serious(page) == []
    assert fits(page)
    picture(page, "targeting-rules-tried-phone" if phone else "targeting-rules-tried")
