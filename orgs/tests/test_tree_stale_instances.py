"""Instances that were loaded, copied or half saved earlier never damage the tree nor lose what is asked for."""

from __future__ import annotations

import copy

import pytest
from django.db import IntegrityError, transaction
from mptt.exceptions import CantDisableUpdates

from conftest import Cast
from orgs.errors import MoveUnderOwnDescendant, OrganizationNotFound
from orgs.tests.trees import get, paths
from orgs.tree import locks, tree_operations
from orgs.tree.models import Organization


def test_the_cast_is_sound(cast: Cast) -> None:
    assert paths() == {
        "acme", "acme/north", "acme/north/oslo", "acme/north/bergen", "acme/south", "acme/south/rome",
        "rival", "rival/rival_store",
    }  # fmt: skip


def test_a_child_is_created_below_a_parent_that_was_loaded_long_ago(cast: Cast) -> None:
    stale = get("north")
    tree_operations.move(organization_id=stale.pk, parent_id=cast.rome.pk)
    Organization.objects.create(name="Narvik", key="narvik", parent=stale)
    assert "acme/south/rome/north/narvik" in paths()


def test_a_child_of_a_parent_that_is_gone_is_refused(cast: Cast) -> None:
    stale = get("north")
    tree_operations.delete(organization_id=stale.pk, subtree=True)
    with pytest.raises(OrganizationNotFound):
        Organization.objects.create(name="Narvik", key="narvik", parent=stale)
    cast.rome.parent = stale
    with pytest.raises(OrganizationNotFound):
        cast.rome.save()
    assert paths() == {"acme", "acme/south", "acme/south/rome", "rival", "rival/rival_store"}


def test_a_parent_saved_after_it_was_given_is_found(cast: Cast) -> None:
    parent = Organization(name="East", key="east")
    child = Organization(name="Lodz", key="lodz", parent=parent)
    parent.save()
    child.save()
    assert "east/lodz" in paths()


def test_a_copy_gets_a_place_of_its_own(cast: Cast) -> None:
    north = get("north")
    north.pk, north._state.adding, north.key = None, True, "north2"
    north.save()
    assert {"acme/north2", "acme/north/oslo"} <= paths()


def test_a_second_attempt_after_a_refused_first_one_gets_its_place(cast: Cast) -> None:
    new = Organization(name="Rome", key="rome", parent=cast.south)
    with pytest.raises(IntegrityError), transaction.atomic():
        new.save()
    Organization.objects.create(name="Milan", key="milan", parent=cast.north)
    new.key = "rome2"
    new.save()
    assert {"acme/south/rome2", "acme/north/milan"} <= paths()


def test_a_new_organization_never_overwrites_one_with_the_same_id(cast: Cast) -> None:
    with pytest.raises(IntegrityError), transaction.atomic():
        Organization(pk=cast.oslo.pk, name="Thief", key="thief", parent=cast.south).save()
    assert "acme/north/oslo" in paths()


def test_renaming_a_stale_instance_leaves_its_place_alone(cast: Cast) -> None:
    stale = get("north")
    tree_operations.move(organization_id=stale.pk, parent_id=cast.rival.pk)
    stale.name = "Up there"
    stale.save()
    assert get("north").name == "Up there"
    assert "rival/north/oslo" in paths()


def test_a_rename_is_written_though_the_move_with_it_was_made_already(cast: Cast) -> None:
    stale = get("oslo")
    tree_operations.move(organization_id=stale.pk, parent_id=cast.south.pk)
    stale.parent, stale.name = cast.south, "Oslo in the south"
    stale.save()
    assert get("oslo").name == "Oslo in the south"


def test_a_rename_is_written_when_the_parent_was_not_loaded(cast: Cast) -> None:
    partial = Organization.objects.only("name").get(key="oslo")
    partial.name = "Christiania"
    partial.save()
    assert get("oslo").name == "Christiania"
    assert "acme/north/oslo" in paths()


def test_a_refreshed_instance_can_be_moved_back(cast: Cast) -> None:
    oslo = get("oslo")
    tree_operations.move(organization_id=oslo.pk, parent_id=cast.south.pk)
    oslo.refresh_from_db()
    oslo.parent = cast.north
    oslo.save()
    assert "acme/north/oslo" in paths()


def test_a_refreshed_instance_can_be_renamed(cast: Cast) -> None:
    oslo = get("oslo")
    tree_operations.move(organization_id=oslo.pk, parent_id=cast.south.pk)
    oslo.refresh_from_db()
    oslo.name = "Oslo II"
    oslo.save()
    assert get("oslo").name == "Oslo II"
    assert "acme/south/oslo" in paths()


def test_a_move_waits_for_the_save_though_the_columns_are_refreshed(cast: Cast) -> None:
    oslo = get("oslo")
    oslo.parent = cast.south
    oslo.refresh_from_db(fields=["name", "lft"])
    oslo.save()
    assert "acme/south/oslo" in paths()


def test_moving_to_a_place_works_from_a_stale_instance(cast: Cast) -> None:
    stale = get("oslo")
    tree_operations.move(organization_id=stale.pk, parent_id=cast.rival.pk)
    tree_operations.rename(organization_id=stale.pk, name="Oslo VI")
    stale.move_to(cast.north)
    assert "acme/north/oslo" in paths()
    assert (stale.name, get("oslo").name) == ("Oslo VI", "Oslo VI")


