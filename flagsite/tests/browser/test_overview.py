"""The front page and the pages of keys, people, schedule and audit log, as people use them."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator

import httpx
import pytest
from axe_playwright_python.sync_playwright import Axe
from playwright.sync_api import Page, expect

from flagsite.tests.browser.conftest import SignIn
from flagsite.tests.crash.installation import Installation, eventually

pytestmark = pytest.mark.slow

Picture = Callable[[Page, str], None]


def serious(page: Page) -> list[str]:
    """What axe finds on the page that keeps people out."""
    found = Axe().run(page).response["violations"]
    return [
        f"{one['id']}: {[node['html'][:200] for node in one['nodes'][:5]]}"
        for one in found
        if one["impact"] in {"serious", "critical"}
    ]


def fits(page: Page) -> bool:
    """Whether nothing has to be scrolled sideways."""
    return bool(page.evaluate("document.documentElement.scrollWidth <= window.innerWidth"))


PAGES = {
    "overview": "/admin/",
    "queues": "/admin/jobs/queue/",
    "queue": "/admin/jobs/queue/default/change/",
    "pause": "/admin/jobs/queue/default/pause/",
    "workers": "/admin/jobs/worker/",
    "audit-log": "/admin/orgs/auditentry/",
    "keys": "/admin/orgs/accesskey/",
    "new-key": "/admin/orgs/accesskey/add/",
    "people": "/admin/auth/user/",
    "person": "/admin/auth/user/1/change/",
    "groups": "/admin/auth/group/",
    "tasks": "/admin/django_celery_beat/periodictask/",
    "task": "/admin/django_celery_beat/periodictask/1/change/",
}


@pytest.fixture
def busy(site: Installation) -> Installation:
    """Jobs that have run, a worker that is there, and nothing of what other tests have left."""
    site.sql("TRUNCATE jobs_jobtally")
    site.plant_tree(3, 5)
    site.start_worker()
    jobs = [site.set_flag(1, f"flag{number}", True) for number in range(3)]
    for job in jobs:
        eventually(lambda job=job: site.chain_ended(job), within=30)
    return site


@pytest.mark.parametrize(("dark", "phone"), [(False, False), (True, False), (False, True)])
def test_the_pages_keep_nobody_out(
    busy: Installation, sign_in: SignIn, picture: Picture, dark: bool, phone: bool
) -> None:
    page = sign_in("ada", dark=dark, phone=phone)
    look = f"{'dark' if dark else 'light'}-{'phone' if phone else 'desktop'}"
    wrong = {}
    for name, path in PAGES.items():
        page.goto(path)
        picture(page, f"{name}-{look}")
        problems = serious(page) + ([] if fits(page) else ["scrolls sideways"])
        if problems:
            wrong[name] = problems
    assert wrong == {}, json.dumps(wrong, indent=1)


@pytest.fixture
def full(site: Installation) -> Iterator[Installation]:
    """Texts as long as they may be and without a place to break, and lists of several pages."""
    site.plant_tree(2, 2)
    site.sql("UPDATE orgs_organization SET name = repeat('W', 200), key = repeat('k', 200) WHERE id = 2")
    site.sql(
        "INSERT INTO orgs_staffscope (user_id, organization_id) SELECT id, 2 FROM auth_user WHERE username = 'bea'"
    )
    paused = "paused_at = now(), paused_by = 'user:' || repeat('x', 100), pause_reason = repeat('/wiki', 40)"
    site.sql(f"UPDATE jobs_queue SET {paused} WHERE name = 'default'")
    for number in range(55):
        site.set_flag(2, f"{'flag' * 30}{number}" if number == 54 else f"flag{number}", True)
    yield site
    site.sql("UPDATE jobs_queue SET paused_at = NULL, paused_by = '', pause_reason = ''")
    site.sql("DELETE FROM orgs_staffscope")


@pytest.mark.parametrize(("dark", "phone"), [(False, False), (True, True)])
def test_long_texts_and_long_lists_leave_the_pages_as_wide_as_the_screen(
    full: Installation, sign_in: SignIn, picture: Picture, dark: bool, phone: bool
) -> None:
    page = sign_in("ada", dark=dark, phone=phone)
    bea = full.sql("SELECT id FROM auth_user WHERE username = 'bea'")[0][0]
    paths = {
        "overview": "/admin/", "queues": "/admin/jobs/queue/", "resume": "/admin/jobs/queue/default/resume/",
        "organization": "/admin/orgs/organization/2/change/", "audit-log": "/admin/orgs/auditentry/",
        "flags": "/admin/flags/flag/", "person": f"/admin/auth/user/{bea}/change/",
    }  # fmt: skip
    wrong = {}
    for name, path in paths.items():
        page.goto(path)
        picture(page, f"full-{name}-{'dark-phone' if dark else 'light'}")
        table = page.locator(".fs-scroll:has(table:not(#hours-as-table table))").first
        cut = table.count() and table.evaluate("box => box.scrollWidth > box.clientWidth")
        problems = serious(page) + ([] if fits(page) and not cut else ["scrolls sideways"])
        if problems:
            wrong[name] = problems
    assert wrong == {}, json.dumps(wrong, indent=1)


def test_the_front_page_says_how_things_are_and_says_it_anew(busy: Installation, sign_in: SignIn) -> None:
    page = sign_in("olga")
    completed, ended = page.locator("#status-COMPLETED .fs-figure"), page.locator("#total-completed strong")
    expect(completed).to_have_text(str(busy.sql("SELECT count(*) FROM jobs_job")[0][0]))
    before = int(ended.inner_text())
    expect(page.locator("#rate-1")).to_contain_text("100%")
    expect(page.locator("#worker-table")).to_contain_text("alive")
    page.get_by_text("Show as a table").click()
    job = busy.set_flag(1, "another", True)
    expect(ended).to_have_text(str(before + 1), timeout=15_000)
    expect(page.locator("#hours-as-table table")).to_be_visible()
    page.locator("#status-COMPLETED").click()
    page.wait_for_url("**/admin/jobs/job/?*status__exact=COMPLETED*")
    expect(page.locator("#result_list")).to_contain_text(str(job))


def test_the_front_page_is_quiet_while_nobody_looks(site: Installation, sign_in: SignIn) -> None:
    page = sign_in("vic")
    page.clock.install()
    page.reload()
    page.evaluate("Object.defineProperty(document, 'hidden', {get: () => true, configurable: true})")
    asked: list[str] = []
    page.on("request", lambda request: asked.append(request.url))
    page.clock.run_for(60_000)
    assert [url for url in asked if "/static/" not in url] == []  # the icon may come late
    page.evaluate("delete document.hidden")
    page.clock.resume()
    with page.expect_request("**/admin/overview/"):
        pass


def test_whose_session_ends_is_led_to_the_login(site: Installation, sign_in: SignIn) -> None:
    page = sign_in("vic")
    page.context.clear_cookies()
    page.wait_for_url("**/admin/login/**")


def test_an_admin_makes_a_key_and_uses_it_at_once(busy: Installation, sign_in: SignIn, picture: Picture) -> None:
    page = sign_in("ada")
    page.get_by_role("link", name="Access keys").first.click()
    page.goto("/admin/orgs/accesskey/add/")
    page.get_by_label("Name").fill("nightly sync")
    page.get_by_label("Role").select_option("editor")
    page.get_by_role("button", name="Save", exact=True).click()
    key = page.locator("#secret").inner_text()
    picture(page, "key-made")
    page.context.grant_permissions(["clipboard-read", "clipboard-write"])
    page.get_by_role("button", name="Copy").click()
    expect(page.get_by_role("status")).to_have_text("Copied.")
    assert page.evaluate("navigator.clipboard.readText()") == key
    address = f"http://127.0.0.1:{busy.port}/1/by-key/true"
    assert httpx.post(address, headers={"Authorization": f"Bearer {key}"}).status_code == 202
    page.get_by_role("link", name="Done").click()
    assert key not in page.content()
    page.get_by_role("link", name="Revoke nightly sync").click()
    page.get_by_label("Reason").fill("not needed any more")
    page.get_by_role("button", name="Revoke nightly sync").click()
    expect(page.get_by_text("is revoked. Flagsite now refuses")).to_be_visible()
    assert httpx.post(address, headers={"Authorization": f"Bearer {key}"}).status_code == 401
    page.goto("/admin/orgs/auditentry/?did=key.revoke")
    expect(page.locator("#result_list")).to_contain_text("nightly sync")
    expect(page.locator("#result_list")).to_contain_text("user:ada")
    assert key not in page.content()


def test_a_viewer_may_do_none_of_it(site: Installation, sign_in: SignIn) -> None:
    page = sign_in("vic")
    bar = page.locator("#nav-sidebar-apps")
    expect(bar.get_by_role("link", name="Queues")).to_be_visible()
    for name in ("Access keys", "People", "Groups"):
        expect(bar.get_by_role("link", name=name)).to_have_count(0)
    page.goto("/admin/jobs/queue/")
    expect(page.locator("#queue-table")).to_contain_text("propagation")
    expect(page.get_by_role("link", name="Pause")).to_have_count(0)
    for path in ("/admin/jobs/queue/default/pause/", "/admin/orgs/accesskey/add/"):
        refused = page.goto(path)
        assert refused is not None
        assert refused.status == 403
