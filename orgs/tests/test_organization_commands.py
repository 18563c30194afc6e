"""The commands that create, rename, move and delete organizations, and the one that reads the audit log."""

from __future__ import annotations

import pytest

from conftest import Cast
from orgs.audit.models import AuditEntry
from orgs.tests.commands import OLGA, run
from orgs.tree.models import Organization

pytestmark = pytest.mark.django_db


def latest() -> tuple[str, str, str, str]:
    entry = AuditEntry.objects.latest("id")
    return entry.action, entry.actor, entry.via, entry.reason


def test_an_organization_is_created_renamed_moved_and_deleted(cast: Cast) -> None:
    created = run("create_organization", "narvik", "Narvik", "--parent", "north", "--reason", "new", "--json").document
    assert (created["key"], created["parentId"]) == ("narvik", cast.north.pk)
    assert latest() == ("organization.create", OLGA, "command", "new")
    assert "(id " in run("rename_organization", "narvik", "Narvik City", "--reason", "grown").out
    assert latest() == ("organization.rename", OLGA, "command", "grown")
    run("move_organization", "narvik", "--parent", f"id:{cast.south.pk}", "--reason", "map")
    assert Organization.objects.get(key="narvik").parent_id == cast.south.pk
    assert latest() == ("organization.move", OLGA, "command", "map")
    run("move_organization", "narvik", "--root")
    assert Organization.objects.get(key="narvik").parent_id is None
    assert run("delete_organization", "narvik", "--reason", "closed", "--json").document["deletedOrganizations"] == 1
    assert latest() == ("organization.delete", OLGA, "command", "closed")


@pytest.mark.parametrize(
    ("arguments", "words", "status"),
    [
        (("create_organization", " x", "X"), "key: A key has no control or invisible characters", 1),
        (("create_organization", "oslo", "Oslo"), "The key 'oslo' is taken.", 1),
        (("create_organization", "x", ""), "name: This field may not be blank.", 1),
        (("rename_organization", "nowhere", "X"), "There is no such organization", 1),
        (("move_organization", "acme", "--parent", "oslo"), "cannot be moved below itself", 1),
        (("delete_organization", "acme"), "subtree", 1),
        (("delete_organization", "nowhere"), "There is no organization with the key or id 'nowhere'.", 1),
    ],
)
def test_what_makes_no_sense_is_refused(cast: Cast, arguments: tuple[str, ...], words: str, status: int) -> None:
    before = set(Organization.objects.values_list("key", "name", "parent_id"))
    refused = run(*arguments)
    assert words in refused.error
    assert refused.status == status
    assert set(Organization.objects.values_list("key", "name", "parent_id")) == before


def test_the_audit_log_is_read_with_filters(cast: Cast) -> None:
    run("rename_organization", "oslo", "Oslo City", "--reason", "grown")
    run("rename_organization", "rome", "Roma")
    shown = run("audit_log", "--organization", "oslo", "--action", "organization.rename", "--from", "1h").out
    assert "Oslo → Oslo City" in shown
    assert "grown" in shown
    assert "Roma" not in shown
    document = run("audit_log", "--actor", OLGA, "--limit", "1", "--json").document
    assert ([entry["subject"] for entry in document["results"]], document["more"]) == (["organization:rome"], True)
    assert run("audit_log", "--to", "1h").out == "No audit entries match.\n"
