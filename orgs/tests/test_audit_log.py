"""What people and programs do is in the audit log with the actor, and stays there as it was written."""

from __future__ import annotations

import contextvars
from collections.abc import Callable
from io import StringIO
from typing import Any

import pytest
import structlog
from django.core.management import call_command
from django.db import IntegrityError, connection, transaction
from django.test import Client

from conftest import Cast
from flagsite.core import actor
from flagsite.core.actor import SYSTEM, acting
from orgs.access import access_keys
from orgs.access.models import Role
from orgs.audit import audit_log
from orgs.audit.models import AuditEntry
from orgs.errors import ActorMissing
from orgs.tree import tree_operations

pytestmark = pytest.mark.django_db


def entries() -> list[tuple[str, str, str, dict[str, Any]]]:
    """Actor, action, subject, details of each, oldest first, without what made the cast."""
    rows = AuditEntry.objects.exclude(action="organization.create").order_by("id")
    return [(row.actor, row.action, row.subject, row.details) for row in rows]


@pytest.mark.parametrize("statement", ["UPDATE orgs_historyentry SET actor = 'x'", "DELETE FROM orgs_historyentry"])
def test_nobody_changes_or_deletes_an_entry(statement: str) -> None:
    audit_log.record("job.retry", "job:1", by="bob")
    with pytest.raises(IntegrityError, match="only ever added to"), transaction.atomic(), connection.cursor() as cursor:
        cursor.execute(statement)
    assert AuditEntry.objects.get().actor == "bob"


def test_nobody_empties_the_audit_log() -> None:
    audit_log.record("job.retry", "job:1", by="bob")
    with connection.cursor() as cursor:  # as the migrations leave it; conftest.py says why it is off in tests
        cursor.execute("ALTER TABLE orgs_historyentry ENABLE TRIGGER orgs_history_is_not_emptied")
    with pytest.raises(IntegrityError, match="only ever added to"), transaction.atomic(), connection.cursor() as cursor:
        cursor.execute("TRUNCATE orgs_historyentry CASCADE")
    assert AuditEntry.objects.get().actor == "bob"


def test_an_entry_says_through_which_channel_the_action_came() -> None:
    with acting("command", address="10.0.0.1", actor="command:root@host"):
        audit_log.record("queue.pause", "queue:default", reason="deploy")
    entry = AuditEntry.objects.get()
    assert (entry.actor, entry.via, entry.address, entry.reason) == (
        "command:root@host", "command", "10.0.0.1", "deploy",
    )  # fmt: skip


def test_what_nobody_asked_for_is_the_systems() -> None:
    with acting("worker", actor=SYSTEM):
        audit_log.record("jobs.cleaned", "job:1")
    entry = AuditEntry.objects.get()
    assert (entry.actor, entry.via) == ("system", "worker")


def where_nobody_has_said_who_acts(call: Callable[[], object]) -> None:
    """Run it as in a new thread: in an empty context."""
    contextvars.Context().run(call)


def test_an_entry_without_an_actor_fails_a_test() -> None:
    with pytest.raises(ActorMissing):
        where_nobody_has_said_who_acts(lambda: audit_log.record("job.retry", "job:1"))
    assert not AuditEntry.objects.exists()
    where_nobody_has_said_who_acts(lambda: audit_log.record("job.retry", "job:1", by="bob"))
    assert AuditEntry.objects.get().actor == "bob"


def test_a_name_that_stands_for_nobody_is_no_actor() -> None:
    with pytest.raises(ActorMissing):
        audit_log.record("job.retry", "job:1", by=actor.UNKNOWN)


@pytest.mark.parametrize("command", [["create_key", "nightly"], ["pause_queue", "default", "--reason", "deploy"]])
def test_a_command_that_no_manage_py_runs_names_its_user_and_host(command: list[str]) -> None:
    where_nobody_has_said_who_acts(lambda: call_command(*command, stdout=StringIO()))
    entry = AuditEntry.objects.get()
    assert (entry.actor, entry.via) == (actor.command_actor(), "command")


