"""The audit log in the admin site: entries are found and never changed; each person sees those of their scope."""

from __future__ import annotations

from typing import Any

import pytest

from conftest import Cast
from flagsite.core import actor
from flagsite.core.admin import capped_paginator
from orgs.audit import audit_log
from orgs.audit.models import AuditEntry
from orgs.tests.people import shown, signed_in

pytestmark = pytest.mark.django_db

PAGE = "/admin/orgs/auditentry/"


def test_the_former_address_leads_to_the_audit_log() -> None:
    answer = signed_in("viewer").get("/admin/orgs/historyentry/?action=flag.set")
    assert (answer.status_code, answer["Location"]) == (301, f"{PAGE}?action=flag.set")


@pytest.fixture
def told(cast: Cast) -> Cast:
    """Some operations by different actors, through different channels."""
    with actor.acting("api", address="10.0.0.7", actor="key:abc nightly"):
        audit_log.record("flag.set", "flag:checkout", organization_id=cast.oslo.pk, after=True)
    with actor.acting("command", actor="command:root@host"):
        audit_log.record("job.retry", "job:17", organization_id=cast.rival.pk, reason="<i>again</i>")
    audit_log.record("key.revoke", "key:abc nightly", by="user:ada")
    audit_log.record("job.retry", "job:171", by="user:ada", organization_id=cast.north.pk)
    AuditEntry.objects.create(action="job.cancel", subject="job:5", actor="user:bob", via="api", organization_id=999)
    return cast


def found(query: str, **who: Any) -> list[str]:
    """Subjects of the entries that the list shows, newest first; {day} in the query is when the newest was made."""
    day = AuditEntry.objects.latest("id").at.date()
    answer = signed_in(who.pop("group", "viewer"), **who).get(f"{PAGE}?{query.format(day=day)}")
    shown(answer)
    return [entry.subject for entry in answer.context["cl"].result_list]


@pytest.mark.parametrize(
    ("query", "subjects"),
    [
        ("by=ada", ["job:171", "key:abc nightly"]),
        ("by=key:abc+nightly", ["flag:checkout"]),
        ("did=job.retry", ["job:171", "job:17"]),
        ("did=job.retry&by=ada", ["job:171"]),
        ("of=oslo&did=flag.set", ["flag:checkout"]),
        ("of=999", ["job:5"]),
        ("of=nowhere", []),
        ("via=command", ["job:17"]),
        ("q=job:17", ["job:17"]),
        ("q=key:abc", ["key:abc nightly"]),
        ("q=nothing", []),
        ("at_from=2020-01-01&at_to=2020-01-02", []),
        ("at_from=2020-01-01&by=bob", ["job:5"]),
        ("at_from={day}&at_to={day}&by=bob", ["job:5"]),
        ("at_to=2020-01-02", []),
        ("at_from=tomorrow&by=bob", ["job:5"]),
    ],
)
def test_entries_are_found_by(told: Cast, query: str, subjects: list[str]) -> None:
    assert found(query) == subjects


def test_an_entry_says_who_what_why_from_where_and_what_it_was_before(told: Cast) -> None:
    client = signed_in("viewer")
    entry = AuditEntry.objects.get(subject="job:17")
    page = shown(client.get(f"{PAGE}{entry.pk}/change/"))
    for text in ("command:root@host", "job.retry", "job:17", "Rival", "&lt;i&gt;again&lt;/i&gt;"):
        assert text in page
    page = shown(client.get(f"{PAGE}{AuditEntry.objects.get(subject='flag:checkout').pk}/change/"))
    assert "api 10.0.0.7" in page
    assert "&quot;after&quot;: true" in page
    assert "999, deleted" in shown(client.get(f"{PAGE}?of=999"))


def test_a_bound_person_sees_what_concerned_their_subtree(told: Cast) -> None:
    assert found("by=ada", bound_to=told.north) == ["job:171"]
    foreign = AuditEntry.objects.get(subject="job:17")
    client = signed_in("admin", bound_to=told.north, name="nora")
    assert client.get(f"{PAGE}{foreign.pk}/change/").status_code == 302  # as for one that does not exist
    assert foreign.subject not in [entry.subject for entry in client.get(f"{PAGE}?of=rival").context["cl"].result_list]


def test_nobody_changes_the_audit_log(told: Cast) -> None:
    client = signed_in("superuser")
    entry = AuditEntry.objects.get(subject="job:17")
    before = list(AuditEntry.objects.order_by("pk").values())
    assert client.post(f"{PAGE}{entry.pk}/change/", {"actor": "user:nobody"}).status_code == 403
    assert client.post(f"{PAGE}{entry.pk}/delete/", {"post": "yes"}).status_code == 403
    assert client.post(f"{PAGE}add/", {"actor": "user:nobody"}).status_code == 403
    client.post(PAGE, {"action": "delete_selected", "_selected_action": [entry.pk], "post": "yes"})
    assert list(AuditEntry.objects.order_by("pk").values()) == before


def test_a_long_audit_log_is_counted_up_to_a_point_and_its_pages_are_in_order(
    monkeypatch: pytest.MonkeyPatch, cast: Cast
) -> None:
    for number in range(120):
        audit_log.record("flag.set", f"flag:{number}", by="user:ada")
    client = signed_in("viewer")
    page = client.get(f"{PAGE}?by=ada&p=2")
    assert [entry.subject for entry in page.context["cl"].result_list][:2] == ["flag:69", "flag:68"]
    assert "more than" not in shown(page)
    monkeypatch.setattr(capped_paginator.CappedPaginator, "max_counted_rows", 100)
    page = client.get(f"{PAGE}?by=ada&p=2")
    assert [entry.subject for entry in page.context["cl"].result_list][:2] == ["flag:69", "flag:68"]
    assert "more than 100" in " ".join(shown(page).split())


def test_the_list_takes_as_many_queries_for_many_entries_as_for_few(
    told: Cast, django_assert_max_num_queries: Any
) -> None:
    client = signed_in("viewer", bound_to=told.acme)
    counts = []
    for _ in range(2):
        with django_assert_max_num_queries(14) as queries:
            shown(client.get(PAGE))
        counts.append(len(queries))
        for number in range(20):
            audit_log.record("flag.set", f"flag:{number}", organization_id=told.oslo.pk)
    assert counts[0] == counts[1]
