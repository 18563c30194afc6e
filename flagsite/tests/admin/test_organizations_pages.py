"""Organizations and flags in the admin site: who may see and do what, and what is said before it is done."""

from __future__ import annotations

import re
from typing import Any

import pytest
from pytest_django import DjangoAssertNumQueries

from conftest import Cast
from flags.states.models import FlagState
from flagsite.tests.admin.values import put
from jobs.engine.models import Job
from orgs.access.caller import Caller
from orgs.access.models import Role
from orgs.audit.models import AuditEntry
from orgs.errors import OrganizationNotFound, OutsideOfYourSubtree
from orgs.tests.people import person, shown, signed_in
from orgs.tests.trees import paths
from orgs.tree import tree_operations
from orgs.tree.forms import OPERATIONS
from orgs.tree.models import Organization

pytestmark = pytest.mark.django_db
TREE = "/admin/orgs/organization/"
HERE = re.compile(r'font-semibold[^"]* active">.*?<span>\s*(.*?)\s*</span>', re.DOTALL)
"""What is marked in the side bar."""


def names(page: str) -> list[str]:
    """The organizations to which a level of the tree or a search links, without their paths."""
    links = re.findall(r'<a class="fs-name" href="/admin/orgs/organization/\d+/change/">([^<]+)</a>', page)
    return [path.split(" › ")[-1] for path in links]


def test_the_tree_unfolds_a_level_at_a_time(cast: Cast) -> None:
    client = signed_in("viewer")
    assert names(shown(client.get(TREE))) == ["Acme", "Rival"]
    assert names(shown(client.get(f"{TREE}level/?parent={cast.acme.pk}"))) == ["North", "South"]
    assert names(shown(client.get(f"{TREE}level/?parent={cast.north.pk}"))) == ["Bergen", "Oslo"]


def test_a_long_level_comes_in_parts(cast: Cast) -> None:
    for number in range(130):
        tree_operations.create(name=f"Store {number:03}", key=f"s{number}", parent_id=cast.rome.pk)
    client = signed_in("viewer")
    first = shown(client.get(f"{TREE}level/?parent={cast.rome.pk}"))
    assert names(first) == [f"Store {number:03}" for number in range(100)]
    more = first.partition('hx-get="')[2].partition('"')[0].replace("&amp;", "&")
    assert names(shown(client.get(more))) == [f"Store {number:03}" for number in range(100, 130)]


@pytest.mark.parametrize(
    ("term", "found"), [("oslo", ["Oslo"]), ("O", ["North", "Oslo", "South", "Rome", "Rival_Store"]), ("x", [])]
)
def test_a_search_shows_paths(cast: Cast, term: str, found: list[str]) -> None:
    page = shown(signed_in("viewer").get(f"{TREE}?q={term}"))
    assert sorted(names(page)) == sorted(found)
    assert ("Acme › North › Oslo" in page) == ("Oslo" in found)


def test_who_is_bound_sees_their_subtree_and_no_name_above_it(cast: Cast) -> None:
    put(cast.acme, "checkout", True)
    client = signed_in("admin", bound_to=cast.north)
    assert names(shown(client.get(TREE))) == ["North"]
    assert names(shown(client.get(f"{TREE}?q=o"))) == ["North", "Oslo"]
    assert names(shown(client.get(f"{TREE}level/?parent={cast.acme.pk}"))) == ["North"]
    page = shown(client.get(f"{TREE}{cast.oslo.pk}/change/"))
    assert "an ancestor" in page
    assert "Acme" not in page.partition('id="main"')[2]
    assert "/move/do/" not in shown(client.get(f"{TREE}{cast.north.pk}/change/"))
    for foreign in (cast.acme, cast.south, cast.rival):
        for address in ("change/", "rename/do/", "move/do/", "delete/do/", "create/do/"):
            assert client.get(f"{TREE}{foreign.pk}/{address}").status_code == 404
        assert client.get(f"/admin/flags/flag/set/{foreign.pk}/").status_code == 404
        assert client.get(f"{TREE}level/?after={foreign.pk}").status_code == 404


def test_who_is_bound_cannot_take_anything_out_of_or_into_their_subtree(cast: Cast) -> None:
    client = signed_in("admin", bound_to=cast.north)
    before = paths()
    for organization, parent in ((cast.oslo, "south"), (cast.oslo, ""), (cast.north, "oslo"), (cast.north, "")):
        answer = client.post(f"{TREE}{organization.pk}/move/do/", {"parent": parent})
        assert 'class="errorlist' in shown(answer)
    for organization in (cast.north,):
        shown(client.post(f"{TREE}{organization.pk}/delete/do/", {"key": organization.key}))
    assert client.get(f"{TREE}add/").status_code == 403
    assert client.post(f"{TREE}add/", {"name": "x", "key": "x"}).status_code == 403
    assert paths() == before


