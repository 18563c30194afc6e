"""A flag's adoption and the stale flags in the admin site, for those who may see everything and those who may not."""

from __future__ import annotations

from datetime import timedelta

import pytest
from django.test import Client
from django.utils import timezone

from conftest import Cast
from flags.definitions import service
from flags.definitions.models import Flag
from flags.insights.adoption_counts import count_adoption
from flags.states.set_flag import set_flag
from jobs.engine.runner import run_next
from orgs.tests.people import shown, signed_in

pytestmark = pytest.mark.django_db


@pytest.fixture
def flag(cast: Cast) -> Flag:
    """On for acme but not for oslo; past its day."""
    for organization, enabled in ((cast.acme, True), (cast.oslo, False)):
        set_flag(organization_id=organization.pk, flag_key="checkout", enabled=enabled)
        while run_next("propagation"):
            pass
    Flag.objects.update(expires_on=timezone.now().date() - timedelta(days=3))
    count_adoption()
    return Flag.objects.get()


def test_the_flags_page_leads_to_its_adoption(flag: Flag) -> None:
    viewer = signed_in("viewer")
    address = f"/admin/flags/flag/{flag.pk}/adoption/"
    assert address in shown(viewer.get(f"/admin/flags/flag/{flag.pk}/change/"))
    page = shown(viewer.get(address))
    assert "on for 62.5 %, off for 3 under 1 parent (Oslo), 2 of them by default" in page
    assert "The flag expired on" in page
    assert f"{address}level/" in page


def test_the_tree_unfolds_with_its_numbers(flag: Flag, cast: Cast) -> None:
    viewer = signed_in("viewer")
    level = f"/admin/flags/flag/{flag.pk}/adoption/level/"
    roots = shown(viewer.get(level))
    assert "on for 5, off for 1" in roots
    assert "off for all 2" in roots
    assert f"?parent={cast.acme.pk}" in roots
    below = shown(viewer.get(level, {"parent": cast.acme.pk}))
    assert "on for 2, off for 1" in below
    assert "on for all 2" in below
    assert "never evaluated" in below


def test_the_pages_of_a_killed_flag_say_that_it_is_off_for_everybody(flag: Flag, cast: Cast) -> None:
    service.update(key=flag.key, values={"killed": True}, by="user:olga")
    viewer = signed_in("viewer")
    words = "The flag is off for everybody: The flag is killed."
    assert words in shown(viewer.get(f"/admin/flags/flag/{flag.pk}/change/"))
    page = shown(viewer.get(f"/admin/flags/flag/{flag.pk}/adoption/"))
    assert words in page
    assert "on for 62.5 %" not in page
    assert '<span class="fs-label">on</span><span class="fs-figure">0</span>' in page
    assert '<span class="fs-label">stored value on</span><span class="fs-figure">5</span>' in page
    assert "off for all 6" in shown(viewer.get(f"/admin/flags/flag/{flag.pk}/adoption/level/"))
    assert "on for 62.5 %" not in shown(viewer.get("/admin/flags/flag/stale/"))


def test_bound_people_see_their_own_part(flag: Flag, cast: Cast) -> None:
    bound = signed_in("viewer", bound_to=cast.north)
    page = shown(bound.get(f"/admin/flags/flag/{flag.pk}/adoption/"))
    assert "In the subtree of North" in page
    assert "on for 66.6 %, off for 1 under 1 parent (Oslo)" in page
    level = f"/admin/flags/flag/{flag.pk}/adoption/level/"
    assert "North" in (tops := shown(bound.get(level)))
    assert "Acme" not in tops
    assert "Rome" not in shown(bound.get(level, {"parent": cast.south.pk}))
    assert bound.get(level, {"after": cast.south.pk}).status_code == 404


def test_the_list_of_flags_leads_to_those_that_should_go(flag: Flag, cast: Cast) -> None:
    viewer = signed_in("viewer")
    assert "/admin/flags/flag/stale/" in shown(viewer.get("/admin/flags/flag/"))
    page = shown(viewer.get("/admin/flags/flag/stale/"))
    assert "checkout" in page
    assert "off for 3 under 1 parent" in page
    bound = shown(signed_in("viewer", bound_to=cast.north, name="bo").get("/admin/flags/flag/stale/"))
    assert "The flag expired on" in bound
    assert "under 1 parent" not in bound


def test_nobody_else_looks(flag: Flag) -> None:
    for page in ("stale/", f"{flag.pk}/adoption/"):
        assert Client().get(f"/admin/flags/flag/{page}").status_code == 302
    assert signed_in("viewer").get("/admin/flags/flag/4711/adoption/").status_code == 404
