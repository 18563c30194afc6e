"""A person defines a flag with variants on a wide screen, and reads and changes it on a phone."""

from __future__ import annotations

from collections.abc import Callable

import pytest
from playwright.sync_api import expect

from flagsite.tests.browser.conftest import SignIn
from flagsite.tests.browser.test_overview import fits, serious
from flagsite.tests.crash.installation import Installation, eventually

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
    page.locator(".fs-json-field", has=page.locator("#id_variants")).locator("summary").click()
    page.get_by_label("Variants").fill(VARIANTS)
    page.locator("#id_off_variant").evaluate("input => { input.value = 'green' }")  # radio buttons stand for it
    page.get_by_label("Reason").fill("orders")
    page.get_by_role("button", name="Save", exact=True).click()
    expect(page.get_by_text("Unknown variant 'green'. The variants are: blue, red.").first).to_be_visible()
    page.get_by_label("Off variant").fill("red")
    picture(page, "typed-form")
    assert serious(page) == []
    page.get_by_role("button", name="Save", exact=True).click()
    phone = sign_in("olga", dark=True, phone=True)
    phone.goto("/admin/flags/flag/?q=button-color")
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


PLANTED = """
from flags.definitions import service
from flags.values.types import FlagType
from orgs.tree import tree_operations
acme = tree_operations.create(key="palette", name="Palette")
for number in range(3):
    tree_operations.create(key=f"palette-{number}", name=f"Shop {number}", parent_id=acme.pk)
service.create(key="palette-color", values={
    "type": "string", "variants": [{"key": "blue", "value": "#00f"}, {"key": "red", "value": "#f00"}],
    "default_variant": "blue", "off_variant": "", "value_schema": {"maxLength": 7}}, by="test")
print(acme.pk)
"""


def test_a_person_gives_an_organization_a_variant_and_one_below_its_own_value(
    site: Installation, sign_in: SignIn, picture: Callable[..., None]
) -> None:
    site.start_worker()
    acme = int(str(site.manage("shell", "--no-imports", "-c", PLANTED)).split()[-1])
    page = sign_in("olga")
    page.goto(f"/admin/flags/flag/set/{acme}/?flag=palette-color")
    page.get_by_label("Variant").fill("green")
    page.get_by_label("Reason").fill("a test of colours")
    page.get_by_role("button", name="Show the effect").click()
    expect(page.get_by_text("Unknown variant 'green'. The variants are: blue, red.").first).to_be_visible()
    page.get_by_label("Variant").fill("red")
    page.get_by_role("button", name="Show the effect").click()
    expect(page.locator("#preview")).to_contain_text("palette-color gets the stored value red")
    assert serious(page) == []
    picture(page, "typed-switch")
    page.get_by_role("button", name="Set the flag").click()
    expect(page.locator("body")).to_contain_text("switches palette-color red in Palette")
    phone = sign_in("olga", dark=True, phone=True)
    phone.goto(f"/admin/flags/flag/set/{acme + 1}/?flag=palette-color")
    phone.get_by_label("Custom value").fill('"#0f0"')
    phone.get_by_label("Reason").fill("their own green")
    phone.get_by_role("button", name="Show the effect").click()
    expect(phone.locator("#preview")).to_contain_text('gets the stored value "#0f0"')
    assert fits(phone)
    picture(phone, "typed-switch-phone")
    phone.get_by_role("button", name="Set the flag").click()
    expect(phone.locator("body")).to_contain_text("palette-color is custom now in Shop 0.")
    picture(phone, "typed-organization-phone")
    red = """SELECT count(*) FROM flags_flagstate WHERE variant = 2
              AND flag_id = (SELECT id FROM flags_flag WHERE key = 'palette-color')"""
    eventually(lambda: site.sql(red) == [(3,)], within=30)
    page.goto("/admin/flags/flag/?q=palette-color")
    page.get_by_role("link", name="palette-color", exact=True).first.click()
    page.goto(f"{page.url.partition('?')[0]}?below={acme}")
    expect(page.locator("body")).to_contain_text("set to red")
    picture(page, "typed-tree")
    expect(page.locator(".fs-status").get_by_text("red", exact=True).first).to_be_visible()  # inherited
    page.get_by_role("link", name="Set palette-color on Palette").click()
    expect(page.get_by_label("Variant")).to_contain_text("the default: blue")
    picture(page, "typed-dialog", whole=False)


@pytest.mark.parametrize("phone", [False, True])
def test_the_default_rollout_has_the_weights_and_the_bar_of_rules(
    site: Installation, sign_in: SignIn, picture: Callable[..., None], phone: bool
) -> None:
    key = "split-phone" if phone else "split"
    site.manage("define_flag", key, "type=string", f"variants={VARIANTS}", "enabled=true")
    page = sign_in("olga", dark=phone, phone=phone)
    page.goto(f"/admin/flags/flag/?q={key}")
    page.get_by_role("link", name=key, exact=True).first.click()
    page.get_by_role("link", name="Definition", exact=True).click()
    group = page.get_by_role("group", name="Default rollout")
    if not group.is_visible():
        page.get_by_text("Type and variants").click()
    group.get_by_label("roll out by weight").check()
    group.get_by_label("red %").fill("25")
    expect(group.get_by_role("status")).to_have_text("The weights add up to 75 %. Make them 100 %.")
    group.get_by_label("blue %").fill("75")
    expect(group.get_by_text("The weights add up")).to_have_count(0)
    group.get_by_label("of", exact=True).select_option("organizations")
    picture(page, "default-rollout-phone" if phone else "default-rollout")
    assert serious(page) == []
    assert fits(page)
    page.get_by_role("button", name="Save", exact=True).click()
    page.wait_for_url(lambda url: "tab=definition" not in url)
    expect(page.locator("#main")).to_contain_text("blue for 75 %, red for 25 % of organizations")
    stored = site.get(f"/v1/feature-flags/{key}").json()["defaultRollout"]
    assert stored == {"rollout": {"blue": 75, "red": 25}, "by": "organization"}
    page.get_by_role("link", name="Definition", exact=True).click()
    if not group.is_visible():
        page.get_by_text("Type and variants").click()
    group.get_by_label("roll out by weight").uncheck()
    page.get_by_role("button", name="Save", exact=True).click()
    page.wait_for_url(lambda url: "tab=definition" not in url)
    assert site.get(f"/v1/feature-flags/{key}").json()["defaultRollout"] is None