@pytest.mark.parametrize("who", ["viewer", "operator"])
def test_only_administrators_change_the_tree(cast: Cast, who: str) -> None:
    client = signed_in(who)
    before = paths()
    assert "rename/do" not in shown(client.get(f"{TREE}{cast.oslo.pk}/change/"))
    for operation, values in {
        "rename": {"name": "x"}, "create": {"name": "x", "key": "x"}, "move": {"parent": "south"},
        "delete": {"key": "oslo"},
    }.items():  # fmt: skip
        assert client.post(f"{TREE}{cast.oslo.pk}/{operation}/do/", values).status_code == 403
    assert client.post(f"{TREE}add/", {"name": "x", "key": "x"}).status_code == 403
    assert paths() == before


def test_a_viewer_sets_no_flag(cast: Cast) -> None:
    client = signed_in("viewer")
    assert "Set a flag" not in shown(client.get(f"{TREE}{cast.oslo.pk}/change/"))
    values = {"flag": "checkout", "enabled": "true", "reason": "x"}
    assert client.post(f"/admin/flags/flag/set/{cast.oslo.pk}/", values).status_code == 403
    assert not FlagState.objects.exists()


def test_a_page_tells_what_was_done_and_the_reason(cast: Cast) -> None:
    client = signed_in("admin")
    move = {"parent": "south", "reason": "CRM-812"}
    preview = shown(client.post(f"{TREE}{cast.oslo.pk}/move/do/", move))
    move["shown"] = re.findall(r'name="shown" value="([^"]+)"', preview)[0]
    for path, values, said in (
        (f"{cast.rome.pk}/rename", {"name": "Roma"}, "Rome (rome) is now called Roma."),
        (f"{cast.south.pk}/create", {"name": "Milan", "key": "milan"}, "Milan (milan) is now below South"),
        (f"{cast.oslo.pk}/move", move, "Oslo (oslo) is now below South."),
        (f"{cast.bergen.pk}/delete", {"key": "bergen"}, "Bergen (bergen) is deleted."),
        (f"{cast.south.pk}/delete", {"key": "south"}, "South (south) and 3 organizations below it are deleted."),
    ):
        page = shown(client.post(f"{TREE}{path}/do/", {"reason": "CRM-812"} | values, follow=True))
        assert said in page
        assert "Reason: CRM-812" in page


def test_administrators_create_rename_and_delete(cast: Cast) -> None:
    client = signed_in("admin", name="ada")
    client.post(f"{TREE}{cast.south.pk}/create/do/", {"name": "Milan", "key": "milan", "reason": "A new store"})
    client.post(f"{TREE}{cast.rome.pk}/rename/do/", {"name": "Roma", "reason": "As they say there"})
    page = shown(client.get(f"{TREE}{cast.north.pk}/delete/do/"))
    assert "3 organizations, this one and all below it, will be deleted" in page
    assert "This is not the organization&#x27;s key" in shown(
        client.post(f"{TREE}{cast.north.pk}/delete/do/", {"key": "nord"})
    )
    client.post(f"{TREE}{cast.north.pk}/delete/do/", {"key": "north", "reason": "Sold"})
    client.post(f"{TREE}add/", {"name": "Third", "key": "third"})
    assert set(paths()) == {
        "acme",
        "acme/south",
        "acme/south/rome",
        "acme/south/milan",
        "rival",
        "rival/rival_store",
        "third",
    }
    assert Organization.objects.get(key="rome").name == "Roma"
    entries = AuditEntry.objects.filter(actor="user:ada", via="admin").order_by("id")
    assert list(entries.values_list("action", "reason")) == [
        ("organization.create", "A new store"), ("organization.rename", "As they say there"),
        ("organization.delete", "Sold"), ("organization.create", ""),
    ]  # fmt: skip


def test_a_key_that_another_has_is_refused_in_words(cast: Cast) -> None:
    client = signed_in("admin")
    for address in (f"{TREE}add/", f"{TREE}{cast.acme.pk}/create/do/"):
        assert "key &#x27;rome&#x27; is taken" in shown(client.post(address, {"name": "x", "key": "rome"}))


def moved_to_another_customer(cast: Cast) -> Caller:
    """Somebody who is bound to north, from which oslo was taken away while they filled in a form."""
    tree_operations.move(organization_id=cast.oslo.pk, parent_id=cast.rival.pk)
    return Caller("user:ada", Role.ADMIN, cast.north.pk)


