"""Each write takes a reason, in the body or in the header X-Reason, and the audit log keeps it."""

from __future__ import annotations

import json
from typing import Any

import pytest

from conftest import Cast
from flags.tests.schedules.plans import YEAR, planned
from flagsite.core import actor
from flagsite.openapi import schema
from jobs.engine.models import Job
from jobs.tests.api.api_kinds import done, waiting
from orgs.audit.models import AuditEntry
from orgs.tests.api import Api, wrong_fields

WHY = "Café – closed 🎄"


def header(reason: str) -> dict[str, str]:
    """The header as a server hands it on: bytes of UTF-8, read as Latin-1."""
    return {"X_Reason": reason.encode().decode("latin-1")}


def last() -> AuditEntry:
    return AuditEntry.objects.latest("id")


WRITES: list[tuple[str, str, Any]] = [
    ("POST", "/{oslo}/new-checkout/true", {}),
    ("POST", "/{acme}/new-checkout/true", {}),
    ("POST", "/organizations", {"name": "New", "key": "new"}),
    ("PATCH", "/organizations/{oslo}", {"name": "New"}),
    ("PATCH", "/organizations/{oslo}", {"parentId": None}),
    ("DELETE", "/organizations/{oslo}", {}),
    ("POST", "/v1/feature-flags", {"name": "made"}),
    ("PUT", "/v1/feature-flags/flag", {"owner": "me"}),
    ("PATCH", "/v1/feature-flags/flag", {"owner": "me"}),
    ("DELETE", "/v1/feature-flags/flag", {}),
    ("POST", "/retry-job/{failed}", {}),
    ("POST", "/cancel-job/{job}", {}),
    (
        "POST",
        "/v1/schedules",
        {"featureFlagName": "flag", "apply": {"killed": True}, "scheduledAt": f"{YEAR}-01-01T00:00:00Z"},
    ),
    ("POST", "/v1/schedules/{schedule}/cancel", {}),
    ("POST", "/v1/schedules/{failed_schedule}/retry", {}),
    ("POST", "/internal/cache/invalidate", {"all": True}),
]


@pytest.fixture
def ids(cast: Cast) -> dict[str, int]:
    failed, job = done(cast.acme, broken=True), waiting(cast.acme)
    schedule, failed_schedule = planned(cast.rome, flag="flag"), planned(cast.rome, flag="flag")
    type(failed_schedule).objects.filter(pk=failed_schedule.pk).update(status="failed")
    return {
        "acme": cast.acme.pk, "oslo": cast.oslo.pk, "failed": failed.pk, "job": job.pk, "schedule": schedule.pk,
        "failed_schedule": failed_schedule.pk,
    }  # fmt: skip


@pytest.mark.parametrize(("method", "path", "body"), WRITES)
def test_a_write_takes_its_reason_from_the_body_or_the_header(
    ids: dict[str, int], admin_key: str, method: str, path: str, body: Any
) -> None:
    api, address, before = Api(admin_key), path.format(**ids), AuditEntry.objects.count()
    response = api.send(method, address, body or None, **header(WHY))
    assert response.status_code in {200, 201, 202, 204}, response.content
    new = AuditEntry.objects.order_by("id")[before:]
    assert {entry.reason for entry in new} == {WHY}


@pytest.mark.parametrize(("method", "path", "body"), WRITES)
def test_a_write_takes_its_reason_from_the_body(
    ids: dict[str, int], admin_key: str, method: str, path: str, body: Any
) -> None:
    before = AuditEntry.objects.count()
    assert Api(admin_key).send(method, path.format(**ids), body | {"reason": WHY}).status_code < 300
    assert {entry.reason for entry in AuditEntry.objects.order_by("id")[before:]} == {WHY}


def test_every_write_of_the_document_takes_a_reason() -> None:
    document = json.loads(schema.document())
    writes = [
        (path, method, operation)
        for path, operations in document["paths"].items()
        for method, operation in operations.items()
        if method in schema.WRITE_METHODS and operation["operationId"] not in schema.READS and "/ofrep/" not in path
    ]
    for path, method, operation in writes:
        assert "X-Reason" in [parameter["name"] for parameter in operation["parameters"]], (method, path)
        if method != "delete" and "application/json" in operation["requestBody"]["content"]:  # else it is a file
            body = operation["requestBody"]["content"]["application/json"]["schema"]["$ref"].rpartition("/")[2]
            assert "reason" in document["components"]["schemas"][body]["properties"], (method, path)


def test_the_job_and_the_schedule_keep_the_reason_too(ids: dict[str, int], admin_key: str) -> None:
    Api(admin_key).post(f"/cancel-job/{ids['job']}", None, **header(WHY))
    assert Job.objects.get(pk=ids["job"]).cancel_reason == WHY


def test_without_a_reason_the_entry_has_none(cast: Cast, admin_key: str) -> None:
    with actor.acting("api", reason="of another request"):
        Api(admin_key).patch(f"/organizations/{cast.oslo.pk}", {"name": "New"})
    assert last().reason == ""


def test_a_reason_that_cannot_be_kept_is_refused(cast: Cast, admin_key: str) -> None:
    api, path = Api(admin_key), f"/organizations/{cast.oslo.pk}"
    for reason in ("x" * 1001, "a\x00b"):
        assert wrong_fields(api.patch(path, {"name": "New", "reason": reason})) == {"reason"}
        assert wrong_fields(api.patch(path, {"name": "New"}, X_Reason=reason)) == {"X-Reason"}
    assert wrong_fields(api.patch(path, {"name": "New", "reason": 7})) == {"reason"}


def test_the_reason_of_the_body_counts_more_than_the_one_of_the_header(cast: Cast, admin_key: str) -> None:
    api, path = Api(admin_key), f"/organizations/{cast.oslo.pk}"
    assert api.patch(path, {"name": "New", "reason": "one"}, X_Reason="two").status_code == 200
    assert AuditEntry.objects.latest("id").reason == "one"


def test_a_reason_alone_changes_nothing(cast: Cast, admin_key: str) -> None:
    assert wrong_fields(Api(admin_key).patch(f"/organizations/{cast.oslo.pk}", {"reason": "why"})) == {""}
    assert wrong_fields(Api(admin_key).post("/internal/cache/invalidate", {"reason": "why"})) == {""}
