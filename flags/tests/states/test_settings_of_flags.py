"""Each door that decides about a flag on an organization records a setting, with the number that its rows get."""

from __future__ import annotations

from typing import Any

import pytest
from django.db import transaction

from conftest import Cast
from flags.definitions import service
from flags.states.models import FlagSetting
from flags.states.set_flag import set_flag, set_flag_on
from flags.tests.states.plain_settings import derive_anew
from flagsite.core import actor
from jobs.engine import runner
from jobs.tests.races.threads import Background
from orgs.tree import locks, tree_operations
from orgs.tree.models import Organization


def set_(organization: Organization, enabled: bool, flag: str = "checkout", **more: Any) -> int:
    return set_flag(organization_id=organization.pk, flag_key=flag, enabled=enabled, **more).change.number


def carry_out() -> None:
    while runner.run_next("propagation") is not None:
        pass


def settings() -> dict[str, tuple[bool | None, int]]:
    """The value and the number of each setting, by the key of its organization; the value is None if nothing is set."""
    rows = FlagSetting.objects.values_list("organization__key", "enabled", "number")
    return {key: (enabled, number) for key, enabled, number in rows}


def everything() -> list[tuple[Any, ...]]:
    columns = ("organization_id", "flag_id", "kind", "enabled", "number", "kept_from_id", "requested_by")
    return list(FlagSetting.objects.order_by("pk").values_list(*columns))


@pytest.mark.django_db
def test_a_setting_tells_who_set_what_and_why(cast: Cast) -> None:
    number = set_(cast.oslo, True, requested_by="user:olga", reason="the pilot begins")
    setting = FlagSetting.objects.get()
    assert (setting.organization_id, setting.kind, setting.enabled, setting.number) == (
        cast.oslo.pk, "set", True, number,
    )  # fmt: skip
    assert (setting.requested_by, setting.reason, setting.kept_from_id) == ("user:olga", "the pilot begins", None)


@pytest.mark.django_db
def test_the_reason_of_the_request_is_the_reason_of_the_setting(cast: Cast) -> None:
    with actor.acting("api", reason="asked by the shop"):
        set_(cast.oslo, True)
    assert FlagSetting.objects.get().reason == "asked by the shop"


@pytest.mark.django_db
def test_whoever_sets_a_flag_ends_the_settings_below_and_no_others(cast: Cast) -> None:
    above, inside = set_(cast.acme, False), set_(cast.oslo, True)
    elsewhere = set_(cast.rome, True)
    assert settings() == {"acme": (False, above), "oslo": (True, inside), "rome": (True, elsewhere)}
    number = set_(cast.north, False)
    assert settings() == {
        "acme": (False, above), "north": (False, number), "oslo": (None, number), "rome": (True, elsewhere),
    }  # fmt: skip
    other = set_(cast.oslo, True, "search")
    set_(cast.north, True)
    assert FlagSetting.objects.get(number=other).enabled is True, "the settings of other flags stay"


@pytest.mark.django_db
def test_a_move_ends_the_settings_of_what_it_moves_for_each_flag_that_the_new_parent_has(cast: Cast) -> None:
    set_(cast.oslo, True)
    kept = set_(cast.oslo, True, "search")
    above = set_(cast.rival, False)
    carry_out()
    tree_operations.move(organization_id=cast.north.pk, parent_id=cast.rival.pk)
    checkout = FlagSetting.objects.filter(flag__key="checkout")
    moved = checkout.get(organization=cast.north)
    assert (moved.kind, moved.enabled) == ("none", None)
    assert moved.number > above
    assert (checkout.get(organization=cast.oslo).kind, checkout.get(organization=cast.oslo).number) == (
        "none", moved.number,
    )  # fmt: skip
    assert FlagSetting.objects.get(flag__key="search", organization=cast.oslo).number == kept


