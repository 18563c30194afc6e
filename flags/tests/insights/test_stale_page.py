"""The stale flags in the admin site, for those who may see everything and those who may not."""

from __future__ import annotations

from datetime import timedelta

import pytest
from django.test import Client
from django.utils import timezone

from conftest import Cast
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


def test_the_page_of_a_stale_flag_says_why(flag: Flag) -> None:
    page = shown(signed_in("viewer").get(f"/admin/flags/flag/{flag.pk}/change/"))
    assert "This flag is stale." in page
    assert "The flag expired on" in page


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
    for page in ("stale/", f"{flag.pk}/change/"):
        assert Client().get(f"/admin/flags/flag/{page}").status_code == 302
    assert signed_in("viewer").get("/admin/flags/flag/4711/change/").status_code == 404
