"""The audit log over HTTP: filters, pages, CSV, and what a bound admin sees."""

from __future__ import annotations

import csv
from datetime import UTC, datetime, timedelta
from io import StringIO
from typing import Any
from urllib.parse import urlsplit

import pytest

from conftest import Cast
from flags.definitions import service
from flags.states.set_flag import set_flag
from flags.tests.schedules.plans import planned
from orgs.access import access_keys
from orgs.access.models import Role
from orgs.audit import audit_log
from orgs.tests.api import Api, kind_of, wrong_fields
from orgs.tree import tree_operations

LOG, CSV = "/v1/audit-log", "/v1/audit-log/csv"


@pytest.fixture
def api(cast: Cast, admin_key: str) -> Api:
    return Api(admin_key)


def found(api: Api, **query: Any) -> list[str]:
    response = api.get(LOG, **query)
    assert response.status_code == 200, response.content
    return [row["subject"] for row in response.json()["results"]]


def test_an_entry_says_who_did_what_when_and_why_with_values_in_words(api: Api, cast: Cast) -> None:
    api.post(f"/{cast.oslo.pk}/new-checkout/true", {"reason": "launch"}, X_Request_ID="req-1")
    api.post(f"/{cast.oslo.pk}/new-checkout/false", {"reason": "stop"})
    stop, launch = api.get(LOG, action="flag.set").json()["results"]
    assert launch["actor"].endswith(" admin")
    assert (launch["reason"], launch["via"], launch["correlationId"]) == ("launch", "api", "req-1")
    assert (launch["organizationId"], launch["organization"]) == (cast.oslo.pk, "Acme › North › Oslo")
    assert launch["changes"][0] == "not set → on"
    assert stop["changes"][0] == "on → off"
    assert stop["details"]["before"] is True
    assert launch["at"] <= stop["at"]


def test_each_filter_finds_its_entries(api: Api, cast: Cast) -> None:
    set_flag(organization_id=cast.oslo.pk, flag_key="one", enabled=True, requested_by="user:alice")
    set_flag(organization_id=cast.rome.pk, flag_key="two", enabled=True, requested_by="key:4fG6aB nightly")
    schedule = planned(cast.rome, flag="one")
    assert found(api, flag="one") == [schedule.subject, "flag:one", "flag:one"]
    assert found(api, organizationId=cast.oslo.pk) == ["flag:one"]
    assert found(api, actor="alice") == found(api, actor="user:alice") == ["flag:one", "flag:one"]
    assert found(api, action="flag.set") == ["flag:two", "flag:one"]
    assert found(api, subject="flag:two") == ["flag:two", "flag:two"]
    assert found(api, via="worker", flag="two", action="flag.set") == ["flag:two"]
    assert found(api, via="admin") == []
    now = datetime.now(UTC)
    assert found(api, flag="two", to=(now - timedelta(hours=1)).isoformat()) == []
    assert len(found(api, flag="two", **{"from": (now - timedelta(hours=1)).isoformat()})) == 2
    key, _ = access_keys.create(name="nightly")
    assert found(api, subject=f"key:{key.prefix}") == [f"key:{key.prefix} nightly"]


def test_the_entries_of_a_deleted_organization_are_found_by_its_id(api: Api, cast: Cast) -> None:
    tree_operations.delete(organization_id=cast.oslo.pk)
    (entry,) = api.get(LOG, organizationId=cast.oslo.pk).json()["results"]
    assert (entry["action"], entry["organization"]) == ("organization.delete", f"{cast.oslo.pk}, deleted")


@pytest.mark.parametrize(
    ("query", "field"),
    [
        ({"via": "pigeon"}, "via"),
        ({"from": "soon"}, "from"),
        ({"to": "0001-01-01T00:00:00+14:00"}, "to"),
        ({"organizationId": ""}, "organizationId"),
        ({"flag": "a\x00b"}, "flag"),
        ({"colour": "red"}, "colour"),
        ({"pageSize": "1001"}, "pageSize"),
    ],
)
def test_a_filter_that_makes_no_sense_is_refused(api: Api, query: dict[str, str], field: str) -> None:
    assert wrong_fields(api.get(LOG, **query)) == {field}


