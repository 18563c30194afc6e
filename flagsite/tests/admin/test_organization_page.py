"""The page of an organization: what is below it, who has access to it, its flags, and a comparison with another."""

from __future__ import annotations

import re
from datetime import timedelta
from typing import Any

import pytest
from pytest_django import DjangoAssertNumQueries

from conftest import Cast
from flags.definitions import service
from flags.schedules import plan
from flags.schedules.plan import ScheduleRequest
from flags.states import comparison
from flags.states.models import FlagSetting
from flags.states.set_flag import set_flag
from flags.states.setting_rules import Below
from flagsite.core.db.clock import now
from flagsite.tests.admin.values import put
from jobs.engine import runner
from orgs.access import access_keys
from orgs.access.caller import Caller
from orgs.access.models import Role
from orgs.tests.people import person, shown, signed_in
from orgs.tree import browser, tree_operations
from orgs.tree.models import Organization

pytestmark = pytest.mark.django_db
ADA = Caller("user:ada", Role.ADMIN)


def address(organization: Organization) -> str:
    return f"/admin/orgs/organization/{organization.pk}/change/"


def words(answer: Any) -> str:
    return " ".join(shown(answer).split())


def test_the_children_are_links_with_the_number_of_organizations_below_each(cast: Cast) -> None:
    page = words(signed_in("viewer").get(address(cast.acme)))
    assert "2 directly, 5 in all" in page
    for place, below in ((cast.north, "2 below"), (cast.south, "1 below")):
        assert f'href="{address(place)}">{place.name}</a> <span class="fs-note">{place.key}</span>' in page
        assert f'<summary>{below}<span class="fs-unseen"> {place.name}</span></summary>' in page
    assert address(cast.oslo) not in page.partition('id="children"')[2].partition("</section>")[0]
    assert "No organization is below this one." in words(signed_in("viewer", name="vic").get(address(cast.oslo)))


def test_of_many_children_the_page_shows_the_first_and_leads_to_the_others(
    cast: Cast, monkeypatch: pytest.MonkeyPatch
) -> None:
    for number in range(30):
        tree_operations.create(name=f"Store {number:02}", key=f"s{number}", parent_id=cast.rome.pk)
    client = signed_in("viewer")
    page = words(client.get(address(cast.rome)))
    assert "30 directly, 30 in all" in page
    assert re.findall(r">(Store \d\d)</a>", page) == [f"Store {number:02}" for number in range(24)]
    more = re.findall(r'hx-get="([^"]+after=\d+)"', page)[0].replace("&amp;", "&")
    assert re.findall(r">(Store \d\d)</a>", shown(client.get(more))) == [f"Store {number}" for number in range(24, 30)]
    monkeypatch.setattr(browser, "MAX_COUNTED", 25)
    assert "more than 25 directly" in words(client.get(address(cast.rome)))


def test_the_page_counts_access_keys_people_and_scheduled_changes_with_links(cast: Cast) -> None:
    access_keys.create(name="till", role=Role.READER, organization=cast.oslo)
    record, _ = access_keys.create(name="old till", role=Role.READER, organization=cast.oslo)
    access_keys.revoke(prefix=record.prefix)
    access_keys.create(name="elsewhere", role=Role.READER, organization=cast.rome)
    person("viewer", bound_to=cast.oslo, name="vic")
    service.create(key="express-pay", values={}, by="user:ada")
    request = ScheduleRequest(flag_key="express-pay", organization=cast.oslo.pk)
    plan.plan_once(ADA, request, wanted={"enabled": True}, at=now() + timedelta(days=1))
    client = signed_in("admin")
    page = words(client.get(address(cast.oslo)))
    of = f"of=id%3A{cast.oslo.pk}"
    for link, said in ((f"/admin/orgs/accesskey/?{of}", "1 key"), (f"/admin/auth/user/?{of}", "1 person"),
                       ("/admin/flags/flagschedule/?q=oslo", "1 open change")):  # fmt: skip
        assert f'href="{link}">{said}</a>' in page
    keys = shown(client.get(f"/admin/orgs/accesskey/?{of}"))
    assert "old till" in keys
    assert "elsewhere" not in keys
    assert [one.username for one in client.get(f"/admin/auth/user/?{of}").context["cl"].result_list] == ["vic"]


@pytest.mark.parametrize(("group", "bound", "seen"), [
    ("viewer", False, [False, False]), ("admin", False, [True, True]), ("admin", True, [True, False]),
])  # fmt: skip
def test_a_person_sees_only_figures_of_lists_that_they_may_open(
    cast: Cast, group: str, bound: bool, seen: list[bool]
) -> None:
    page = shown(signed_in(group, bound_to=cast.north if bound else None).get(address(cast.oslo)))
    assert [label in page for label in (">Access keys</dt>", ">People bound to it</dt>")] == seen


