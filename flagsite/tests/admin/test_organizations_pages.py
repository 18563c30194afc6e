"""Organizations and flags in the admin site: who may see and do what, and what is said before it is done."""

from __future__ import annotations

from typing import Any

import pytest
from django.core.files.uploadedfile import SimpleUploadedFile
from django.test import Client
from pytest_django import DjangoAssertNumQueries

from conftest import Cast
from flags import changes
from flags.models import FlagState
from jobs import runner
from orgs import tree
from orgs.models import HistoryEntry, Organization
from orgs.tests.people import shown, signed_in
from orgs.tests.trees import paths

pytestmark = pytest.mark.django_db
TREE = "/admin/orgs/organization/"


def put(organization: Organization, flag: str, enabled: bool) -> None:
    """Set a flag, and have it carried down."""
    changes.set_flag(organization_id=organization.pk, flag_key=flag, enabled=enabled)
    while runner.run_next("propagation"):
        pass


def names(page: str) -> list[str]:
    """The organizations that a level of the tree or a search offers to open."""
    return [part.partition("<")[0].strip() for part in page.split('Open<span class="fs-unseen">')[1:]]


def test_the_tree_unfolds_a_level_at_a_time(cast: Cast) -> None:
    client = signed_in("viewer")
    assert names(shown(client.get(TREE))) == ["Acme", "Rival"]
    assert names(shown(client.get(f"{TREE}level/?parent={cast.acme.pk}"))) == ["North", "South"]
    assert names(shown(client.get(f"{TREE}level/?parent={cast.north.pk}"))) == ["Bergen", "Oslo"]


def test_a_long_level_comes_in_parts(cast: Cast) -> None:
    for number in range(130):
        tree.create(name=f"Store {number:03}", key=f"s{number}", parent_id=cast.rome.pk)
    client = signed_in("viewer")
    first = shown(client.get(f"{TREE}level/?parent={cast.rome.pk}"))
    assert names(first) == [f"Store {number:03}" for number in range(100)]
    more = first.partition('hx-get="')[2].partition('"')[0].replace("&amp;", "&")
    assert "after=" in first
    after = Organization.objects.get(key="s99").pk
    rest = names(shown(client.get(f"{TREE}level/?parent={cast.rome.pk}&after={after}")))
    assert rest == [f"Store {number:03}" for number in range(100, 130)]
    assert more


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
    assert "above" in page
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
        answer = client.post(f"{TREE}{organization.pk}/move/do/", {"parent": parent, "confirmed": "1"})
        assert 'class="errorlist' in shown(answer)
    for organization in (cast.north,):
        shown(client.post(f"{TREE}{organization.pk}/delete/do/", {"key": organization.key}))
    assert client.get(f"{TREE}add/").status_code == 403
    assert client.post(f"{TREE}add/", {"name": "x", "key": "x"}).status_code == 403
    assert client.get(f"{TREE}import/").status_code == 403
    assert (
        client.post(f"{TREE}import/", {"file": SimpleUploadedFile("x.csv", b"key,name,parent_key\n")}).status_code
        == 403
    )
    assert paths() == before


@pytest.mark.parametrize("who", ["viewer", "operator"])
def test_only_administrators_change_the_tree(cast: Cast, who: str) -> None:
    client = signed_in(who)
    before = paths()
    assert "rename/do" not in shown(client.get(f"{TREE}{cast.oslo.pk}/change/"))
    for deed, values in {
        "rename": {"name": "x"}, "create": {"name": "x", "key": "x"}, "move": {"parent": "south", "confirmed": "1"},
        "delete": {"key": "oslo"},
    }.items():  # fmt: skip
        assert client.post(f"{TREE}{cast.oslo.pk}/{deed}/do/", values).status_code == 403
    assert client.post(f"{TREE}add/", {"name": "x", "key": "x"}).status_code == 403
    assert client.get(f"{TREE}import/").status_code == 403
    assert paths() == before


def test_a_viewer_sets_no_flag(cast: Cast) -> None:
    client = signed_in("viewer")
    assert "Set a flag" not in shown(client.get(f"{TREE}{cast.oslo.pk}/change/"))
    values = {"flag": "checkout", "enabled": "true", "reason": "x", "confirmed": "1"}
    assert client.post(f"/admin/flags/flag/set/{cast.oslo.pk}/", values).status_code == 403
    assert not FlagState.objects.exists()


