"""What a request costs does not grow with the tree: the same number of queries at two sizes."""

from __future__ import annotations

import contextlib
from typing import Any

import pytest
from django.db import connection, transaction
from django.test.utils import CaptureQueriesContext

from conftest import Cast
from flags.states.set_flag import set_flag
from jobs.engine.models import Job, JobFailure
from orgs.tests.api import Api
from orgs.tree import tree_operations

READS = {
    "/organizations": 3,
    "/organizations?name=o&parent={acme}": 4,
    "/organizations/{acme}": 3,
    "/organizations/{acme}/ancestors": 5,
    "/organizations/{acme}/descendants": 4,
    "/organizations/{acme}/flags": 4,
    "/{acme}/flag": 6,
    "/v1/feature-flags": 3,
    "/v1/feature-flags/flag": 4,
    "/v1/feature-flags/flag/settings": 11,
    "/v1/organizations/{acme}/settings": 9,
    "/v1/feature-flags/flag/check?organizationId={acme}": 6,
    "/v1/feature-flags/flag/explain?organizationId={acme}": 9,
    "/v1/segments": 3,
    "/job-status/{job}": 4,
    "/jobs/{acme}": 5,
    "/job-retry-chain/{job}": 4,
    "/job-failures/{job}": 6,
}


def queries_of(api: Api, method: str, path: str, body: Any = None, expected: int = 200) -> int:
    with CaptureQueriesContext(connection) as queries:
        response = api.send(method, path, body)
    assert response.status_code == expected, response.content
    once_a_minute = "orgs_accesskeyuse"
    return len([query for query in queries if "SAVEPOINT" not in query["sql"] and once_a_minute not in query["sql"]])


def grow(cast: Cast, organizations: int) -> None:
    """Make the tree bigger: children and grandchildren, jobs, failures."""
    for number in range(organizations):
        child = tree_operations.create(name=f"o{number}", key=f"o{number}", parent_id=cast.acme.pk)
        tree_operations.create(name=f"p{number}", key=f"p{number}", parent_id=child.pk)
        set_flag(organization_id=cast.acme.pk, flag_key="flag", enabled=bool(number % 2))
        JobFailure.objects.create(job=Job.objects.earliest("id"), organization_id=child.pk, error="x")


@pytest.mark.parametrize("path", list(READS))
def test_a_read_takes_as_many_queries_for_a_big_tree_as_for_a_small_one(cast: Cast, acme_key: str, path: str) -> None:
    set_flag(organization_id=cast.acme.pk, flag_key="flag", enabled=True)
    JobFailure.objects.create(job=Job.objects.get(), organization=cast.oslo, error="x")
    address = path.format(acme=cast.acme.pk, job=Job.objects.get().pk)
    api = Api(acme_key)
    small = queries_of(api, "GET", address)
    grow(cast, 15)
    assert queries_of(api, "GET", address) == small
    assert small <= READS[path]


WRITES = {
    "POST /{acme}/flag/true": (None, 202, 8),
    "POST /{oslo}/flag/true": (None, 200, 14),
    "POST /organizations": ({"name": "N", "key": "n", "parentId": "acme"}, 201, 15),
    "PATCH /organizations/{oslo}": ({"name": "N"}, 200, 10),
    "PATCH /organizations/{north}": ({"parentId": "south"}, 200, 37),
    "DELETE /organizations/{oslo}": (None, 204, 16),
}


@pytest.mark.parametrize("call", list(WRITES))
def test_a_write_takes_as_many_queries_in_a_big_tree_as_in_a_small_one(cast: Cast, acme_key: str, call: str) -> None:
    body, expected, most = WRITES[call]
    method, _, path = call.partition(" ")
    ids: dict[Any, int] = {name: getattr(cast, name).pk for name in ("acme", "oslo", "north", "south")}
    filled = {key: ids.get(value, value) for key, value in body.items()} if body else None
    set_flag(organization_id=cast.acme.pk, flag_key="flag", enabled=True)
    counts = []
    for size in (0, 15):
        grow(cast, size)
        with contextlib.suppress(Undo), transaction.atomic():
            counts.append(queries_of(Api(acme_key), method, path.format(**ids), filled, expected))
            raise Undo
    assert counts[0] == counts[1]
    assert counts[0] <= most


class Undo(Exception):
    """Rolls a write back, so that it can be made again."""
