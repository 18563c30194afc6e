"""The audit entries of an import: one for each organization that it creates, renames or moves."""

from __future__ import annotations

from typing import Any

from django.db import connection
from django.test.utils import CaptureQueriesContext

from conftest import Cast
from flagsite.core import actor
from orgs.audit.models import AuditEntry
from orgs.tests.people import shown, signed_in
from orgs.tests.trees import get, import_rows
from orgs.tree import tree_operations


def entries(key: str) -> list[tuple[str, Any]]:
    """The actions with their details about an organization, oldest first."""
    about = AuditEntry.objects.filter(organization=get(key), subject=f"organization:{key}")
    return list(about.order_by("id").values_list("action", "details"))


def test_each_organization_that_an_import_changes_has_its_own_entries(cast: Cast) -> None:
    import_rows("a,A,", "b,B,a", "rome,Roma,b", "oslo,Oslo,", "north,Norden,acme", "south,South,acme")
    assert entries("a") == [("organization.create", {"name": "A", "parentId": None})]
    assert entries("b") == [("organization.create", {"name": "B", "parentId": get("a").pk})]
    assert entries("rome") == [
        ("organization.rename", {"before": "Rome", "after": "Roma"}),
        ("organization.move", {"before": cast.south.pk, "after": get("b").pk}),
    ]
    assert entries("oslo") == [("organization.move", {"before": cast.north.pk, "after": None})]
    assert entries("north") == [("organization.rename", {"before": "North", "after": "Norden"})]
    assert entries("south") == entries("bergen") == []


def test_the_entries_are_those_of_the_same_operations_done_one_by_one(cast: Cast) -> None:
    with actor.acting("command", actor="command:me", address="::1", correlation_id="c-1", reason="sold"):
        tree_operations.rename(organization_id=cast.oslo.pk, name="O")
        tree_operations.move(organization_id=cast.oslo.pk, parent_id=cast.south.pk)
        one_by_one = list(AuditEntry.objects.order_by("id"))
        import_rows("bergen,O,south")
    imported = AuditEntry.objects.filter(organization=cast.bergen).order_by("id")
    for one, other in zip(one_by_one, imported, strict=True):
        assert one.details.keys() - {"changeNumber"} == other.details.keys()  # the moves of an import share a number
        for column in ("actor", "action", "via", "address", "correlation_id", "reason"):
            assert getattr(one, column) == getattr(other, column)
        assert (other.subject, other.at is not None) == ("organization:bergen", True)


def test_the_page_of_an_organization_shows_what_an_import_did_to_it(cast: Cast) -> None:
    import_rows("rome,Roma,oslo")
    page = shown(signed_in("admin").get(f"/admin/orgs/organization/{cast.rome.pk}/change/"))
    assert "organization.rename" in page
    assert "organization.move" in page


def test_the_number_of_statements_does_not_grow_with_the_entries(cast: Cast) -> None:
    def statements(count: int, prefix: str) -> int:
        with CaptureQueriesContext(connection) as captured:
            import_rows(*(f"{prefix}{number},N,oslo" for number in range(count)))
        return len([query for query in captured if "orgs_historyentry" in query["sql"]])

    assert statements(3, "a") == statements(300, "b") == 2