def test_administrators_create_rename_and_delete(cast: Cast) -> None:
    client = signed_in("admin", name="ada")
    client.post(f"{TREE}{cast.south.pk}/create/do/", {"name": "Milan", "key": "milan"})
    client.post(f"{TREE}{cast.rome.pk}/rename/do/", {"name": "Roma"})
    page = shown(client.get(f"{TREE}{cast.north.pk}/delete/do/"))
    assert "3 organizations go" in page
    assert "That is not its key" in shown(client.post(f"{TREE}{cast.north.pk}/delete/do/", {"key": "nord"}))
    client.post(f"{TREE}{cast.north.pk}/delete/do/", {"key": "north"})
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
    assert set(HistoryEntry.objects.filter(actor="user:ada").values_list("action", "via")) == {
        ("organization.create", "admin"), ("organization.rename", "admin"), ("organization.delete", "admin"),
    }  # fmt: skip


def test_a_move_is_shown_before_it_is_made(cast: Cast) -> None:
    put(cast.south, "checkout", True)
    put(cast.acme, "search", True)
    client = signed_in("admin")
    address = f"{TREE}{cast.oslo.pk}/move/do/"
    page = shown(client.post(address, {"parent": "south"}))
    assert "1 organizations move below South (south)." in page
    assert "It takes over, with everything below it: checkout on." in page
    assert "acme/north/oslo" in paths()
    client.post(address, {"parent": "south", "confirmed": "1"})
    assert "acme/south/oslo" in paths()


@pytest.mark.parametrize(
    ("parent", "words"),
    [
        ("oslo", "under itself or one of its own descendants"),
        ("nowhere", "There is no organization"),
        (str(10**30), "There is no"),
    ],
)
def test_a_move_that_cannot_be_is_refused_in_words(cast: Cast, parent: str, words: str) -> None:
    client = signed_in("admin")
    for more in ({}, {"confirmed": "1"}):
        assert words in shown(client.post(f"{TREE}{cast.north.pk}/move/do/", {"parent": parent, **more}))
    assert "acme/north/oslo" in paths()


def test_a_key_that_another_has_is_refused_in_words(cast: Cast) -> None:
    client = signed_in("admin")
    for address in (f"{TREE}add/", f"{TREE}{cast.acme.pk}/create/do/"):
        assert "key &#x27;rome&#x27; already" in shown(client.post(address, {"name": "x", "key": "rome"}))


def test_a_switch_is_shown_before_it_is_made(cast: Cast) -> None:
    put(cast.north, "checkout", True)
    put(cast.oslo, "checkout", True)
    client = signed_in("operator", name="olga")
    address = f"/admin/flags/flag/set/{cast.acme.pk}/"
    values: dict[str, Any] = {"flag": "checkout", "enabled": "true", "reason": "Launch"}
    page = shown(client.post(address, values))
    figures = [part.partition("<")[0] for part in page.partition('id="preview"')[2].split("<strong>")[1:3]]
    assert figures == ["6", "3"]
    assert "2 below were set themselves" in page
    assert FlagState.objects.count() == 3
    client.post(address, values | {"confirmed": "1"})
    while runner.run_next("propagation"):
        pass
    assert FlagState.objects.filter(enabled=True, source_id=cast.acme.pk).count() == 6
    entry = HistoryEntry.objects.filter(action="flag.set").latest("id")
    assert (entry.actor, entry.reason, entry.via) == ("user:olga", "Launch", "admin")


@pytest.mark.parametrize("values", [{"flag": "no spaces"}, {"flag": ""}, {"enabled": "maybe"}, {"reason": ""}])
def test_a_switch_that_makes_no_sense_is_refused_in_words(cast: Cast, values: dict[str, str]) -> None:
    asked = {"flag": "checkout", "enabled": "true", "reason": "x", "confirmed": "1"} | values
    page = shown(signed_in("operator").post(f"/admin/flags/flag/set/{cast.oslo.pk}/", asked))
    assert 'class="errorlist' in page
    assert not FlagState.objects.exists()


def test_an_organizations_page_says_where_each_value_comes_from(cast: Cast) -> None:
    put(cast.acme, "checkout", True)
    put(cast.oslo, "search", False)
    page = shown(signed_in("operator").get(f"{TREE}{cast.oslo.pk}/change/"))
    rows = page.partition('id="flags"')[2].split("<tr>")[2:]
    assert "checkout" in rows[0]
    assert "Acme<" in rows[0]
    assert "Acme › North › Oslo" in rows[1]
    assert "Switch off" in rows[0]
    assert "Switch on" in rows[1]