def test_pages_go_on_with_a_cursor(api: Api, cast: Cast) -> None:
    for number in range(5):
        audit_log.record("test.done", f"thing:{number}")
    first = api.get(LOG, action="test.done", pageSize=3).json()
    second = api.get(first["next"]).json()
    subjects = [row["subject"] for row in first["results"] + second["results"]]
    assert subjects == [f"thing:{number}" for number in (4, 3, 2, 1, 0)]
    assert second["next"] is None


def rows_of(response: Any) -> list[dict[str, str]]:
    assert (response.status_code, response["Content-Type"]) == (200, "text/csv; charset=utf-8")
    assert response["Content-Disposition"] == 'attachment; filename="audit-log.csv"'
    return list(csv.DictReader(StringIO(response.content.decode("utf-8-sig"))))


@pytest.mark.parametrize("evil", ['=HYPERLINK("http://evil")', "+1", "-1", "@SUM(A1)", "\t=1", "\r=1", "＝1+1"])
def test_no_cell_of_the_file_is_run_as_a_formula(api: Api, cast: Cast, evil: str) -> None:
    audit_log.record("test.done", evil, by=evil, reason=evil, organization_id=cast.oslo.pk, before=evil, after=evil)
    tree_operations.rename(organization_id=cast.acme.pk, name=evil)
    (row,) = rows_of(api.get(CSV, action="test.done"))
    cells = [row[name] for name in ("actor", "subject", "reason", "changes", "organization")]
    assert all(cell.startswith("'") for cell in cells), cells


def test_the_file_has_the_entries_of_the_filter_and_a_link_to_older_ones(api: Api, cast: Cast) -> None:
    for number in range(3):
        audit_log.record("test.done", f"thing:{number}", reason='a "quoted", reason\nin two lines')
    response = api.get(CSV, action="test.done", pageSize=2)
    assert [row["subject"] for row in rows_of(response)] == ["thing:2", "thing:1"]
    link = response["Link"].partition(">")[0].removeprefix("<")
    older = api.client.get(f"{urlsplit(link).path}?{urlsplit(link).query}")
    assert [row["subject"] for row in rows_of(older)] == ["thing:0"]
    assert rows_of(older)[0]["reason"] == 'a "quoted", reason\nin two lines'
    assert "Link" not in older


@pytest.mark.parametrize("role", ["reader", "editor", "operator"])
@pytest.mark.parametrize("path", [LOG, CSV])
def test_only_admins_read_the_audit_log(cast: Cast, role: str, path: str) -> None:
    _, secret = access_keys.create(name="other", role=Role(role))
    assert kind_of(Api(secret).get(path)) == "not-permitted"


def test_a_bound_admin_reads_what_is_about_its_organizations(api: Api, cast: Cast) -> None:
    service.create(key="new-checkout", values={"owner": "secret-team"}, by="user:alice")
    for organization in (cast.acme, cast.north, cast.oslo, cast.rome, cast.rival):
        set_flag(organization_id=organization.pk, flag_key="new-checkout", enabled=True)
    tree_operations.move(organization_id=cast.rome.pk, parent_id=cast.north.pk)
    _, secret = access_keys.create(name="north", role=Role.ADMIN, organization=cast.north)
    bound = Api(secret)
    entries = bound.get(LOG).json()["results"]
    assert {entry["organizationId"] for entry in entries} == {cast.north.pk, cast.oslo.pk, cast.rome.pk}
    assert "secret-team" not in str(entries)
    assert found(bound, organizationId=cast.rival.pk) == []
    (moved,) = bound.get(LOG, action="organization.move").json()["results"]
    assert moved["organization"] == "North › Rome"
    parent, _ = moved["changes"]
    assert parent == f"parent: {cast.south.pk}, outside of your organizations → North"
    assert {row["organizationId"] for row in rows_of(bound.get(CSV))} == {
        str(one.pk) for one in (cast.north, cast.oslo, cast.rome)
    }


def test_the_list_takes_as_many_queries_for_many_entries_as_for_few(
    api: Api, cast: Cast, django_assert_max_num_queries: Any
) -> None:
    counts = []
    api.get(LOG)
    for organizations in ([cast.oslo], cast.of_acme):
        for organization in organizations:
            set_flag(organization_id=organization.pk, flag_key="flag", enabled=True)
        with django_assert_max_num_queries(6) as queries:
            assert api.get(LOG).status_code == 200
        counts.append(len(queries))
    assert counts[0] == counts[1]
