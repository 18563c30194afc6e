"""Pages by cursor: complete, without doubles, in both directions, while rows come and go."""

from __future__ import annotations

from typing import Any

import pytest

from conftest import Cast
from flagsite.core.api.pagination import Cursor
from orgs.tests.api import Api, ids, wrong_fields
from orgs.tree import tree_operations
from orgs.tree.models import Organization


@pytest.fixture
def api(cast: Cast, admin_key: str) -> Api:
    return Api(admin_key)


def pages(api: Api, path: str) -> list[Any]:
    found = [api.get(path)]
    while found[-1].json()["next"]:
        found.append(api.client.get(found[-1].json()["next"]))
    return found


@pytest.mark.parametrize("size", [1, 2, 3, 4, 7, 8, 9, 1000])
def test_all_rows_come_once_in_order_forth_and_back(api: Api, size: int) -> None:
    everything = list(Organization.objects.order_by("id").values_list("pk", flat=True))
    forth = pages(api, f"/organizations?pageSize={size}")
    assert [pk for page in forth for pk in ids(page)] == everything
    assert all(len(ids(page)) == size for page in forth[:-1])
    back = [forth[-1]]
    while back[-1].json()["previous"]:
        back.append(api.client.get(back[-1].json()["previous"]))
    assert [ids(page) for page in back[::-1]] == [ids(page) for page in forth]
    assert forth[0].json()["previous"] is None


def test_a_page_that_was_reached_from_behind_leads_on(api: Api) -> None:
    first, second = pages(api, "/organizations?pageSize=4")
    again = api.client.get(second.json()["previous"])
    assert (ids(again), again.json()["next"]) == (ids(first), first.json()["next"])


def test_rows_that_come_and_go_shift_nothing(api: Api, cast: Cast) -> None:
    first = api.get("/organizations", pageSize=3)
    tree_operations.delete(organization_id=cast.oslo.pk)
    second = api.client.get(first.json()["next"])
    gone = set(ids(first)) & set(ids(second))
    assert gone == set()
    assert set(ids(first)) | set(ids(second)) >= set(
        Organization.objects.order_by("id")[:5].values_list("pk", flat=True)
    )


def test_filters_stay_on_every_page(api: Api) -> None:
    found = pages(api, "/organizations?name=r&pageSize=1")
    assert [page.json()["results"][0]["key"] for page in found] == ["north", "bergen", "rome", "rival", "rival_store"]


@pytest.mark.parametrize(
    "cursor",
    ["", "x", "é", "\x00", "after-", "after-x", "after--1", "after-01", f"after-{10**19}", "beside-1", "after-1 ",
     "after-٣", "after-1\n", "a" * 5000],
)  # fmt: skip
def test_a_cursor_that_is_not_ours_is_refused(api: Api, cursor: str) -> None:
    assert wrong_fields(api.get("/organizations", cursor=cursor)) == {"cursor"}


@pytest.mark.parametrize("size", ["0", "-1", "1001", "x", "", "1.5", "٣", "1e3", "9" * 5000])
def test_a_page_size_that_is_none_is_refused(api: Api, size: str) -> None:
    assert wrong_fields(api.get("/organizations", pageSize=size)) == {"pageSize"}


def test_without_a_wish_a_page_has_page_size_rows(api: Api, settings: Any) -> None:
    settings.PAGE_SIZE = 2
    assert len(ids(api.get("/organizations"))) == 2


def test_the_greatest_cursor_is_the_end(api: Api) -> None:
    answer = api.get("/organizations", cursor=str(Cursor(2**63 - 1))).json()
    assert answer == {"results": [], "next": None, "previous": None}
