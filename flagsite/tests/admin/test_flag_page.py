"""A flag's page in the admin site: where it is set, on and off below each branch, and setting it right there."""

from __future__ import annotations

import re
from datetime import UTC, datetime

import pytest
from django.test import Client
from pytest_django import DjangoAssertNumQueries

from conftest import Cast
from flags.definitions import service
from flags.definitions.models import Flag
from flags.insights import adoption, flag_tree
from flags.insights.models import FlagUseDay
from flags.schedules.models import FlagSchedule
from flags.states.models import FlagSetting, FlagState
from flags.states.set_flag import set_flag
from flags.states.setting_rules import Below
from flags.tests.schedules.plans import planned
from flagsite.tests.admin.values import mark, put
from jobs.engine import runner
from orgs.tests.people import shown, signed_in
from orgs.tree import browser, tree_operations
from orgs.tree.models import Organization

pytestmark = pytest.mark.django_db
TAGS = re.compile(r"<[^>]*>")
LIST = "/admin/flags/flag/"


def page_of(flag: str = "checkout") -> str:
    return f"{LIST}{Flag.objects.get(key=flag).pk}/change/"


def part_of(name: str, flag: str = "checkout") -> str:
    return f"{LIST}{Flag.objects.get(key=flag).pk}/{name}/"


def lines(page: str) -> list[str]:
    """The lines of the tree, each as a text: name, key, value, and the figures below."""
    found = re.findall(
        r'<span class="fs-line">(.*?)</span>\s*(?:</summary>|</span>(?:</li>|<span|\s*</li>))', page, re.DOTALL
    )
    return [" ".join(TAGS.sub("", line).split()) for line in found]


def looked_at(client: Client, address: str, query: str = "") -> list[str]:
    return lines(shown(client.get(f"{address}?{query}")))


@pytest.fixture
def flag(cast: Cast) -> Flag:
    """On for acme, but not for oslo; nobody has set it on rival."""
    put(cast.acme, "checkout", True)
    put(cast.oslo, "checkout", False)
    return Flag.objects.get()


def test_the_page_opens_with_the_tree_its_settings_and_figures(cast: Cast, flag: Flag) -> None:
    assert looked_at(signed_in("viewer"), page_of()) == [
        "Acme acme set on on for 5, off for 1, 1 set below",
        "Rival rival off off for all 2",
    ]
    page = shown(signed_in("operator", name="olga").get(page_of()))
    assert "on for 5, off for 3" in page


def test_a_single_root_is_unfolded_at_once_and_a_branch_on_demand(cast: Cast, flag: Flag) -> None:
    bound = signed_in("viewer", bound_to=cast.acme)
    assert looked_at(bound, page_of()) == [
        "Acme acme set on on for 5, off for 1, 1 set below",
        "North north on on for 2, off for 1, 1 set below",
        "South south on on for all 2",
    ]
    assert len(looked_at(bound, part_of("tree"))) == 3  # and if the figures come later too
    assert looked_at(bound, part_of("tree"), f"parent={cast.north.pk}") == ["Bergen bergen on", "Oslo oslo set off"]


def test_the_tree_starts_at_any_organization_with_its_path(cast: Cast, flag: Flag) -> None:
    client = signed_in("viewer")
    page = shown(client.get(f"{page_of()}?below={cast.north.pk}"))
    assert lines(page)[0].startswith("North north on")
    assert lines(page)[1:] == ["Bergen bergen on", "Oslo oslo set off"]
    assert f'href="?below={cast.acme.pk}#tree-title">Acme</a>' in page
    assert client.get(f"{page_of()}?below=4711").status_code == 404


