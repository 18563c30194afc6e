"""The audit log in the admin site as sentences: with links, by operation, and found by plain names."""

from __future__ import annotations

from datetime import timedelta
from typing import Any

import pytest

from conftest import Cast
from flags.definitions import service
from flags.definitions.models import Flag
from flags.states.set_flag import set_flag
from flagsite.core import actor
from jobs.engine import lifecycle
from orgs.audit import audit_log, selectors
from orgs.audit.models import AuditEntry
from orgs.tests.people import shown, signed_in

pytestmark = pytest.mark.django_db

PAGE = "/admin/orgs/auditentry/"


def words(answer: Any) -> str:
    return " ".join(shown(answer).split())


def subjects(query: dict[str, str], **who: Any) -> list[str]:
    answer = signed_in("viewer", **who).get(PAGE, query)
    return [entry.subject for entry in answer.context["cl"].result_list]


def test_the_list_the_entry_and_the_histories_say_the_same_sentence_with_links(cast: Cast) -> None:
    with actor.acting("admin", actor="user:olga"):
        set_flag(organization_id=cast.oslo.pk, flag_key="express-pay", enabled=False, requested_by="user:olga",
                 reason="till <broken>")  # fmt: skip
    entry, flag = AuditEntry.objects.get(action="flag.set"), Flag.objects.get()
    sentence = (
        '<a class="fs-name" href="/admin/orgs/auditentry/?by=user%3Aolga" title="">olga</a> set '
        f'<a class="fs-name" href="/admin/flags/flag/{flag.pk}/change/" title="">express-pay</a> off for '
        f'<a class="fs-name" href="/admin/orgs/organization/{cast.oslo.pk}/change/" '
        'title="Acme › North › Oslo">Oslo</a>'
        ": till &lt;broken&gt;"
    )
    client = signed_in("viewer")
    for page in (PAGE, f"{PAGE}{entry.pk}/change/", f"/admin/orgs/organization/{cast.oslo.pk}/change/",
                 f"/admin/flags/flag/{flag.pk}/change/"):  # fmt: skip
        assert sentence in words(client.get(page)), page


def test_a_job_is_a_link_as_long_as_it_is_there(cast: Cast) -> None:
    job = lifecycle.create(kind="cleanup", organization_id=None, requested_by="user:ada")
    for number in (job.pk, job.pk + 1000):
        audit_log.record("job.cancel", f"job:{number}", by="user:ada")
    page = words(signed_in("viewer").get(PAGE))
    assert f'<a class="fs-name" href="/admin/jobs/job/{job.pk}/change/" title="">job {job.pk}</a>' in page
    assert f'<strong title="">job {job.pk + 1000}</strong>' in page


def test_a_bound_person_gets_no_links_to_what_is_outside_of_the_scope(cast: Cast) -> None:
    with actor.acting("admin", actor="user:olga"):
        audit_log.record("organization.move", "organization:oslo", organization_id=cast.oslo.pk, before=cast.south.pk,
                         after=cast.north.pk)  # fmt: skip
    page = words(signed_in("viewer", bound_to=cast.north).get(PAGE))
    assert f"from organization {cast.south.pk} (outside of your organizations) to <a" in page
    assert "South" not in page
    assert f"/admin/orgs/organization/{cast.south.pk}/" not in page


def test_the_entries_of_one_operation_are_one_row_below_their_summary(cast: Cast) -> None:
    with actor.acting("api", actor="user:olga", correlation_id="import-7"):
        for place in (cast.oslo, cast.bergen):
            audit_log.record("organization.rename", f"organization:{place.key}", organization_id=place.pk, before="A",
                             after=place.name)  # fmt: skip
        audit_log.record("organizations.import", "organizations", renamed=2)
        audit_log.record("job.retry", "job:1")
    audit_log.record("job.retry", "job:2", by="user:olga")
    answer = signed_in("viewer").get(PAGE)
    assert [entry.subject for entry in answer.context["cl"].result_list] == ["job:2", "organizations"]
    page = words(answer)
    assert "imported organizations: renamed 2" in page
    assert "3 more entries of this operation" in page
    assert f'renamed A to <a class="fs-name" href="/admin/orgs/organization/{cast.bergen.pk}/change/"' in page


@pytest.mark.parametrize(
    ("other", "rows"),
    [
        ({}, 1),
        ({"actor": "user:bob"}, 2),
        ({"via": "worker"}, 2),
        ({"correlation_id": "two"}, 2),
        ({"ago": timedelta(minutes=9)}, 1),
        ({"ago": timedelta(minutes=11)}, 2),
    ],
)
def test_entries_belong_to_one_operation_if(db: None, other: dict[str, Any], rows: int) -> None:
    columns = {"actor": "user:olga", "via": "api", "correlation_id": "one", "action": "job.retry", "subject": "job:1"}
    newest = AuditEntry.objects.create(**columns)
    newest.refresh_from_db()
    before = newest.at - other.pop("ago", timedelta())
    AuditEntry.objects.create(id=newest.pk - 1, at=before, **columns | other)
    assert len(subjects({})) == rows


@pytest.mark.parametrize(
    ("term", "found"),
    [
        ("express-pay", ["flag-schedule:5", "flag:express-pay"]),
        ("olga", ["flag:express-pay"]),
        ("bob", ["user:bob", "queue:mail"]),
        ("Oslo", ["organization:oslo", "flag-schedule:5"]),
        ("slo", ["organization:oslo", "flag-schedule:5"]),
        ("oslo", ["organization:oslo", "flag-schedule:5"]),
        ("mail", ["queue:mail"]),
        ("organization:gone", ["organization:gone"]),
        ("gone", ["organization:gone"]),
        ("request-1", ["user:bob"]),
        ("express", []),
    ],
)
def test_a_plain_name_finds_entries(cast: Cast, term: str, found: list[str]) -> None:
    audit_log.record("flag.update", "flag:express-pay", by="user:olga", before={"owner": "a"}, after={"owner": "b"})
    audit_log.record("flag-schedule.cancel", "flag-schedule:5", by="user:ada", organization_id=cast.oslo.pk,
                     flag="express-pay")  # fmt: skip
    audit_log.record("queue.pause", "queue:mail", by="user:bob")
    audit_log.record("organization.rename", "organization:oslo", by="user:ada", organization_id=cast.oslo.pk)
    audit_log.record("organization.delete", "organization:gone", by="user:ada", organization_id=98765)
    with actor.acting("api", actor="user:ada", correlation_id="request-1"):
        audit_log.record("user.password", "user:bob")
    assert subjects({"q": term}) == found


@pytest.mark.parametrize("few", [0, 100])
def test_a_search_finds_the_same_entries_whether_they_are_few_or_many(
    cast: Cast, few: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(selectors, "MAX_FEW", few)
    for number in range(3):
        audit_log.record("job.retry", f"job:{number}", by="user:olga" if number else "user:ada")
    assert subjects({"q": "olga"}) == ["job:2", "job:1"]
    assert subjects({"q": "olga", "did": "job.cancel"}, name="vic") == []


def test_a_plain_name_finds_nothing_outside_of_the_scope(cast: Cast) -> None:
    service.create(key="express-pay", values={}, by="user:olga")
    for place in (cast.oslo, cast.rival):
        audit_log.record("flag.set", "flag:express-pay", by="user:olga", organization_id=place.pk, enabled=True)
    for term in ("express-pay", "olga"):
        assert len(subjects({"q": term}, bound_to=cast.north, name=f"nora {term}")) == 1
    assert subjects({"q": "Rival"}, bound_to=cast.north, name="nora") == []
