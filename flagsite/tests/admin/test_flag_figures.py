"""A flag's page in the admin site: on how many organizations it is on, where people set it, and what stands of that."""

from __future__ import annotations

import re

import pytest
from django.test import Client
from pytest_django import DjangoAssertNumQueries

from conftest import Cast
from flags.definitions.models import Flag
from flags.insights import flag_overview
from flags.states.models import FlagState
from flags.states.set_flag import set_flag
from flagsite.tests.admin.values import put
from jobs.engine.models import Job
from orgs.tests.people import shown, signed_in
from orgs.tree import tree_operations

pytestmark = pytest.mark.django_db
LINE = re.compile(
    r'<th scope="row">([^<]*)</th>.*?<td data-label="Stored value">(\w+)</td>.*?"Now">([^<]*)</td>', re.DOTALL
)


def lines(client: Client, flag: str = "checkout", query: str = "") -> list[tuple[str, str, str]]:
    """The lines of the flag's page: where it was set, to which value, and what has become of that."""
    address = f"/admin/flags/flag/{Flag.objects.get(key=flag).pk}/change/{query}"
    return LINE.findall(shown(client.get(address)).partition('aria-label="Changes"')[2])


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


def test_what_an_ancestors_set_or_a_move_has_overwritten_stands_no_longer(cast: Cast) -> None:
    put(cast.oslo, "checkout", False)
    put(cast.north, "checkout", True)
    put(cast.rome, "checkout", True)
    put(cast.rome, "checkout", False)
    put(cast.bergen, "checkout", False)
    put(cast.rival, "checkout", True)
    client = signed_in("viewer")
    assert lines(client) == [
        ("Rival", "on", "stands"),
        ("Acme › North › Bergen", "off", "stands"),
        ("Acme › South › Rome", "off", "stands"),
        ("Acme › South › Rome", "on", "replaced here"),
        ("Acme › North", "on", "stands"),
        ("Acme › North › Oslo", "off", "overwritten from above"),
    ]
    tree_operations.move(organization_id=cast.bergen.pk, parent_id=cast.rival.pk)
    tree_operations.delete(organization_id=cast.rome.pk)
    found = {(place, now) for place, _, now in lines(client)}
    assert {("Rival › Bergen", "overwritten from above"), (f"{cast.rome.pk}, deleted", "gone")} <= found


def test_what_was_not_written_does_not_stand(cast: Cast) -> None:
    put(cast.north, "checkout", False)
    set_flag(organization_id=cast.north.pk, flag_key="checkout", enabled=True)  # its job waits
    client = signed_in("viewer")
    assert lines(client) == [("Acme › North", "on", "on its way"), ("Acme › North", "off", "stands")]
    Job.objects.filter(status="PENDING").update(status="CANCELLED")
    assert lines(client)[0] == ("Acme › North", "on", "not written")


def test_changes_come_in_pages(
    cast: Cast, monkeypatch: pytest.MonkeyPatch, django_assert_max_num_queries: DjangoAssertNumQueries
) -> None:
    monkeypatch.setattr(flag_overview, "PAGE_SIZE", 2)
    for organization in (cast.oslo, cast.bergen, cast.rome, cast.rival_store, cast.oslo):
        put(organization, "checkout", True)
    client, seen, query = signed_in("viewer"), [], ""
    address = f"/admin/flags/flag/{Flag.objects.get().pk}/change/"
    for _ in range(3):
        with django_assert_max_num_queries(16):
            page = shown(client.get(address + query))
        seen += [place for place, _, _ in LINE.findall(page)]
        query = page.partition('href="?before=')[2].partition("#")[0]
        query = query and f"?before={query}"
    assert [place.rpartition(" ")[2] for place in seen] == ["Oslo", "Rival_Store", "Rome", "Bergen", "Oslo"]
    assert query == ""