@pytest.mark.django_db
@pytest.mark.parametrize("to", ["another tree", "no parent"])
def test_a_value_that_a_moved_organization_keeps_is_a_setting_of_its_own(cast: Cast, to: str) -> None:
    number = set_(cast.acme, True)
    carry_out()
    parent = cast.rival.pk if to == "another tree" else None
    tree_operations.move(organization_id=cast.north.pk, parent_id=parent)
    kept = FlagSetting.objects.get(organization=cast.north)
    assert (kept.kind, kept.enabled, kept.number, kept.kept_from_id) == ("set", True, number, cast.acme.pk)


@pytest.mark.django_db
def test_a_value_that_came_by_a_move_is_kept_by_the_next_move(cast: Cast) -> None:
    set_(cast.rival, True)
    carry_out()
    tree_operations.move(organization_id=cast.north.pk, parent_id=cast.rival.pk)
    number = FlagSetting.objects.get(organization=cast.north).number
    tree_operations.move(organization_id=cast.north.pk, parent_id=None)
    kept = FlagSetting.objects.get(organization=cast.north)
    assert (kept.kind, kept.enabled, kept.number, kept.kept_from_id) == ("set", True, number, cast.rival.pk)


@pytest.mark.django_db
def test_settings_go_with_their_organization_and_with_their_flag(cast: Cast) -> None:
    set_(cast.oslo, True)
    set_(cast.rome, True)
    tree_operations.delete(organization_id=cast.north.pk, subtree=True)
    assert list(settings()) == ["rome"]
    service.archive(key="checkout", by="user:olga")
    service.purge(key="checkout", by="user:olga")
    while runner.run_next("default") is not None:
        pass
    assert settings() == {}


@pytest.mark.django_db(transaction=True)
def test_a_setting_on_a_leaf_waits_for_one_above_it_and_is_the_later_one(cast: Cast) -> None:
    """So whoever has the higher number has seen the other's setting."""
    set_(cast.oslo, False)
    with transaction.atomic():
        locks.lock_trees_for_reading(cast.acme.pk)
        acme = Organization.objects.get(pk=cast.acme.pk)
        above = set_flag_on(acme, flag_key="checkout", enabled=False).change.number
        leaf = Background(lambda: set_(cast.oslo, True))
        leaf.wait_until_blocked()
    number = leaf.result()
    assert settings() == {"acme": (False, above), "oslo": (True, number)}
    assert number > above


@pytest.mark.django_db(transaction=True)
def test_a_setting_above_waits_for_one_on_a_leaf_and_ends_it(cast: Cast) -> None:
    set_(cast.bergen, False)
    with transaction.atomic():
        locks.lock_trees_for_reading(cast.oslo.pk)
        oslo = Organization.objects.get(pk=cast.oslo.pk)
        set_flag_on(oslo, flag_key="checkout", enabled=True)
        above = Background(lambda: set_(cast.acme, False))
        above.wait_until_blocked()
        set_(cast.rome, True)  # other leaves need not wait
    number = above.result()
    assert settings() == {"acme": (False, number)} | dict.fromkeys(("bergen", "oslo", "rome"), (None, number))


@pytest.mark.django_db(transaction=True)
def test_who_sets_a_flag_above_keeps_nobody_waiting_in_another_tree(cast: Cast) -> None:
    set_(cast.bergen, False)
    with transaction.atomic():
        locks.lock_trees_for_reading(cast.acme.pk)
        acme = Organization.objects.get(pk=cast.acme.pk)
        set_flag_on(acme, flag_key="checkout", enabled=False)
        Background(lambda: set_(cast.rival, True)).result()
        Background(lambda: set_(cast.rival_store, True)).result()


@pytest.mark.django_db
def test_the_migration_derives_the_same_settings_from_the_changes(cast: Cast) -> None:
    set_(cast.acme, True, requested_by="user:olga")
    set_(cast.oslo, False, requested_by="user:bob")
    set_(cast.rome, False)
    set_(cast.rival, False, "search")
    carry_out()
    tree_operations.move(organization_id=cast.rome.pk, parent_id=None)  # keeps its own setting
    tree_operations.move(organization_id=cast.south.pk, parent_id=cast.rival.pk)  # keeps the value of acme
    tree_operations.move(organization_id=cast.bergen.pk, parent_id=cast.south.pk)
    before = everything()
    derive_anew()
    assert everything() == before
