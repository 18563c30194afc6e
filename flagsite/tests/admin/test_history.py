"""The history on the pages of a flag and of an organization, with values before and after in words."""

from __future__ import annotations

import csv
from io import StringIO

import pytest

from conftest import Cast
from flags.definitions import service
from flags.definitions.models import Flag
from flags.states.set_flag import set_flag
from orgs.audit.models import AuditEntry
from orgs.tests.people import shown, signed_in
from orgs.tree import tree_operations

pytestmark = pytest.mark.django_db


def flag_page(key: str) -> str:
    return f"/admin/flags/flag/{Flag.objects.get(key=key).pk}/change/"


def test_the_page_of_a_flag_tells_what_was_changed_by_whom_and_why(cast: Cast) -> None:
    service.create(key="new-checkout", values={"rollout_percentage": 10}, by="user:alice")
    changes = {"rollout_percentage": 25, "tags": ["a"]}
    service.update(key="new-checkout", values=changes, by="user:bob", reason="went well")
    set_flag(organization_id=cast.oslo.pk, flag_key="new-checkout", enabled=True)
    set_flag(organization_id=cast.oslo.pk, flag_key="new-checkout", enabled=False, reason="stop")
    page = shown(signed_in("viewer").get(flag_page("new-checkout")))
    for text in ("rollout percentage: 10 → 25", "tags: added a", "went well", "not set → on", "on → off", "stop",
                 "Acme › North › Oslo", "user:bob"):  # fmt: skip
        assert text in page, text
    assert "/admin/orgs/auditentry/?flag=new-checkout" in page


def test_a_bound_person_reads_the_history_of_the_own_organizations_only(cast: Cast) -> None:
    service.create(key="new-checkout", values={}, by="user:alice")
    for organization in (cast.rival, cast.oslo):
        set_flag(
            organization_id=organization.pk, flag_key="new-checkout", enabled=True, reason=f"of {organization.key}"
        )
    page = shown(signed_in("viewer", bound_to=cast.north).get(flag_page("new-checkout")))
    assert "of oslo" in page
    assert "of rival" not in page
    assert "flag.create" not in page, "definitions belong to all organizations"
    assert "Acme ›" not in page


def test_the_page_of_an_organization_tells_what_was_changed(cast: Cast) -> None:
    tree_operations.rename(organization_id=cast.oslo.pk, name="Oslo City")
    tree_operations.move(organization_id=cast.oslo.pk, parent_id=cast.south.pk, reason="new region")
    page = shown(signed_in("viewer").get(f"/admin/orgs/organization/{cast.oslo.pk}/change/"))
    for text in ("name: Oslo → Oslo City", "parent: Acme › North → Acme › South", "new region"):
        assert text in page, text


def test_an_entry_of_the_audit_log_has_the_words_and_the_list_has_a_filter_by_flag(cast: Cast) -> None:
    set_flag(organization_id=cast.oslo.pk, flag_key="one", enabled=True)
    set_flag(organization_id=cast.oslo.pk, flag_key="two", enabled=True)
    client = signed_in("viewer")
    entry = AuditEntry.objects.filter(action="flag.set").latest("id")
    assert "not set → on" in shown(client.get(f"/admin/orgs/auditentry/{entry.pk}/change/"))
    page = shown(client.get("/admin/orgs/auditentry/?flag=one"))
    assert "flag:one" in page
    assert "flag:two" not in page


def test_the_list_is_downloaded_as_it_is_filtered_and_harmless(cast: Cast) -> None:
    set_flag(organization_id=cast.oslo.pk, flag_key="one", enabled=True, reason="=1+1")
    set_flag(organization_id=cast.rival.pk, flag_key="one", enabled=True)
    set_flag(organization_id=cast.oslo.pk, flag_key="two", enabled=True)
    client = signed_in("viewer", bound_to=cast.north)
    assert "/admin/orgs/auditentry/csv/?flag=one" in shown(client.get("/admin/orgs/auditentry/?flag=one"))
    answer = client.get("/admin/orgs/auditentry/csv/?flag=one")
    (row,) = csv.DictReader(StringIO(answer.content.decode("utf-8-sig")))
    assert (row["subject"], row["organization"], row["reason"]) == ("flag:one", "North › Oslo", "'=1+1")
    assert signed_in("viewer", name="other").get("/admin/orgs/auditentry/csv/").status_code == 200
