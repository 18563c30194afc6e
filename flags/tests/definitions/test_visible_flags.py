"""Which flags have to do with a subtree, so that a bound caller sees them; all others do not exist for it."""

from __future__ import annotations

import pytest
from django.db import connection
from django.test.utils import CaptureQueriesContext

from conftest import Cast, _key
from flags.definitions.models import Flag
from flags.definitions.visible_flags import visible_flags
from flags.states.set_flag import set_flag
from jobs.engine import runner
from orgs.access.caller import Caller
from orgs.access.models import Role
from orgs.tests.api import Api, kind_of
from orgs.tree import tree_operations
from orgs.tree.models import Organization

pytestmark = pytest.mark.django_db
BASE = "/v1/feature-flags"


def seen_in(organization: Organization | None) -> set[str]:
    caller = Caller("key:x y", Role.READER, organization.pk if organization else None)
    return {flag.key for flag in visible_flags(caller)}


def switch(organization: Organization, key: str) -> None:
    set_flag(organization_id=organization.pk, flag_key=key, enabled=True)
    while runner.run_next("propagation"):
        continue


def test_a_flag_has_to_do_with_a_subtree_if_it_is_set_in_it_or_above_it(cast: Cast) -> None:
    Flag.objects.create(key="set-nowhere", enabled=True)
    for organization in (cast.acme, cast.north, cast.oslo, cast.rival_store):
        switch(organization, f"of-{organization.key}")
    assert seen_in(None) == {"set-nowhere", "of-acme", "of-north", "of-oslo", "of-rival_store"}
    assert seen_in(cast.acme) == {"of-acme", "of-north", "of-oslo"}
    assert seen_in(cast.oslo) == {"of-acme", "of-north", "of-oslo"}
    assert seen_in(cast.bergen) == {"of-acme", "of-north"}
    assert seen_in(cast.south) == {"of-acme"}
    assert seen_in(cast.rival) == seen_in(cast.rival_store) == {"of-rival_store"}


def test_a_prerequisite_of_a_visible_flag_is_visible(cast: Cast) -> None:
    keys = ("deepest", "needed", "shown", "other")
    deepest, needed, shown, other = (Flag.objects.create(key=key) for key in keys)
    shown.prerequisites.add(needed)
    needed.prerequisites.add(deepest)
    other.prerequisites.add(shown)
    switch(cast.oslo, "shown")
    assert seen_in(cast.acme) == {"deepest", "needed", "shown"}
    assert seen_in(cast.rival) == set()


def test_a_setting_that_a_moved_organization_carries_along_has_to_do_with_its_new_place(cast: Cast) -> None:
    switch(cast.oslo, "of-oslo")
    switch(cast.acme, "of-acme")
    switch(cast.rival, "of-rival")
    tree_operations.move(organization_id=cast.north.pk, parent_id=cast.rival_store.pk)
    while runner.run_next("propagation"):
        continue
    assert seen_in(cast.rival) == seen_in(cast.oslo) == {"of-oslo", "of-rival", "of-acme"}
    assert seen_in(cast.acme) == {"of-acme"}


def test_a_flag_that_has_nothing_to_do_with_the_subtree_does_not_exist(cast: Cast, acme_key: str) -> None:
    switch(cast.rival, "of-rival")
    switch(cast.acme, "of-acme")
    api = Api(acme_key)
    assert [flag["name"] for flag in api.get(BASE).json()["results"]] == ["of-acme"]
    assert api.get(BASE, search="rival").json()["results"] == []
    for path in (f"{BASE}/{{}}", f"{BASE}/{{}}/explain", f"{BASE}/{{}}/adoption", f"/{cast.oslo.pk}/{{}}"):
        other, none = api.get(path.format("of-rival")), api.get(path.format("of-nobody"))
        assert (other.status_code, kind_of(other)) == (none.status_code, kind_of(none)) == (404, "flag-not-found")
        assert other.json()["detail"] == none.json()["detail"].replace("nobody", "rival")
        assert api.get(path.format("of-acme")).status_code == 200


def test_a_prerequisite_of_a_visible_flag_is_read_with_its_default(cast: Cast, acme_key: str) -> None:
    needed, shown = (Flag.objects.create(key=key, enabled=True) for key in ("needed", "shown"))
    shown.prerequisites.add(needed)
    switch(cast.acme, "shown")
    assert Api(acme_key).get("/oslo/needed").json()["featureFlag"]["enabled"] is True


def test_a_bound_caller_may_evaluate_any_flag_by_its_name(cast: Cast, acme_key: str) -> None:
    Flag.objects.create(key="set-nowhere", enabled=True)
    assert Api(acme_key).get(f"{BASE}/set-nowhere/check").json()["enabled"] is True


def test_a_bound_caller_may_set_any_flag_in_its_subtree_which_then_sees_it(cast: Cast, acme_key: str) -> None:
    Flag.objects.create(key="set-nowhere")
    api = Api(acme_key)
    assert kind_of(api.get("/oslo/set-nowhere")) == "flag-not-found"
    assert api.post("/oslo/set-nowhere/true").status_code == 200
    assert api.get("/oslo/set-nowhere").json()["featureFlag"]["enabled"] is True


def test_listing_definitions_takes_the_same_number_of_queries_however_many_flags_and_organizations(cast: Cast) -> None:
    api = Api(_key("bound", Role.READER, cast.acme))

    def count() -> int:
        with CaptureQueriesContext(connection) as queries:
            assert api.get(BASE).status_code == 200
        return len(queries)

    switch(cast.oslo, "first")
    count()  # the first request also stores that the key was used
    few = count()
    for organization in (*cast.of_acme, cast.rival):
        for number in range(3):
            switch(organization, f"flag-{organization.key}-{number}")
    assert count() == few
