"""Every time in a request has a range, which the OpenAPI document names."""

from __future__ import annotations

import json
import re
from typing import Any

import pytest
from rest_framework.exceptions import ValidationError

from flagsite.core.api.times import LOCAL_TIME_SCHEMA, TIME_SCHEMA, Time
from flagsite.openapi.schema import document
from orgs.tests.api import Api, wrong_fields

DOCUMENT = json.loads(document())
OUTSIDE = ["0001-01-01T00:00:00Z", "0999-12-31T23:59:59Z", "3000-01-01T00:00:00Z", "9999-12-31T23:59:59-23:00"]
INSIDE = ["1000-01-02T00:00:00Z", "1712-08-20T15:07:21.6+21:17", "2026-11-29T23:59:59.123456-05:00"]
BODIES = [
    ("/v1/access-keys", {"name": "late"}, "expiresAt"),
    ("/v1/jobs/retry-failed", {"dryRun": True}, "since"),
    ("/v1/queue/jobs", {"kind": "cleanup"}, "runAt"),
    ("/v1/periodic-tasks", {"name": "n", "task": "jobs.clean_up", "crontab": {"minute": "0"}}, "startTime"),
]


def times_of_requests() -> list[tuple[str, dict[str, Any]]]:
    """The name and the schema of each time in a query or a body."""
    found = []
    for operations in DOCUMENT["paths"].values():
        for operation in operations.values():
            found += [(each["name"], each["schema"]) for each in operation.get("parameters", ())]
            content = operation.get("requestBody", {}).get("content", {}).get("application/json", {})
            body = DOCUMENT["components"]["schemas"].get(
                content.get("schema", {}).get("$ref", "").rpartition("/")[2], {}
            )
            found += [each for each in body.get("properties", {}).items() if not each[1].get("readOnly")]
    return [(name, schema) for name, schema in found if name.endswith("At") or schema.get("format") == "date-time"]


def test_each_time_of_a_request_has_a_pattern_with_its_years() -> None:
    patterns = {TIME_SCHEMA["pattern"], LOCAL_TIME_SCHEMA["pattern"]}
    assert len(times_of_requests()) > 10
    assert [name for name, schema in times_of_requests() if schema.get("pattern") not in patterns] == []


@pytest.mark.parametrize("text", OUTSIDE)
def test_what_the_pattern_leaves_out_is_refused(text: str) -> None:
    assert not re.search(TIME_SCHEMA["pattern"], text)
    with pytest.raises(ValidationError):
        Time().run_validation(text)


@pytest.mark.parametrize("text", INSIDE)
def test_what_the_pattern_says_is_taken(text: str) -> None:
    assert re.search(TIME_SCHEMA["pattern"], text)
    assert Time().run_validation(text).tzinfo is not None


@pytest.mark.django_db
@pytest.mark.parametrize(("path", "body", "field"), BODIES, ids=[path for path, _, _ in BODIES])
@pytest.mark.parametrize("text", OUTSIDE)
def test_a_body_with_a_time_out_of_range_is_refused_and_the_field_named(
    admin_key: str, path: str, body: dict[str, Any], field: str, text: str
) -> None:
    assert wrong_fields(Api(admin_key).post(path, body | {field: text})) == {field}
