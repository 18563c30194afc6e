"""History keeps placements, definitions and settings as they were, by change number, in the order of the changes."""

from __future__ import annotations

from datetime import datetime

import pytest
from django.db import connection

from conftest import Cast
from flags.definitions import service
from flags.models import Change, Flag, FlagSetting, FormerDefinition, FormerPlacement, ReplacedSetting
from flags.states.exemptions import exempt_on
from flags.states.set_flag import find_and_hold, reset_flag, set_flag
from flags.states.setting_rules import Below
from jobs.engine import runner
from orgs.tests.trees import import_rows
from orgs.tree import tree_operations
from orgs.tree.models import Organization

pytestmark = pytest.mark.django_db


def set_(organization: Organization, *, enabled: bool = True, below: Below = Below.KEEP) -> int:
    return set_flag(organization_id=organization.pk, flag_key="checkout", enabled=enabled, below=below).change.number


def placements() -> list[tuple[str, int, int | None, int | None]]:
    columns = ("kind", "organization_id", "parent_id", "new_parent_id")
    return list(FormerPlacement.objects.order_by("id").values_list(*columns))


def test_a_move_keeps_one_former_placement_with_the_number_of_its_changes(cast: Cast) -> None:
    set_(cast.acme)
    tree_operations.move(organization_id=cast.north.pk, parent_id=cast.south.pk)
    assert placements() == [("move", cast.north.pk, cast.acme.pk, cast.south.pk)]
    (number,) = FormerPlacement.objects.values_list("replaced_by", flat=True)
    assert set(Change.objects.filter(kind="move").values_list("number", flat=True)) == {number}
    assert FlagSetting.objects.get(organization=cast.north).number == number


def test_two_moves_in_one_transaction_have_two_numbers(cast: Cast) -> None:
    set_(cast.acme)
    tree_operations.move(organization_id=cast.north.pk, parent_id=cast.south.pk)
    tree_operations.move(organization_id=cast.north.pk, parent_id=cast.acme.pk)
    first, second = FormerPlacement.objects.order_by("id")
    assert first.replaced_by < second.replaced_by
    assert first.valid_until < second.valid_until
    assert FlagSetting.objects.get(organization=cast.north).number == second.replaced_by


def test_a_creation_and_a_change_of_tree_columns_keep_nothing(cast: Cast) -> None:
    for number in range(20):
        tree_operations.create(name=f"Store {number}", key=f"store-{number}", parent_id=cast.north.pk)
    assert placements() == []


def test_an_import_that_moves_several_organizations_is_one_change(cast: Cast) -> None:
    import_rows(*(f"{one.key},{one.name},{cast.south.key}" for one in (cast.oslo, cast.bergen)))
    assert {row[0] for row in placements()} == {"move"}
    assert len(placements()) == 2
    assert FormerPlacement.objects.values("replaced_by").distinct().count() == 1


def test_a_rename_keeps_the_former_name(cast: Cast) -> None:
    former = cast.oslo.name
    tree_operations.rename(organization_id=cast.oslo.pk, name="Oslo S")
    assert list(FormerPlacement.objects.values_list("kind", "name", "key")) == [("rename", former, cast.oslo.key)]
    tree_operations.rename(organization_id=cast.oslo.pk, name="Oslo S")
    assert FormerPlacement.objects.count() == 1


def test_a_deletion_keeps_placements_and_settings(cast: Cast) -> None:
    number = set_(cast.oslo)
    tree_operations.delete(organization_id=cast.north.pk, subtree=True)
    assert sorted(placements(), key=lambda row: row[1]) == [
        ("delete", cast.north.pk, cast.acme.pk, None),
        ("delete", cast.oslo.pk, cast.north.pk, None),
        ("delete", cast.bergen.pk, cast.north.pk, None),
    ]
    assert FormerPlacement.objects.values("replaced_by").distinct().count() == 1
    kept = ReplacedSetting.objects.filter(organization_id=cast.oslo.pk, number=number).get()
    assert (kept.kind, kept.enabled, kept.replaced_by) == ("set", True, 0)


def test_an_exemption_that_ends_with_its_lock_is_kept(cast: Cast) -> None:
    set_(cast.acme, below=Below.LOCK)
    with find_and_hold(cast.oslo.pk) as oslo:
        exempt_on(oslo, flag_key="checkout", may_lift=lambda _: True)
    reset_flag(organization_id=cast.acme.pk, flag_key="checkout")
    assert FlagSetting.objects.get(organization=cast.oslo).exempt_from_id is None
    kept = ReplacedSetting.objects.get(organization_id=cast.oslo.pk, exempt_from_id=cast.acme.pk)
    assert kept.replaced_by == 0


def test_each_change_of_a_definition_keeps_the_former_one_with_its_prerequisites(cast: Cast) -> None:
    service.create(key="basket", values={}, by="olga")
    flag = service.create(key="checkout", values={"whitelist": ["user-1"], "prerequisites": ["basket"]}, by="olga")
    service.update(key="checkout", values={"prerequisites": [], "rollout_percentage": 12}, by="ivan")
    service.update(key="checkout", values={"prerequisites": []}, by="ivan")  # changes nothing
    (former,) = FormerDefinition.objects.filter(flag_id=flag.pk)
    assert former.version == 1
    kept = {
        name: former.definition[name] for name in ("prerequisites", "whitelist", "rollout_percentage", "updated_by")
    }
    assert kept == {
        "prerequisites": ["basket"], "whitelist": ["user-1"], "rollout_percentage": None, "updated_by": "olga"
    }  # fmt: skip
    assert former.replaced_by < set_(cast.oslo)


def test_the_moments_have_the_order_of_the_numbers(cast: Cast) -> None:
    """All in one transaction, whose begin would be the same moment for each of them."""
    numbers = [set_(cast.acme), set_(cast.oslo, enabled=False)]
    service.update(key="checkout", values={"killed": True}, by="olga")
    tree_operations.move(organization_id=cast.north.pk, parent_id=cast.south.pk)
    numbers.append(set_(cast.acme, enabled=False, below=Below.OVERWRITE))
    moments: list[tuple[int, datetime]] = []
    moments += Change.objects.filter(number__in=numbers).values_list("number", "created_at")
    moments += FormerDefinition.objects.values_list("replaced_by", "valid_until")
    moments += FormerPlacement.objects.values_list("replaced_by", "valid_until")
    assert len(moments) == 5
    by_number = [moment for _, moment in sorted(moments)]
    assert by_number == sorted(set(by_number))


def test_a_purge_deletes_what_history_kept_of_the_flag(cast: Cast) -> None:
    set_(cast.acme)
    set_(cast.acme, enabled=False)
    service.archive(key="checkout", by="olga")
    service.purge(key="checkout", by="olga")
    runner.run_next("default")
    assert not Flag.objects.exists()
    assert not FormerDefinition.objects.exists()
    assert not ReplacedSetting.objects.exists()


def test_history_begins_with_its_installation() -> None:
    with connection.cursor() as cursor:
        cursor.execute("SELECT count(*) FROM flags_historybegin WHERE begins_at < now()")
        assert cursor.fetchone() == (1,)
