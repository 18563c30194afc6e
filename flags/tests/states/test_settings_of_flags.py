"""Each door that decides about a flag on an organization records a setting, with the number that its rows get."""

from __future__ import annotations

from typing import Any

import pytest
from django.db import transaction

from conftest import Cast
from flags.definitions import service
from flags.errors import FlagLocked
from flags.states.models import FlagSetting, FlagState
from flags.states.set_flag import AcceptedChange, lock_flag, reset_flag_on, set_flag, set_flag_on
from flags.states.setting_rules import Below
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


def reset(organization: Organization, *, subtree: bool = False) -> AcceptedChange | None:
    with transaction.atomic():
        locks.lock_trees_for_reading(organization.pk)
        held = Organization.objects.get(pk=organization.pk)
        return reset_flag_on(held, flag_key="checkout", subtree=subtree)


def values() -> dict[str, bool | None]:
    """The value of each organization that has one, by its key."""
    return dict(FlagState.objects.filter(enabled__isnull=False).values_list("organization__key", "enabled"))


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
def test_a_move_gives_new_numbers_and_carries_settings_along(cast: Cast) -> None:
    inside = set_(cast.oslo, True)
    kept = set_(cast.oslo, True, "search")
    above = set_(cast.rival, False)
    carry_out()
    tree_operations.move(organization_id=cast.north.pk, parent_id=cast.rival.pk)
    checkout = FlagSetting.objects.filter(flag__key="checkout")
    moved = checkout.get(organization=cast.north)
    assert (moved.kind, moved.enabled) == ("none", None)
    assert moved.number > above
    assert (checkout.get(organization=cast.oslo).kind, checkout.get(organization=cast.oslo).number) == ("set", inside)
    search = FlagSetting.objects.filter(flag__key="search")
    assert list(search.values_list("organization", "number")) == [(cast.oslo.pk, kept)], "nobody has decided above"


@pytest.mark.django_db
def test_a_moved_organization_with_a_setting_keeps_it_under_the_number_of_the_move(cast: Cast) -> None:
    set_(cast.acme, True)
    before = set_(cast.north, False, requested_by="user:olga", reason="asked by the shop")
    carry_out()
    tree_operations.move(organization_id=cast.north.pk, parent_id=None)
    kept = FlagSetting.objects.get(organization=cast.north)
    assert (kept.kind, kept.enabled, kept.requested_by, kept.reason) == (
        "set", False, "user:olga", "asked by the shop",
    )  # fmt: skip
    assert kept.number > before


@pytest.mark.django_db
@pytest.mark.parametrize("below", [Below.KEEP, Below.LOCK])
def test_settings_below_stay_if_they_are_kept_or_locked(cast: Cast, below: Below) -> None:
    inside = set_(cast.oslo, True)
    number = set_(cast.acme, False, below=below)
    assert settings() == {"oslo": (True, inside), "acme": (False, number)}
    assert FlagSetting.objects.get(organization=cast.acme).kind == ("lock" if below is Below.LOCK else "set")


@pytest.mark.django_db
def test_below_a_lock_nobody_sets_or_resets_and_the_settings_there_come_back_when_it_goes(cast: Cast) -> None:
    set_(cast.oslo, True)
    set_(cast.acme, False, below=Below.LOCK)
    carry_out()
    for organization in (cast.north, cast.oslo):
        with pytest.raises(FlagLocked) as caught:
            set_(organization, True)
        assert caught.value.locked_by == cast.acme.pk
        with pytest.raises(FlagLocked):
            reset(organization)
    reset(cast.acme)
    carry_out()
    assert values() == {"oslo": True}


@pytest.mark.django_db
def test_a_reset_ends_one_setting_or_all_below_too_and_nothing_where_there_is_none(cast: Cast) -> None:
    set_(cast.acme, True)
    set_(cast.oslo, False)
    carry_out()
    assert reset(cast.bergen) is None
    assert reset(cast.north) is None
    assert reset(cast.north, subtree=True) is not None
    carry_out()
    assert values() == dict.fromkeys(("acme", "north", "oslo", "bergen", "south", "rome"), True)
    assert reset(cast.acme) is not None
    carry_out()
    assert values() == {}


@pytest.mark.django_db
def test_a_value_only_here_does_not_count_below(cast: Cast) -> None:
    set_(cast.acme, True)
    set_(cast.north, False, below=Below.KEEP, only_here=True)
    carry_out()
    assert {key: value for key, value in values().items() if not value} == {"north": False}


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
def test_of_two_settings_on_one_leaf_the_one_with_the_higher_number_is_recorded_later(cast: Cast) -> None:
    """Otherwise the setting of the lower number would stay, and the flag state of the higher one."""
    set_(cast.oslo, False)
    with transaction.atomic():
        locks.lock_trees_for_reading(cast.oslo.pk)
        oslo = Organization.objects.get(pk=cast.oslo.pk)
        lower = lock_flag("checkout", oslo)
        higher = Background(lambda: set_(cast.oslo, True))
        higher.wait_until_blocked()
        set_(cast.rome, True)  # other leaves need not wait
    number = higher.result()
    assert lower is not None
    assert number > lower.number
    assert settings()["oslo"] == (True, number)


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
    before = everything()
    derive_anew()
    assert everything() == before