def flags(page: str, table: str) -> dict[str, str]:
    """The rows of a table of the page as text, by flag."""
    rows = re.findall(r"<tr[ >].*?</tr>", page.partition(f'id="{table}"')[2].partition("</table>")[0], re.DOTALL)
    texts = (" ".join(re.sub(r"<[^>]+>", " ", row.partition(">")[2]).split()) for row in rows[1:])
    return {text.partition(" ")[0]: text.partition(" ")[2] for text in texts}


def test_a_comparison_shows_what_differs_in_value_source_or_setting(cast: Cast) -> None:
    put(cast.acme, "same", True)
    put(cast.north, "of-north", True)
    put(cast.oslo, "own", True)
    put(cast.rome, "own", True)
    put(cast.acme, "twice", True)
    put(cast.oslo, "twice", True)
    put(cast.oslo, "only-here", False)
    page = shown(signed_in("viewer").get(address(cast.oslo), {"with": "rome"}))
    found = flags(page, "differences")
    assert set(found) == {"of-north", "twice", "only-here"}
    assert found["of-north"] == "on Acme › North off default of the flag value, source"
    assert found["twice"] == "on set here the organization itself on Acme source, setting"
    assert found["only-here"] == "off set here the organization itself off default of the flag source, setting"


def test_a_comparison_with_itself_or_without_a_difference_says_so(cast: Cast) -> None:
    put(cast.oslo, "own", True)
    assert "No flag differs." in shown(signed_in("viewer").get(address(cast.oslo), {"with": "oslo"}))


@pytest.mark.parametrize("name", ["nowhere", "rival", "id:99999", ""])
def test_a_comparison_with_an_organization_that_is_not_visible_is_refused_in_words(cast: Cast, name: str) -> None:
    page = shown(signed_in("viewer", bound_to=cast.acme).get(address(cast.oslo), {"with": name}))
    assert 'role="alert"' in page
    assert 'id="differences"' not in page


def test_a_bound_person_sees_no_source_above_the_scope(cast: Cast) -> None:
    put(cast.acme, "checkout", True)
    put(cast.oslo, "checkout", False)
    page = shown(signed_in("viewer", bound_to=cast.north).get(address(cast.oslo), {"with": "bergen"}))
    assert flags(page, "differences") == {
        "checkout": "off set here the organization itself on an ancestor value, source, setting"
    }


def test_a_setting_that_is_not_the_source_is_marked(cast: Cast) -> None:
    put(cast.oslo, "checkout", True)
    put(cast.acme, "checkout", False)
    FlagSetting.objects.filter(organization=cast.oslo).update(kind="set", enabled=True)
    page = shown(signed_in("viewer").get(address(cast.oslo)))
    assert "own setting on, which does not count now" in flags(page, "flags")["checkout"]


def test_locks_and_what_they_mask_are_marked(cast: Cast) -> None:
    put(cast.oslo, "checkout", True)
    until = now() + timedelta(days=1)
    lock: dict[str, Any] = {"flag_key": "checkout", "enabled": False, "below": Below.LOCK}
    set_flag(organization_id=cast.oslo.pk, flag_key="alone", enabled=True, only_here=True, below=Below.KEEP)
    set_flag(organization_id=cast.north.pk, expires_at=until, **lock)
    while runner.run_next("propagation"):
        pass
    viewer = signed_in("viewer")
    oslo = flags(shown(viewer.get(address(cast.oslo))), "flags")
    assert "off own setting on, masked by a lock above" in oslo["checkout"]
    assert "set only here" in oslo["alone"]
    assert "locked above" in flags(shown(viewer.get(address(cast.bergen))), "flags")["checkout"]
    assert "locked here" in flags(shown(viewer.get(address(cast.north))), "flags")["checkout"]
    history = re.sub(r"<[^>]+>", "", words(viewer.get(address(cast.north))))
    assert f"locked checkout off for North and everything below it until {until:%Y-%m-%d %H:%M} UTC" in history


def test_more_children_flags_and_differences_take_no_more_queries(
    cast: Cast, django_assert_max_num_queries: DjangoAssertNumQueries
) -> None:
    client = signed_in("admin")
    counts = []
    for size in (3, 20):
        for number in range(size):
            tree_operations.create(name=f"Store {number}", key=f"{size}-{number}", parent_id=cast.oslo.pk)
            put(cast.oslo, f"flag-{number}", True)
        with django_assert_max_num_queries(40) as queries:
            shown(client.get(address(cast.oslo), {"with": "rome"}))
        counts.append(len(queries))
    assert counts[0] == counts[1]


def test_a_comparison_is_bounded(cast: Cast, monkeypatch: pytest.MonkeyPatch) -> None:
    for number in range(5):
        put(cast.oslo, f"flag-{number}", True)
    monkeypatch.setattr(comparison, "MAX_FLAGS", 3)
    assert len(comparison.compare(cast.oslo, cast.rome)) == 3
