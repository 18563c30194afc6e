"""People find organizations, switch a flag with a look ahead, move, and import a file."""

from __future__ import annotations

import re
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
from playwright.sync_api import Page, expect

from flagsite.tests.browser.conftest import SignIn
from flagsite.tests.browser.test_overview import fits, serious
from flagsite.tests.crash.installation import Installation

pytestmark = pytest.mark.slow
Picture = Callable[[Page, str], None]
TREE = "/admin/orgs/organization/"
IMPORT = "/admin/jobs/organizationimport/add/"


@pytest.fixture
def planted(site: Installation) -> Installation:
    """Root, with West (Lisbon, Porto) and East (Tartu)."""
    site.plant_tree(2, 2)
    named = {1: "Root", 2: "West", 3: "Lisbon", 4: "Porto", 5: "East", 6: "Tartu", 7: "Narva"}
    for number, name in named.items():
        site.sql("UPDATE orgs_organization SET name = %s, key = lower(%s) WHERE id = %s", [name, name, number])
    return site


def test_a_switch_shows_what_it_would_change_and_its_job_reaches_everyone(
    planted: Installation, sign_in: SignIn, picture: Picture
) -> None:
    planted.start_worker()
    page = sign_in("olga")
    page.goto(TREE)
    page.locator("#node-1 > summary").click()
    page.locator("#node-2 > summary").focus()
    page.keyboard.press("Enter")
    expect(page.get_by_role("link", name=re.compile(r"(^|› )Lisbon$"))).to_be_visible()
    picture(page, "tree")
    page.get_by_role("link", name=re.compile(r"(^|› )West$")).click()
    page.get_by_role("link", name="Set a flag").click()
    page.get_by_label("Flag").fill("checkout")
    page.get_by_label("Reason").fill("Launch in the west")
    page.get_by_role("button", name="Show the effect").click()
    expect(page.locator("#preview")).to_contain_text("3 get a new value")
    picture(page, "switch")
    page.get_by_role("button", name="Set the flag").click()
    expect(page.locator("#job-now .fs-status-COMPLETED").first).to_be_visible(timeout=30_000)
    page.goto(f"{TREE}?q=lisbon")
    expect(page.locator("main, #main").first).to_contain_text("Root › West › Lisbon")
    page.get_by_role("link", name=re.compile(r"(^|› )Lisbon$")).click()
    row = page.locator("#flags tbody tr", has_text="checkout")
    expect(row).to_contain_text("on")
    expect(row).to_contain_text("Root › West")
    picture(page, "organization")


@pytest.mark.parametrize(("dark", "phone"), [(False, False), (True, True)])
def test_an_organization_shows_its_flags_at_another_time_and_what_has_changed_since(
    planted: Installation, sign_in: SignIn, picture: Picture, *, dark: bool, phone: bool
) -> None:
    name = f"kiosk-{dark}"
    for value in ("true", "false"):
        assert planted.post(f"/3/{name}/{value}").status_code == 200
        for table in ("orgs_organization", "flags_flag", "flags_flagsetting", "flags_replacedsetting", "flags_change"):
            planted.sql(f"UPDATE {table} SET created_at = created_at - interval '1 hour'")
        planted.sql("UPDATE flags_replacedsetting SET replaced_at = replaced_at - interval '1 hour'")
        planted.sql("UPDATE flags_formerplacement SET valid_until = valid_until - interval '1 hour'")
        planted.sql("UPDATE flags_historybegin SET begins_at = begins_at - interval '1 hour'")
    page = sign_in("vic", dark=dark, phone=phone)
    page.goto(f"{TREE}3/change/")
    page.get_by_label("Flags at (UTC)").fill(f"{datetime.now(UTC) - timedelta(minutes=90):%Y-%m-%dT%H:%M:%S}")
    page.get_by_role("button", name="Show").click()
    row = page.locator("#past-flags tbody tr", has_text=name)
    expect(row).to_contain_text("set here")
    changed = page.locator("#past-differences tbody tr", has_text=name)
    expect(changed).to_contain_text("value")
    expect(changed).to_contain_text("change")
    assert serious(page) == []
    assert fits(page)
    picture(page, f"organization-past-{'dark-phone' if dark else 'light'}")