def upload(client: Client, address: str, text: str, **more: str) -> Any:
    return client.post(TREE + address, {"file": SimpleUploadedFile("tree.csv", text.encode()), **more})


def test_an_import_is_checked_then_carried_out(cast: Cast) -> None:
    client = signed_in("admin")
    text = "key,name,parent_key\nmilan,Milan,south\nrome,Roma,south\noslo,Oslo,south\nacme,Acme,\n"
    before = paths()
    page = shown(upload(client, "import/check/", text))
    assert "1 created, 1 renamed, 1 moved, 1 unchanged." in page
    for line in ("<td>2</td><td>create</td><td>milan</td>", "<td>3</td><td>rename</td>", "<td>4</td><td>move</td>"):
        assert line in page
    assert paths() == before
    fingerprint = page.partition('name="shown" value="')[2].partition('"')[0]
    assert upload(client, "import/", text, shown=fingerprint).status_code == 302
    assert {"acme/south/milan", "acme/south/oslo"} <= set(paths())
    assert HistoryEntry.objects.filter(action="organizations.import").count() == 1


def test_an_import_that_is_not_what_was_shown_is_shown_again(cast: Cast) -> None:
    client = signed_in("admin")
    text = "key,name,parent_key\nmilan,Milan,south\n"
    fingerprint = shown(upload(client, "import/check/", text)).partition('name="shown" value="')[2].partition('"')[0]
    for other in (text + "turin,Turin,south\n", text.replace("Milan", "Milano")):
        assert "is not what was shown" in shown(upload(client, "import/", other, shown=fingerprint))
    tree.create(name="Milan", key="milan", parent_id=cast.south.pk)
    assert "is not what was shown" in shown(upload(client, "import/", text, shown=fingerprint))
    assert "acme/south/turin" not in paths()


def test_every_line_at_fault_is_shown(cast: Cast) -> None:
    client = signed_in("admin")
    text = "key,name,parent_key\nmilan,,south\nturin,<Turin>,nowhere\n"
    for address in ("import/check/", "import/"):
        page = shown(upload(client, address, text))
        assert "2 problems" in page
        assert "<td>2</td>" in page
        assert "There is no organization &#x27;nowhere&#x27;" in page
    assert "Choose a file first" in shown(client.post(f"{TREE}import/check/", {}))
    assert "Nothing can be imported" not in shown(client.get(f"{TREE}import/"))


def test_a_flags_page_counts_and_names_who_set_it(cast: Cast) -> None:
    put(cast.acme, "checkout", True)
    put(cast.oslo, "checkout", False)
    flag = FlagState.objects.values_list("flag_id", flat=True)[0]
    address = f"/admin/flags/flag/{flag}/"
    for group, bound_to, figures, places in (
        ("viewer", None, ["5", "1"], ["Acme › North › Oslo", "Acme"]),
        ("admin", cast.north, ["2", "1"], ["North › Oslo"]),
    ):
        client = signed_in(group, bound_to=bound_to, name=group)
        counted = shown(client.get(f"{address}counts/"))
        assert [part.partition("<")[0] for part in counted.split('class="fs-figure">')[1:]] == figures
        page = shown(client.get(f"{address}change/")).partition('aria-label="Changes"')[2]
        rows = [part.partition("<")[0] for part in page.split('<th scope="row">')[1:]]
        assert rows == places


def test_more_organizations_take_no_more_queries(
    cast: Cast, django_assert_max_num_queries: DjangoAssertNumQueries
) -> None:
    client = signed_in("admin")
    for number in range(50):
        tree.create(name=f"Store {number}", key=f"s{number}", parent_id=cast.rome.pk)
        put(cast.rome if number < 10 else cast.oslo, f"flag-{number % 20}", True)
    for address, most in {
        TREE: 10, f"{TREE}level/?parent={cast.rome.pk}": 8, f"{TREE}?q=store": 10,
        f"{TREE}{cast.rome.pk}/change/": 14, "/admin/flags/flag/": 10,
    }.items():  # fmt: skip
        with django_assert_max_num_queries(most):
            shown(client.get(address))