def test_a_branch_comes_in_pages(cast: Cast, flag: Flag, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(browser, "MAX_SHOWN", 1)
    client, seen, query = signed_in("viewer"), [], f"parent={cast.acme.pk}"
    for _ in range(2):
        page = shown(client.get(f"{part_of('tree')}?{query}"))
        seen += [line.split()[0] for line in lines(page)]
        more = re.search(r'tree/\?(parent=\d+&amp;after=\d+)"', page)
        query = more[1].replace("&amp;", "&") if more else ""
    assert (seen, query) == (["North", "South"], "")


def test_organizations_are_found_within_the_tree(cast: Cast, flag: Flag) -> None:
    client = signed_in("viewer")
    assert looked_at(client, page_of(), "q=oslo") == ["Acme › North › Oslo oslo set off"]
    assert "No organization that you may see has this text" in shown(client.get(f"{page_of()}?q=nowhere"))
    assert looked_at(signed_in("viewer", bound_to=cast.north, name="bo"), page_of(), "q=rome") == []


def test_settings_are_listed_newest_first_with_who_and_why(
    cast: Cast, flag: Flag, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(flag_tree, "SETTINGS_SHOWN", 1)
    set_flag(organization_id=cast.rome.pk, flag_key="checkout", enabled=False, requested_by="user:olga", reason="till")
    client = signed_in("viewer")
    page = shown(client.get(f"{page_of()}?settings=1"))
    assert lines(page) == ["Acme › South › Rome rome set off"]
    assert re.search(r"user:olga, \d{4}-\d\d-\d\d \d\d:\d\d UTC: till", page)
    older = re.search(r'href="\?settings=1&amp;before=([\d-]+)', page)
    assert older
    assert looked_at(client, page_of(), f"settings=1&before={older[1]}") == ["Acme › North › Oslo oslo set off"]
    bound = signed_in("viewer", bound_to=cast.north, name="bo")
    assert looked_at(bound, page_of(), "settings=1") == ["North › Oslo oslo set off"]


def test_settings_of_one_change_come_on_several_pages(cast: Cast, flag: Flag, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(flag_tree, "SETTINGS_SHOWN", 1)
    FlagSetting.objects.create(organization=cast.rome, flag=flag, number=4711, kind="set", enabled=True)
    FlagSetting.objects.filter(organization=cast.oslo).update(number=4711)
    client, seen, query = signed_in("viewer"), [], "settings=1"
    for _ in range(2):
        page = shown(client.get(f"{page_of()}?{query}"))
        seen += [line.split()[0:5] for line in lines(page)]
        older = re.search(r'href="\?(settings=1&amp;before=[\d-]+)', page)
        query = older[1].replace("&amp;", "&") if older else "settings=1"
    assert sorted(line[-1] for line in seen) == ["Oslo", "Rome"]


def test_locks_are_listed_alone(cast: Cast, flag: Flag) -> None:
    client = signed_in("viewer")
    assert "Nobody has locked the flag." in shown(client.get(f"{page_of()}?settings=1&kind=lock"))
    set_flag(organization_id=cast.rome.pk, flag_key="checkout", enabled=False, below=Below.LOCK)
    assert looked_at(client, page_of(), "settings=1&kind=lock") == ["Acme › South › Rome rome locked off"]


def test_a_value_that_a_set_above_has_replaced_is_no_setting_and_a_moved_one_stays(cast: Cast, flag: Flag) -> None:
    client = signed_in("viewer")
    put(cast.acme, "checkout", True)
    assert looked_at(client, page_of(), "settings=1") == ["Acme acme set on on for all 6"]
    put(cast.bergen, "checkout", False)
    put(cast.rival, "checkout", True)
    tree_operations.move(organization_id=cast.bergen.pk, parent_id=cast.rival.pk)
    assert any("Bergen bergen set off" in line for line in looked_at(client, page_of(), "settings=1"))


def test_a_change_on_its_way_is_told_with_its_job_until_it_has_arrived(cast: Cast, flag: Flag) -> None:
    client = signed_in("viewer")
    accepted = set_flag(organization_id=cast.north.pk, flag_key="checkout", enabled=False)
    page = shown(client.get(page_of()))
    assert accepted.job is not None
    assert f"job {accepted.job.pk}</a>, pending" in page
    assert lines(shown(client.get(f"{page_of()}?below={cast.north.pk}")))[0].startswith(
        "North north set off on its way on for 2, off for 1"
    )
    assert "HX-Trigger" not in client.get(part_of("under-way"))
    while runner.run_next("propagation"):
        pass
    answer = client.get(part_of("under-way"))
    assert (answer["HX-Trigger"], "hx-get" in shown(answer)) == ("flag-settled", False)
    assert lines(shown(client.get(f"{page_of()}?below={cast.north.pk}")))[0] == "North north set off off for all 3"


def test_a_flag_is_set_from_its_tree_after_a_preview_and_the_tree_shows_it(cast: Cast, flag: Flag) -> None:
    client = signed_in("operator")
    page = shown(client.get(f"{page_of()}?below={cast.north.pk}"))
    address = re.search(rf'href="({LIST}set/{cast.north.pk}/[^"]*)"', page)
    assert address
    form = address[1].replace("&amp;", "&")
    assert "Set checkout on North" in shown(client.get(form))
    values = {"flag": "checkout", "enabled": "false", "reason": "till broken"}
    looked = shown(client.post(form, values))
    assert "<strong>2</strong> get a new value" in looked
    answer = client.post(form, values | {"shown": mark(looked)})
    after = f"{page_of()}?below={cast.north.pk}"
    assert (answer.status_code, answer["Location"]) == (302, after)
    dialog = client.post(form, values | {"shown": mark(looked)}, headers={"HX-Request": "true"})
    assert (dialog.status_code, dialog["HX-Redirect"]) == (200, after)
    while runner.run_next("propagation"):
        pass
    assert looked_at(client, page_of(), f"below={cast.north.pk}")[0] == "North north set off off for all 3"
    assert "till broken" in shown(client.get(f"{page_of()}?settings=1"))


def deed(client: Client, organization: Organization, **values: str) -> None:
    """Do something about the flag on an organization from the flag's page, and let its job end."""
    form = f"{LIST}set/{organization.pk}/?flag=checkout&to=flag"
    values = {"flag": "checkout", **values}
    answer = client.post(form, values | {"shown": mark(shown(client.post(form, values)))})
    assert answer.status_code == 302
    while runner.run_next("propagation"):
        pass


def test_the_tree_shows_a_lock_what_it_masks_and_what_a_reset_brings_back(cast: Cast, flag: Flag) -> None:
    client = signed_in("operator")
    put(cast.oslo, "checkout", True)
    plan = {"flag": "checkout", "enabled": "false", "below": "lock"}
    planned_page = shown(client.post(f"{LIST}set/{cast.north.pk}/?flag=checkout&to=flag", plan))
    assert "1 below North has its own setting that does not count until the lock is gone" in planned_page
    deed(client, cast.north, enabled="false", below="lock", reason="till broken")
    assert looked_at(client, page_of(), f"below={cast.north.pk}") == [
        "North north locked off off for all 3",
        "Bergen bergen off locked above",
        "Oslo oslo set on locked above, so it does not count",
    ]
    refused = f"{LIST}set/{cast.oslo.pk}/?flag=checkout&to=flag"
    values = {"flag": "checkout", "enabled": "false", "below": "keep"}
    assert "North (north)" in shown(client.post(refused, values))
    deed(client, cast.north, enabled="reset", below="keep")
    history = shown(client.get(page_of())).partition('id="history-title"')[2]
    assert history.index("off → on") < history.index("on → off")
    assert looked_at(client, page_of(), f"below={cast.north.pk}") == [
        "North north on on for all 3, 1 set below",
        "Bergen bergen on",
        "Oslo oslo set on",
    ]


def test_a_setting_tells_that_it_holds_here_only_and_until_when(cast: Cast, flag: Flag) -> None:
    until = datetime(2030, 5, 1, 12, tzinfo=UTC)
    FlagSetting.objects.filter(organization=cast.oslo).update(only_here=True, expires_at=until)
    assert looked_at(signed_in("viewer"), page_of(), "q=oslo") == [
        "Acme › North › Oslo oslo set off here only, until 2030-05-01 12:00 UTC"
    ]


def test_an_exemption_without_a_value_is_in_the_tree_and_in_the_list(cast: Cast, flag: Flag) -> None:
    until = datetime(2030, 5, 1, 12, tzinfo=UTC)
    FlagSetting.objects.filter(organization=cast.oslo).update(
        kind="none", enabled=None, exempt_from=cast.acme, exempt_until=until
    )
    client = signed_in("viewer")
    line = "oslo exempt exempt from a lock above, exempt until 2030-05-01 12:00 UTC"
    assert looked_at(client, page_of(), f"below={cast.north.pk}")[2] == f"Oslo {line}"
    assert looked_at(client, page_of(), "settings=1")[0] == f"Acme › North › Oslo {line}"


def test_only_who_may_set_a_flag_gets_the_links_for_it(cast: Cast, flag: Flag) -> None:
    assert f"{LIST}set/" not in shown(signed_in("viewer").get(page_of()))
    operator = signed_in("operator", name="olga")
    assert f"{LIST}set/{cast.acme.pk}/" in shown(operator.get(page_of()))
    service.archive(key="checkout", by="user:olga")
    assert f"{LIST}set/" not in shown(operator.get(page_of()))


def test_a_killed_flag_is_off_for_all_in_its_tree(cast: Cast, flag: Flag) -> None:
    service.update(key=flag.key, values={"killed": True}, by="user:olga")
    page = shown(signed_in("viewer").get(page_of()))
    assert "The flag is killed.</strong> So the flag is off for everybody" in page
    assert lines(page) == ["Acme acme set on off for all 6, 1 set below", "Rival rival off off for all 2"]


def test_bound_people_see_their_own_part(cast: Cast, flag: Flag) -> None:
    bound = signed_in("viewer", bound_to=cast.north)
    page = shown(bound.get(page_of()))
    assert lines(page)[0] == "North north on on for 2, off for 1, 1 set below"
    for other in ("Acme", "South", "Rival"):
        assert other not in page
    for query in (f"parent={cast.south.pk}", f"after={cast.south.pk}", f"below={cast.acme.pk}"):
        assert bound.get(f"{part_of('tree')}?{query}").status_code == 404, query
    assert signed_in("viewer", name="vic").get(f"{LIST}4711/tree/").status_code == 404


def test_figures_of_large_trees_come_later_and_those_of_larger_ones_not_at_all(
    cast: Cast, flag: Flag, monkeypatch: pytest.MonkeyPatch
) -> None:
    client = signed_in("viewer")
    monkeypatch.setattr(flag_tree, "COUNTED_AT_ONCE", 5)
    page = shown(client.get(page_of()))
    assert "flag-settled from:body, load" in page
    assert lines(page) == ["Acme acme set on counting …", "Rival rival off counting …"]
    assert looked_at(client, part_of("tree"))[0] == "Acme acme set on on for 5, off for 1, 1 set below"
    uncounted = "Acme acme set on too many to count at once; open the levels below"
    with monkeypatch.context() as patched:
        patched.setattr(flag_tree, "MAX_COUNTED", 5)
        assert looked_at(client, part_of("tree"))[0] == uncounted
    monkeypatch.setattr(adoption, "rows_in_time", lambda *_: None)  # as if the query took longer than the limit
    assert looked_at(client, part_of("tree"))[0] == uncounted


def test_who_asks_for_the_flag_is_told_by_organization(cast: Cast, flag: Flag) -> None:
    today = datetime.now(UTC).date()
    for organization_id, flag_id, evaluations in (
        (cast.oslo.pk, flag.pk, 1200), (cast.rome.pk, 0, 40), (0, flag.pk, 7), (4711, flag.pk, 3),
    ):  # fmt: skip
        FlagUseDay.objects.create(day=today, organization_id=organization_id, flag_id=flag_id, evaluations=evaluations)
    FlagUseDay.objects.create(day=datetime(2020, 1, 1, tzinfo=UTC).date(), organization_id=cast.rome.pk,
                              flag_id=flag.pk, evaluations=9999)  # fmt: skip
    rows = re.compile(r'<th scope="row">([^<]*)</th><td[^>]*>([^<]*)</td><td[^>]*>([^<]*)</td>')
    assert rows.findall(shown(signed_in("viewer").get(part_of("askers")))) == [
        ("Acme › North › Oslo", "1,200", "0"), ("no organization", "7", "0"), ("4711, deleted", "3", "0"),
        ("Acme › South › Rome", "0", "40"),
    ]  # fmt: skip
    bound = signed_in("viewer", bound_to=cast.north, name="bo")
    assert rows.findall(shown(bound.get(part_of("askers")))) == [("North › Oslo", "1,200", "0")]


def test_planned_changes_and_the_history_are_on_the_page(cast: Cast, flag: Flag) -> None:
    schedule = planned(cast.oslo, flag="checkout")
    planned(cast.rome, flag="checkout")
    FlagSchedule.objects.filter(pk=schedule.pk).update(status="applied")
    page = shown(signed_in("viewer").get(page_of()))
    table = page.partition('id="schedules"')[2].partition("</table>")[0]
    assert "Acme › South › Rome" in table
    assert "Oslo" not in table
    assert "on → off" in page.partition('id="history-title"')[2]


def test_the_page_makes_the_same_queries_however_many_settings_there_are(
    cast: Cast, flag: Flag, django_assert_max_num_queries: DjangoAssertNumQueries
) -> None:
    client = signed_in("viewer")
    client.get(page_of())
    for organization in cast.of_acme[1:]:
        put(organization, "checkout", False)
    assert FlagState.objects.count() == 6
    with django_assert_max_num_queries(26):
        client.get(page_of())
    with django_assert_max_num_queries(16):
        client.get(f"{part_of('tree')}?parent={cast.acme.pk}")