def test_an_organization_is_compared_with_another_and_its_history_is_told_in_sentences(
    planted: Installation, sign_in: SignIn
) -> None:
    assert planted.post("/3/kiosk/true").status_code == 200  # creates the flag and sets it, as one operation
    page = sign_in("vic")
    page.goto("/admin/")
    told = page.locator("#changes li", has_text="set kiosk on for Lisbon")
    expect(told).to_contain_text("and 1 more")
    told.get_by_role("link", name="Lisbon").click()
    expect(page.locator("#flags tbody tr", has_text="kiosk")).to_contain_text("set here")
    page.get_by_label("Compare with").fill("porto")
    page.keyboard.press("Enter")
    row = page.locator("#differences tbody tr", has_text="kiosk")
    expect(row).to_contain_text("value, source, setting")
    assert serious(page) == []
    page.goto("/admin/orgs/auditentry/")
    page.locator("#searchbar").fill("Lisbon")
    page.keyboard.press("Enter")
    entry = page.locator("#result_list tbody tr", has_text="set kiosk on for Lisbon")
    expect(entry).to_be_visible()
    page.goto("/admin/orgs/auditentry/?flag=kiosk")
    expect(entry.get_by_text("created kiosk")).to_be_hidden()
    entry.locator("summary").focus()
    page.keyboard.press("Enter")
    expect(entry.get_by_text("created kiosk")).to_be_visible()
    assert serious(page) == []


def test_an_administrator_moves_with_a_look_ahead_and_keeps_the_values(
    planted: Installation, sign_in: SignIn, picture: Picture
) -> None:
    planted.start_worker()
    planted.manage("set_flag", "east", "search", "on", "--wait")
    page = sign_in("ada")
    page.goto(f"{TREE}2/change/")
    page.get_by_role("link", name="Move").click()
    page.get_by_label("New parent").fill("east")
    page.get_by_role("button", name="Show what would change").click()
    expect(page.locator("#preview")).to_contain_text("3 organizations move below East (east).")
    expect(page.locator("#preview")).to_contain_text("3 organizations get another stored value of search.")
    page.get_by_label("Keep the values of flags").check()
    page.get_by_role("button", name="Move").click()
    expect(page.locator("#preview")).to_contain_text("West keeps search off as a setting of its own.")
    picture(page, "move")
    page.get_by_role("button", name="Move").click()
    expect(page.get_by_role("navigation", name="Path")).to_contain_text("East")
    assert planted.sql("SELECT parent_id FROM orgs_organization WHERE id = 2") == [(5,)]
    expect(page.locator("#flags tbody tr", has_text="search")).to_contain_text("off")


def test_a_file_with_faults_is_refused_and_a_good_one_imported(
    planted: Installation, sign_in: SignIn, picture: Picture, tmp_path: Path
) -> None:
    planted.start_worker()
    bad, good = tmp_path / "bad.csv", tmp_path / "good.csv"
    bad.write_text("key,name,parent_key\nparis,,west\nlyon,Lyon,nowhere\n")
    good.write_text("key,name,parent_key\nparis,Paris,west\nlyon,Lyon,paris\nporto,Porto Novo,east\n")
    page = sign_in("ada")
    page.goto(TREE)
    page.get_by_role("link", name="Import a file").click()
    page.set_input_files("#id_file", bad)
    page.get_by_role("button", name="Check the file").click()
    expect(page.get_by_role("alert")).to_contain_text("2 problems", timeout=30_000)
    expect(page.get_by_role("region", name="Lines of the file")).to_contain_text("nowhere")
    picture(page, "import-refused")
    page.get_by_role("link", name="Check another file").click()
    page.set_input_files("#id_file", good)
    page.get_by_role("button", name="Check the file").click()
    now = page.locator("#import-now [role=status]")
    expect(now).to_contain_text("2 organizations would be created", timeout=30_000)
    expect(page.get_by_role("region", name="Lines of the file")).to_contain_text("Porto → Porto Novo")
    picture(page, "import-checked")
    with page.expect_download() as download:
        page.get_by_role("link", name="Download the whole report").click()
    report = download.value.path().read_text(encoding="utf-8-sig").splitlines()
    assert report[1:] == [
        "2,create,paris,Paris,,west,,",
        "3,create,lyon,Lyon,,paris,,",
        "4,move and rename,porto,Porto Novo,Porto,east,west,",
    ]
    page.get_by_role("button", name="Import", exact=True).click()
    expect(now).to_contain_text("2 organizations created", timeout=30_000)
    picture(page, "import-done")
    assert planted.sql("SELECT count(*) FROM orgs_organization WHERE key IN ('paris', 'lyon')") == [(2,)]


def test_a_viewer_sees_the_tree_and_changes_nothing_of_it(planted: Installation, sign_in: SignIn) -> None:
    page = sign_in("vic")
    page.goto(TREE)
    expect(page.get_by_role("link", name=re.compile(r"(^|› )Root$"))).to_be_visible()
    assert page.get_by_role("link", name="Import a file").count() == 0
    page.goto(f"{TREE}2/change/")
    expect(page.get_by_role("navigation", name="Path")).to_contain_text("Root")
    for name in ("Set a flag", "Move", "Rename", "Delete"):
        assert page.get_by_role("link", name=name).count() == 0, name
    for path in ("/admin/flags/flag/set/2/", f"{TREE}2/move/do/", f"{TREE}2/delete/do/", IMPORT):
        refused = page.goto(path)
        assert refused is not None
        assert refused.status == 403, path


