"""A person writes a segment with cards and chips, and sees who is in it before saving."""

from __future__ import annotations

import json
from collections.abc import Callable

import pytest
from playwright.sync_api import expect

from flagsite.tests.browser.conftest import SignIn
from flagsite.tests.browser.test_overview import fits, serious
from flagsite.tests.crash.installation import Installation

pytestmark = pytest.mark.slow
PROS = {"id": "pros", "clauses": [{"attribute": "plan", "op": "in", "values": ["pro"]}]}


@pytest.mark.parametrize("phone", [False, True])
def test_a_segment_is_built_and_tried_out_before_it_is_saved(
    site: Installation, sign_in: SignIn, picture: Callable[..., None], phone: bool
) -> None:
    key = "built-phone" if phone else "built"
    site.manage("define_segment", key, f"rules={json.dumps([PROS])}", 'included=["user-17"]')
    site.manage("define_flag", f"asks-{key}", f'rules=[{{"clauses": [{{"op": "inSegment", "values": ["{key}"]}}], '
                f'"serve": {{"variant": "on"}}}}]')  # fmt: skip
    page = sign_in("olga", dark=phone, phone=phone)
    page.goto("/admin/flags/segment/")
    page.get_by_role("link", name=key, exact=True).first.click()
    expect(page.locator("#uses")).to_contain_text(f"the flag asks-{key}")
    page.get_by_role("button", name="Add a rule").click()
    rule = page.get_by_role("region", name="Rule 2")
    rule.get_by_label("Attribute").fill("country")
    rule.get_by_label("Values").fill("NO, SE")
    expect(rule.get_by_label("Serve")).to_have_count(0)
    keys = page.get_by_label("Add an included key")
    keys.fill("user-18")
    keys.press("Enter")
    page.get_by_role("button", name="Remove the value user-17").click()
    page.get_by_label("Add an excluded key").fill("user 4, of Bergen")
    page.locator("#try-out").get_by_label("Attributes").fill('{"country": "NO"}')
    expect(page.locator("#try-out-result")).to_contain_text("This context is in the segment.")
    expect(page.locator("#try-out-clauses")).to_contain_text('country is "NO" or "SE": yes, it is "NO".')
    expect(page.locator(".fs-decides")).to_have_attribute("aria-label", "Rule 2")
    expect(page.get_by_role("region", name="Rule 1").locator(".fs-outcome")).to_have_text("does not match")
    assert serious(page) == []
    assert fits(page)
    picture(page, f"segment-editor{'-phone' if phone else ''}")
    page.get_by_role("button", name="Save", exact=True).click()
    page.wait_for_url("**/admin/flags/segment/")
    found = site.get(f"/v1/segments/{key}").json()
    added = {"id": "rule-1", "clauses": [{"attribute": "country", "op": "in", "values": ["NO", "SE"]}]}
    assert found["rules"] == [PROS, added]
    assert (found["included"], found["excluded"]) == (["user-18"], ["user 4, of Bergen"])


def test_without_scripts_the_json_and_the_lines_are_the_form(site: Installation, sign_in: SignIn) -> None:
    site.manage("define_segment", "plain", f"rules={json.dumps([PROS])}")
    page = sign_in("olga")
    page.route("**/segment_editor.js", lambda route: route.abort())
    page.goto("/admin/flags/segment/")
    page.get_by_role("link", name="plain", exact=True).first.click()
    expect(page.get_by_text("Try out before saving")).to_be_hidden()
    page.get_by_label("Rules").fill("[]")
    page.get_by_label("Included").fill("user-1\nuser-2")
    page.get_by_role("button", name="Save", exact=True).click()
    page.wait_for_url("**/admin/flags/segment/")
    found = site.get("/v1/segments/plain").json()
    assert (found["rules"], found["included"]) == ([], ["user-1", "user-2"])
