"""A person builds targeting rules and variants as cards and rows, and sees what they do before saving."""

from __future__ import annotations

import json
from collections.abc import Callable

import pytest
from playwright.sync_api import Locator, Page, expect

from flagsite.tests.browser.conftest import SignIn
from flagsite.tests.browser.test_overview import fits, serious
from flagsite.tests.crash.installation import Installation

pytestmark = pytest.mark.slow
PROS = {
    "id": "pros",
    "clauses": [{"attribute": "plan", "op": "in", "values": ["pro"]}],
    "serve": {"variant": "on"},
}
ADULTS = {
    "id": "adults",
    "clauses": [{"attribute": "age", "op": "gte", "values": [18]}],
    "serve": {"rollout": {"on": 20, "off": 80}, "by": "organization"},
}


def stored(site: Installation, key: str) -> dict[str, object]:
    """The definition as the API gives it."""
    return dict(site.get(f"/v1/feature-flags/{key}").json())


def open_editor(page: Page, key: str) -> None:
    page.goto(f"/admin/flags/flag/?q={key}")
    page.get_by_role("link", name=key, exact=True).first.click()
    page.get_by_role("link", name="Definition", exact=True).click()
    if not page.get_by_text("Targeting rules, in their order").is_visible():
        page.get_by_text("Exceptions from the values of organizations").click()


def save(page: Page) -> None:
    page.get_by_role("button", name="Save", exact=True).click()
    page.wait_for_url(lambda url: "tab=definition" not in url)


@pytest.mark.parametrize("phone", [False, True])
def test_rules_are_built_with_the_mouse_and_tried_out_before_they_are_saved(
    site: Installation, sign_in: SignIn, picture: Callable[..., None], phone: bool
) -> None:
    key = "built-phone" if phone else "built"
    site.manage("define_flag", key)
    page = sign_in("olga", dark=phone, phone=phone)
    open_editor(page, key)
    for number, (attribute, value) in enumerate([("plan", "pro"), ("age", "18")], 1):
        page.get_by_role("button", name="Add a rule").click()
        rule = page.get_by_role("region", name=f"Rule {number}")
        rule.get_by_label("Attribute").fill(attribute)
        rule.get_by_label("Values").fill(value)
    second = page.get_by_role("region", name="Rule 2")
    second.get_by_label("Operator").select_option("≥")
    second.get_by_label("Serve", exact=True).select_option("a share")
    second.get_by_label("on %").fill("20")
    second.get_by_label("of", exact=True).select_option("organizations")
    page.locator("#try-out").get_by_label("Attributes").fill('{"plan": "pro"}')
    expect(page.locator("#try-out-result")).to_contain_text("This context gets on by the rule rule-1.")
    expect(page.locator(".fs-decides")).to_have_attribute("aria-label", "Rule 1")
    assert serious(page) == []
    assert fits(page)
    picture(page, "definition-editor-phone" if phone else "definition-editor")
    if not phone:
        second.locator(".fs-handle").drag_to(page.get_by_role("region", name="Rule 1").locator(".fs-handle"))
        page.get_by_role("button", name="Review the change").click()
        expect(page.locator("#main")).to_contain_text("rules")
        page.go_back()
    save(page)
    ids = {"id": "rule-1"}, {"id": "rule-2"}
    first, last = PROS | ids[0], ADULTS | ids[1]
    assert stored(site, key)["rules"] == ([first, last] if phone else [last, first])


def test_rules_are_built_and_ordered_with_the_keyboard(site: Installation, sign_in: SignIn) -> None:
    site.manage("define_flag", "typed-in", f"rules={json.dumps([PROS, ADULTS])}")
    page = sign_in("olga")
    open_editor(page, "typed-in")
    up = page.get_by_role("button", name="Move rule 2 up")
    up.press("Enter")
    expect(page.get_by_role("button", name="Move rule 1 down")).to_be_focused()
    page.get_by_role("button", name="Add a clause to rule 1").press("Enter")
    expect(page.get_by_label("Attribute").nth(1)).to_be_focused()
    page.keyboard.type("country")
    page.keyboard.press("Tab")
    page.keyboard.press("Tab")
    page.keyboard.type('DE, "1"')
    page.keyboard.press("Enter")
    page.keyboard.type('"12", true, 1.0')
    page.keyboard.press("Enter")
    save(page)
    clause = {"attribute": "country", "op": "in", "values": ["DE", "1", "12", True, 1.0]}
    assert stored(site, "typed-in")["rules"] == [ADULTS | {"clauses": [*ADULTS["clauses"], clause]}, PROS]


def swipe(page: Page, start: Locator, end: Locator) -> None:
    """Move a finger from the middle of one element to that of another."""
    start.scroll_into_view_if_needed()
    finger = page.context.new_cdp_session(page)
    places = [start.bounding_box(), end.bounding_box()]
    (x, y), (to_x, to_y) = [(box["x"] + box["width"] / 2, box["y"] + box["height"] / 2) for box in places if box]
    finger.send("Input.dispatchTouchEvent", {"type": "touchStart", "touchPoints": [{"x": x, "y": y}]})
    for share in (0.25, 0.5, 0.75, 1):
        point = {"x": x + (to_x - x) * share, "y": y + (to_y - y) * share}
        finger.send("Input.dispatchTouchEvent", {"type": "touchMove", "touchPoints": [point]})
    finger.send("Input.dispatchTouchEvent", {"type": "touchEnd", "touchPoints": []})