def test_a_request_that_does_not_say_who_acts_fails_a_test(
    client: Client, cast: Cast, admin_key: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Whoever acts around a request is not the actor of what is done in it."""
    monkeypatch.setattr(actor, "identify", lambda _: None)
    with pytest.raises(ActorMissing), acting("command", actor="command:root@host"):
        client.delete(f"/organizations/{cast.oslo.pk}", headers={"X-API-Key": admin_key})


def test_in_production_an_entry_without_an_actor_is_kept_and_the_log_says_so(settings: Any) -> None:
    settings.AUDIT_ACTOR_REQUIRED = False
    with structlog.testing.capture_logs() as lines:
        where_nobody_has_said_who_acts(lambda: audit_log.record("job.retry", "job:1"))
    entry = AuditEntry.objects.get()
    assert (entry.actor, entry.action, entry.subject, entry.via) == ("unknown", "job.retry", "job:1", "unknown")
    assert [(line["event"], line["log_level"], line["subject"]) for line in lines] == [
        ("audit_entry_without_actor", "error", "job:1")
    ]


def test_who_clears_the_logs_context_changes_no_actor(
    client: Client, cast: Cast, admin_key: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    delete = tree_operations.delete

    def clear_then_delete(**asked: Any) -> None:
        structlog.contextvars.clear_contextvars()
        delete(**asked)

    monkeypatch.setattr(tree_operations, "delete", clear_then_delete)
    headers = {"X-API-Key": admin_key, "X-Request-ID": "r-2"}
    assert client.delete(f"/organizations/{cast.oslo.pk}", headers=headers).status_code == 204
    entry = AuditEntry.objects.get(action="organization.delete")
    assert (entry.actor.split(" ")[-1], entry.via, entry.correlation_id) == ("admin", "api", "r-2")


def test_the_migration_that_renames_the_model_leaves_the_table_alone() -> None:
    said = StringIO()
    call_command("sqlmigrate", "orgs", "0011", stdout=said)
    statements = [line for line in said.getvalue().splitlines() if line and not line.startswith("--")]
    assert statements == ["BEGIN;", "COMMIT;"]


def test_changes_of_the_tree_are_recorded_with_before_and_after(cast: Cast) -> None:
    tree_operations.rename(organization_id=cast.oslo.pk, name="Christiania")
    number = tree_operations.move(organization_id=cast.oslo.pk, parent_id=cast.south.pk).change_number
    tree_operations.move(organization_id=cast.oslo.pk, parent_id=cast.south.pk)
    tree_operations.delete(organization_id=cast.south.pk, subtree=True)
    moved = {"before": cast.north.pk, "after": cast.south.pk, "changeNumber": number}
    assert entries() == [
        ("system", "organization.rename", "organization:oslo", {"before": "Oslo", "after": "Christiania"}),
        ("system", "organization.move", "organization:oslo", moved),
        ("system", "organization.delete", "organization:south", {"name": "South", "organizations": 3}),
    ]


def test_a_key_is_recorded_without_its_secret() -> None:
    record, secret = access_keys.create(name="nightly", role=Role.EDITOR)
    access_keys.revoke(prefix=record.prefix)
    access_keys.revoke(prefix=record.prefix)
    subject = f"key:{record.prefix} nightly"
    assert [(action, where) for _, action, where, _ in entries()] == [("key.create", subject), ("key.revoke", subject)]
    assert secret.partition(".")[2] not in str(entries())


def test_a_request_is_recorded_with_its_key_address_and_id(client: Client, cast: Cast, admin_key: str) -> None:
    client.post(
        f"/{cast.oslo.pk}/checkout/true",
        headers={"X-API-Key": admin_key, "X-Request-ID": "r-1"},
        REMOTE_ADDR="192.0.2.7",
    )
    entry = AuditEntry.objects.get(action="flag.set")
    assert entry.actor.startswith("key:")
    assert entry.actor.endswith(" admin")
    assert (entry.via, entry.address, entry.correlation_id) == ("api", "192.0.2.7", "r-1")
    assert (entry.subject, entry.organization_id, entry.details["enabled"]) == ("flag:checkout", cast.oslo.pk, True)


@pytest.mark.parametrize(("trusted", "address"), [(False, "192.0.2.7"), (True, "203.0.113.9")])
def test_an_address_in_a_header_is_believed_from_our_proxy_only(
    *, client: Client, cast: Cast, admin_key: str, settings: Any, trusted: bool, address: str
) -> None:
    settings.TRUST_PROXY_HEADERS = trusted
    headers = {"X-API-Key": admin_key, "X-Forwarded-For": "198.51.100.1, 203.0.113.9"}
    client.post(f"/{cast.oslo.pk}/checkout/true", headers=headers, REMOTE_ADDR="192.0.2.7")
    assert AuditEntry.objects.get(action="flag.set").address == address


def test_what_was_refused_is_not_recorded(client: Client, cast: Cast, reader_key: str) -> None:
    assert client.post(f"/{cast.oslo.pk}/checkout/true", headers={"X-API-Key": reader_key}).status_code == 403
    assert entries() == []


def test_each_operation_is_in_the_log_after_its_commit_whatever_its_channel(
    cast: Cast, django_capture_on_commit_callbacks: Any
) -> None:
    with structlog.testing.capture_logs() as lines, django_capture_on_commit_callbacks(execute=True):
        with acting("command", actor="command:olga@host", reason="new job"):
            access_keys.create(name="nightly")
        with acting("admin", actor="user:olga"):
            tree_operations.rename(organization_id=cast.oslo.pk, name="Oslo S")
        assert lines == []
    fields = ("event", "log_level", "action", "by", "via", "reason")
    assert [tuple(line[field] for field in fields) for line in lines] == [
        ("operation_recorded", "info", "key.create", "command:olga@host", "command", "new job"),
        ("operation_recorded", "info", "organization.rename", "user:olga", "admin", ""),
    ]