def test_who_is_bound_to_an_organization_finds_nothing_else(planted: Installation, sign_in: SignIn) -> None:
    planted.sql(
        "INSERT INTO orgs_staffscope (user_id, organization_id) SELECT id, 2 FROM auth_user WHERE username = 'bea'"
    )
    planted.set_flag(1, "checkout", True)
    page = sign_in("bea")
    page.goto(TREE)
    expect(page.get_by_role("link", name=re.compile(r"(^|› )West$"))).to_be_visible()
    page.goto(f"{TREE}?q=t")
    expect(page.get_by_role("link", name=re.compile(r"(^|› )Porto$"))).to_be_visible()
    for name in ("Root", "Tartu", "East"):
        assert page.get_by_text(name).count() == 0, name
    page.goto("/admin/jobs/job/")
    expect(page.get_by_role("heading", name="There is nothing yet")).to_be_visible()
    planted.sql("DELETE FROM orgs_staffscope")


@pytest.mark.parametrize("dark", [False, True], ids=["light", "dark"])
def test_the_pages_keep_nobody_out(planted: Installation, sign_in: SignIn, picture: Picture, dark: bool) -> None:
    planted.sql("INSERT INTO flags_flag (key, description) VALUES ('checkout', '') ON CONFLICT DO NOTHING")
    flag = planted.sql("SELECT id FROM flags_flag WHERE key = 'checkout'")[0][0]
    planted.sql(
        "INSERT INTO orgs_organizationattribute (organization_id, name, value) "
        "VALUES (1, 'plan', '\"free\"'), (2, 'plan', '\"pro\"'), (1, 'regions', '[\"eu\"]') ON CONFLICT DO NOTHING"
    )
    page, phone = sign_in("ada", dark=dark), sign_in("ada", dark=dark, phone=True)
    pages = {
        "organizations": TREE, "search": f"{TREE}?q=o", "organization": f"{TREE}2/change/", "move": f"{TREE}2/move/do/",
        "attribute": f"{TREE}2/attribute/do/?name=plan",
        "delete": f"{TREE}2/delete/do/", "import": IMPORT, "set": "/admin/flags/flag/set/2/",
        "flags": "/admin/flags/flag/", "flag": f"/admin/flags/flag/{flag}/change/",
        "define": "/admin/flags/flag/add/", "archive": f"/admin/flags/flag/{flag}/archive/do/",
        "purge": f"/admin/flags/flag/{flag}/purge/do/",
    }  # fmt: skip
    for name, address in pages.items():
        page.goto(address)
        if name == "organizations":
            page.locator("#node-1 > summary").click()
            page.get_by_role("link", name=re.compile(r"(^|› )West$")).wait_for()
        picture(page, f"{name}-{'dark' if dark else 'light'}")
        assert serious(page) == [], name
        phone.goto(address)
        assert fits(phone), name
    picture(phone, f"flag-phone-{'dark' if dark else 'light'}")


@pytest.mark.parametrize("dark", [False, True], ids=["light", "dark"])
def test_a_long_path_is_folded_and_leads_to_its_ends(
    planted: Installation, sign_in: SignIn, picture: Picture, dark: bool
) -> None:
    lowest = 1
    for level in range(1, 31):
        answer = planted.post("/organizations", json={"key": f"l{level}", "name": f"Level {level}", "parentId": lowest})
        lowest = answer.json()["id"]
    planted.post(f"/{lowest}/checkout/true")
    flag = planted.sql("SELECT id FROM flags_flag WHERE key = 'checkout'")[0][0]
    address = f"{TREE}{lowest}/change/"
    page, phone = sign_in("ada", dark=dark), sign_in("ada", dark=dark, phone=True)
    for person, width in ((page, "wide"), (phone, "narrow")):
        person.goto(f"/admin/flags/flag/{flag}/evaluate/?organization=id:{lowest}")
        expect(person.locator("#path")).to_contain_text("22 organizations between")
        picture(person, f"long-path-of-a-flag-{width}-{'dark' if dark else 'light'}")
        assert serious(person) == []
        assert fits(person)
        person.goto(address)
        expect(person.get_by_label("Path")).to_contain_text("22 organizations between")
        picture(person, f"long-path-{width}-{'dark' if dark else 'light'}")
        assert serious(person) == []
        assert fits(person)
    page.get_by_label("Path").get_by_role("link", name="Root").click()
    page.wait_for_url(f"**{TREE}1/change/")
