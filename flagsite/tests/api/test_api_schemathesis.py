"""Requests made up from the OpenAPI document, good and bad, against a running server."""

from __future__ import annotations

import json
from typing import Any

import pytest
from schemathesis import GenerationMode

from conftest import Cast
from flags.states.set_flag import set_flag
from flagsite.openapi.schema import document
from flagsite.tests.made_up import operation_at, send_made_up
from jobs.engine.models import Job

OPERATIONS = sorted(
    (path, method.upper())
    for path, methods in json.loads(document())["paths"].items()
    for method in methods
    if "/ofrep/" not in path  # answered before Django: flagsite/tests/openfeature/test_made_up_requests.py
)


def existing(path: str, cast: Cast) -> dict[str, Any]:
    """Path parameters that lead to something."""
    ids = {"orgId": cast.north.pk, "organization_id": cast.north.pk, "job_id": Job.objects.latest("id").pk}
    known = {**ids, "featureFlagName": "checkout", "name": "checkout"}
    return {name: value for name, value in known.items() if f"{{{name}}}" in path}


@pytest.fixture
def no_worker_and_no_limit(settings: Any) -> None:
    """Jobs run in the request, and requests may come as fast as they can."""
    settings.JOBS_INLINE = True
    settings.RATE_LIMIT = "1000000/minute"


@pytest.mark.slow
@pytest.mark.django_db(transaction=True)
@pytest.mark.usefixtures("no_worker_and_no_limit")
@pytest.mark.parametrize("mode", [GenerationMode.POSITIVE, GenerationMode.NEGATIVE])
@pytest.mark.parametrize("call", OPERATIONS)
def test_no_request_ends_in_a_way_that_is_not_documented(
    live_server: Any, cast: Cast, admin_key: str, call: tuple[str, str], mode: GenerationMode
) -> None:
    path, method = call
    set_flag(organization_id=cast.north.pk, flag_key="checkout", enabled=True)
    operation = operation_at(live_server.url, path, method)
    send_made_up(operation, mode, existing=existing(path, cast), key=admin_key)