@pytest.mark.parametrize(
    ("operation", "values"),
    [
        ("rename", {"name": "x"}),
        ("create", {"name": "x", "key": "x"}),
        ("move", {"parent": None, "materialise": False}),
        ("delete", {}),
    ],
)
def test_access_is_checked_once_more_where_the_tree_is_written(
    cast: Cast, operation: str, values: dict[str, Any]
) -> None:
    caller = moved_to_another_customer(cast)
    before = paths()
    with pytest.raises((OrganizationNotFound, OutsideOfYourSubtree)):
        OPERATIONS[operation].act(caller, cast.oslo, values | {"reason": ""})
    assert paths() == before
    assert not Organization.objects.filter(name="x").exists()


def test_who_is_bound_to_an_organization_has_to_be_bound_elsewhere_before_it_goes(cast: Cast) -> None:
    person("viewer", bound_to=cast.oslo, name="vic")
    for client, named in (
        (signed_in("admin", name="ada"), "vic (Oslo)"),
        (signed_in("admin", name="bea", bound_to=cast.acme), "1 person"),
    ):
        page = shown(client.get(f"{TREE}{cast.north.pk}/delete/do/"))
        assert f"It cannot be deleted yet: without it {named} would see everything." in page
        page = shown(client.post(f"{TREE}{cast.north.pk}/delete/do/", {"key": "north", "reason": "sold"}))
        assert "1 person is bound to it or to an organization below it" in page
        assert named in page
    assert Organization.objects.filter(pk=cast.oslo.pk).exists()


@pytest.mark.parametrize("address", ["rename/do/", "create/do/", "move/do/", "delete/do/", "set"])
def test_a_page_says_what_it_is_about_and_where_that_is(cast: Cast, address: str) -> None:
    client = signed_in("admin", bound_to=cast.north)
    path = f"/admin/flags/flag/set/{cast.oslo.pk}/" if address == "set" else f"{TREE}{cast.oslo.pk}/{address}"
    page = shown(client.get(path))
    assert re.search(r'<h2 class="fs-title">[^<]+ Oslo</h2>', page)
    line = page.partition('aria-label="Path"')[2].partition("</nav>")[0]
    assert re.findall(r">(\w+)</a>", line) == ["North", "Oslo"]
    assert HERE.findall(page) == ["Organizations"]


@pytest.mark.parametrize("address", ["/admin/flags/flag/", "/admin/"])
def test_the_side_bar_shows_where_one_is(cast: Cast, address: str) -> None:
    expected = {"/admin/flags/flag/": ["Flags"], "/admin/": ["Overview"]}
    assert HERE.findall(shown(signed_in("admin").get(address))) == expected[address]


def test_an_organizations_page_links_to_no_job_that_is_gone_or_of_others(cast: Cast) -> None:
    put(cast.acme, "checkout", True)
    put(cast.north, "search", True)
    gone, seen = (Job.objects.get(arguments__featureFlagName=flag).pk for flag in ("checkout", "search"))
    links = re.compile(r"/admin/jobs/job/(\d+)/change/")
    bound = signed_in("viewer", bound_to=cast.north, name="bea")
    assert links.findall(shown(bound.get(f"{TREE}{cast.oslo.pk}/change/"))) == [str(seen)]
    viewer = signed_in("viewer")
    assert set(links.findall(shown(viewer.get(f"{TREE}{cast.oslo.pk}/change/")))) == {str(gone), str(seen)}
    Job.objects.filter(pk=gone).delete()
    assert links.findall(shown(viewer.get(f"{TREE}{cast.oslo.pk}/change/"))) == [str(seen)]


def test_an_organizations_page_says_where_each_value_comes_from(cast: Cast) -> None:
    put(cast.acme, "checkout", True)
    put(cast.oslo, "search", False)
    page = shown(signed_in("operator").get(f"{TREE}{cast.oslo.pk}/change/"))
    rows = re.split(r"<tr[ >]", page.partition('id="flags"')[2])[2:]
    assert "checkout" in rows[0]
    assert f'href="{TREE}{cast.acme.pk}/change/">Acme</a>' in rows[0]
    assert "set here" not in rows[0]
    assert "the organization itself" in rows[1]
    assert "set here" in rows[1]
    assert "Switch off" in rows[0]
    assert "Switch on" in rows[1]


def test_more_organizations_take_no_more_queries(
    cast: Cast, django_assert_max_num_queries: DjangoAssertNumQueries
) -> None:
    client = signed_in("admin")
    for number in range(50):
        tree_operations.create(name=f"Store {number}", key=f"s{number}", parent_id=cast.rome.pk)
        put(cast.rome if number < 10 else cast.oslo, f"flag-{number % 20}", True)
    for address, most in {
        TREE: 10, f"{TREE}level/?parent={cast.rome.pk}": 8, f"{TREE}?q=store": 10,
        f"{TREE}{cast.rome.pk}/change/": 25, "/admin/flags/flag/": 12,
    }.items():  # fmt: skip
        with django_assert_max_num_queries(most):
            shown(client.get(address))