def test_a_finger_drags_a_rule_to_another_place(site: Installation, sign_in: SignIn) -> None:
    last = ADULTS | {"id": "last"}
    site.manage("define_flag", "dragged", f"rules={json.dumps([PROS, ADULTS, last])}")
    page = sign_in("olga", phone=True)
    open_editor(page, "dragged")
    heads = [page.get_by_role("region", name=f"Rule {number}").locator(".fs-handle") for number in (1, 2)]
    swipe(page, heads[1], heads[0])
    expect(page.get_by_role("status").filter(has_text="The rule adults is now number 1 of 3.")).to_be_attached()
    save(page)
    assert stored(site, "dragged")["rules"] == [ADULTS, PROS, last]


def test_organizations_segments_and_attributes_are_completed_while_a_person_types(
    site: Installation, sign_in: SignIn, picture: Callable[..., None]
) -> None:
    root = site.plant_tree(2, 2)
    site.sql("UPDATE orgs_organization SET name = 'Oslo', key = 'oslo-' || id WHERE id IN (3, 6)")
    site.sql("UPDATE orgs_organization SET name = 'مكتب أوسلو' WHERE id = 7")
    site.manage("define_segment", "testers", "description=Who tries new things.")
    site.manage("set_attributes", f"id:{root}", '{"seats": 3}')
    site.manage("define_flag", "before-completed")
    site.manage("define_flag", "completed", f"rules={json.dumps([PROS])}", 'prerequisites=["before-completed"]')
    page = sign_in("olga")
    open_editor(page, "completed")
    rule = page.get_by_role("region", name="Rule 1")
    attribute = rule.get_by_role("combobox", name="Attribute")
    attribute.fill("sea")
    expect(page.get_by_role("option", name="org.seats of the organization")).to_be_visible()
    attribute.press("ArrowDown")
    attribute.press("Enter")
    expect(attribute).to_have_value("org.seats")
    rule.get_by_label("Operator").select_option("the organization is at or below")
    values = rule.get_by_role("combobox", name="Values")
    values.fill("oslo")
    offer = page.get_by_role("option").filter(has_text="oslo-6")
    expect(offer).to_contain_text("› Oslo")
    values.press("ArrowUp")  # the last one
    expect(values).to_have_attribute("aria-activedescendant", str(offer.get_attribute("id")))
    assert serious(page) == []
    picture(page, "organizations-completed", whole=False)
    values.press("Escape")
    expect(offer).to_be_hidden()
    path = f"{site.sql('SELECT name FROM orgs_organization WHERE parent_id IS NULL ORDER BY id LIMIT 1')[0][0]} › oslo"
    values.fill(path)
    page.get_by_role("option").filter(has_text="oslo-3").click()
    expect(rule.locator(".fs-chips > li").filter(has_text="oslo-3")).to_contain_text("› Oslo")
    expect(values).to_be_focused()
    rule.get_by_role("button", name="Remove the value pro").click()
    rule.get_by_role("button", name="Add a clause to rule 1").click()
    second = rule.get_by_role("group", name="Clause 2 of rule 1")
    second.get_by_label("Operator").select_option("the user is in the segment")
    second.get_by_role("combobox", name="Values").press("ArrowDown")
    page.get_by_role("option", name="testers Who tries new things.").click()
    save(page)
    clauses = [{"op": "inSubtree", "values": ["oslo-3"]}, {"op": "inSegment", "values": ["testers"]}]
    assert stored(site, "completed")["rules"] == [PROS | {"clauses": clauses}]


def test_without_scripts_the_json_is_the_form(site: Installation, sign_in: SignIn) -> None:
    site.manage("define_flag", "plain", f"rules={json.dumps([PROS])}")
    page = sign_in("olga")
    page.route("**/definition_editor.js", lambda route: route.abort())
    open_editor(page, "plain")
    expect(page.get_by_text("Try out before saving")).to_be_hidden()
    page.get_by_label("Rules").fill(json.dumps([PROS, ADULTS]))
    save(page)
    assert stored(site, "plain")["rules"] == [PROS, ADULTS]


def test_variants_are_edited_as_rows_and_rules_serve_them(
    site: Installation, sign_in: SignIn, picture: Callable[..., None]
) -> None:
    variants = [{"key": "small", "value": 1.0}, {"key": "large", "value": 2.5}]
    site.manage("define_flag", "rows", "type=float", f"variants={json.dumps(variants)}", "enabled=true")
    page = sign_in("olga")
    page.goto("/admin/flags/flag/?q=rows")
    page.get_by_role("link", name="rows", exact=True).first.click()
    page.get_by_role("link", name="Definition", exact=True).click()
    expect(page.get_by_role("group", name="Variant 1").get_by_label("Value")).to_have_value("1.0")
    page.get_by_role("button", name="Add a variant").click()
    expect(page.get_by_role("group", name="Variant 3").get_by_label("Key")).to_be_focused()
    page.keyboard.type("huge")
    page.get_by_role("group", name="Variant 3").get_by_label("Value").fill("9")
    page.get_by_role("group", name="Variant 3").get_by_label("default").check()
    page.get_by_role("group", name="Variant 1").get_by_label("off").check()
    expect(page.locator("#try-out-result")).to_contain_text("This context gets huge.")
    assert serious(page) == []
    picture(page, "variants-as-rows")
    save(page)
    found = stored(site, "rows")
    assert found["variants"] == [*variants, {"key": "huge", "value": 9.0}]
    assert (found["defaultVariant"], found["offVariant"]) == ("huge", "small")