def test_moving_beside_another_reads_where_that_one_is_now(cast: Cast) -> None:
    target = get("oslo")
    tree_operations.move(organization_id=target.pk, parent_id=cast.rival.pk)
    Organization.objects.move_node(get("rome"), target, "right")
    assert {"rival/oslo", "rival/rome"} <= paths()


def test_saving_the_name_alone_does_not_move(cast: Cast) -> None:
    oslo = get("oslo")
    oslo.parent, oslo.name = cast.south, "Oslo III"
    oslo.save(update_fields=["name"])
    assert get("oslo").name == "Oslo III"
    assert "acme/north/oslo" in paths()


@pytest.mark.parametrize("column", ["parent", "parent_id"])
def test_saving_the_parent_alone_does_not_rename(cast: Cast, column: str) -> None:
    oslo = get("oslo")
    oslo.parent, oslo.name = cast.south, "Oslo IV"
    oslo.save(update_fields=[column])
    assert get("oslo").name == "Oslo"
    assert "acme/south/oslo" in paths()


def test_a_refused_move_can_be_made_later_with_the_same_instance(cast: Cast) -> None:
    oslo = get("oslo")
    oslo.parent, oslo.key = cast.south, "rome"
    with pytest.raises(IntegrityError), transaction.atomic():
        oslo.save()
    assert "acme/north/oslo" in paths()
    oslo.key = "oslo2"
    oslo.save()
    assert "acme/south/oslo2" in paths()


def test_nothing_is_moved_below_itself_not_even_by_stale_instances(cast: Cast) -> None:
    acme, rome = get("acme"), get("rome")
    tree_operations.move(organization_id=rome.pk, parent_id=cast.rival.pk)
    tree_operations.move(organization_id=cast.rival.pk, parent_id=acme.pk)
    for target in (acme, rome):
        with pytest.raises(MoveUnderOwnDescendant):
            acme.move_to(target)
    assert "acme/rival/rome" in paths()


def test_roots_become_children_and_children_roots(cast: Cast) -> None:
    get("rival").move_to(get("oslo"))
    get("north").move_to(None)
    get("rival_store").move_to(get("acme"), "left")
    get("acme").move_to(get("north"), "right")
    assert paths() == {
        "acme", "acme/south", "acme/south/rome", "north", "north/oslo", "north/oslo/rival", "north/bergen",
        "rival_store",
    }  # fmt: skip


def test_get_or_create_and_update_or_create_keep_the_tree(cast: Cast) -> None:
    Organization.objects.get_or_create(key="narvik", defaults={"name": "Narvik", "parent": cast.north})
    Organization.objects.update_or_create(key="narvik", defaults={"name": "Narvik II", "parent": cast.south})
    Organization.objects.update_or_create(key="turin", defaults={"name": "Turin", "parent": cast.south})
    cast.south.children.create(name="Bari", key="bari")
    assert get("narvik").name == "Narvik II"
    assert {"acme/south/narvik", "acme/south/turin", "acme/south/bari"} <= paths()


def test_a_deleted_instance_deletes_nothing_else(cast: Cast) -> None:
    stale = get("north")
    tree_operations.delete(organization_id=stale.pk, subtree=True)
    assert stale.delete() == (0, {})
    assert "acme/south/rome" in paths()


def test_a_stale_instance_deletes_what_is_below_it_now(cast: Cast) -> None:
    stale = get("north")
    tree_operations.move(organization_id=cast.rome.pk, parent_id=stale.pk)
    tree_operations.move(organization_id=cast.oslo.pk, parent_id=cast.south.pk)
    assert stale.delete()[0] == 3
    assert paths() == {"acme", "acme/south", "acme/south/oslo", "rival", "rival/rival_store"}


def test_a_queryset_deletes_subtrees_that_overlap(cast: Cast) -> None:
    assert Organization.objects.filter(key__in=["oslo", "north", "rival"]).delete()[0] == 5
    assert paths() == {"acme", "acme/south", "acme/south/rome"}
    assert not hasattr(Organization.objects, "delete")  # Django keeps it off managers: it would delete everything


def test_saving_what_is_deleted_says_so(cast: Cast) -> None:
    stale = get("oslo")
    tree_operations.delete(organization_id=stale.pk)
    with pytest.raises(OrganizationNotFound):
        stale.save()
    with pytest.raises(OrganizationNotFound):
        stale.move_to(cast.south)


def test_a_copied_instance_does_not_share_what_it_remembers(cast: Cast) -> None:
    oslo = get("oslo")
    other = copy.copy(oslo)
    other.parent = cast.south
    other.save()
    oslo.parent = cast.south
    oslo.name = "Oslo V"
    oslo.save()
    assert get("oslo").name == "Oslo V"
    assert "acme/south/oslo" in paths()


def test_mptt_updates_cannot_be_switched_off(cast: Cast) -> None:
    for switch_off in (Organization.objects.disable_mptt_updates, Organization.objects.delay_mptt_updates):
        with pytest.raises(CantDisableUpdates):
            switch_off()


@pytest.mark.parametrize("save", [True, False])
def test_a_node_inserted_through_the_manager_gets_one_place(cast: Cast, save: bool) -> None:
    with transaction.atomic():
        locks.lock_all_trees_for_writing()
        new = Organization.objects.insert_node(Organization(name="Bari", key="bari"), cast.south, save=save)
        new.save()
    assert "acme/south/bari" in paths()
