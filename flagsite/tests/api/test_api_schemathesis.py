"""Requests made up from the OpenAPI document, good and bad, against a running server."""

from __future__ import annotations

import json
import os
from typing import Any

import pytest
import schemathesis
from hypothesis import HealthCheck, given, settings
from hypothesis.errors import Unsatisfiable
from schemathesis import Case, GenerationMode
from schemathesis.checks import not_a_server_error
from schemathesis.specs.openapi.checks import (
    content_type_conformance,
    response_headers_conformance,
    response_schema_conformance,
    status_code_conformance,
)

from conftest import Cast
from flags import changes
from flagsite.openapi import document
from jobs.models import Job

CHECKS = [
    not_a_server_error,
    status_code_conformance,
    content_type_conformance,
    response_headers_conformance,
    response_schema_conformance,
]
EXAMPLES = int(os.environ.get("SCHEMATHESIS_EXAMPLES", "8"))
HEALTH = list(HealthCheck)
OPERATIONS = sorted(
    (path, method.upper())
    for path, methods in json.loads(document())["paths"].items()
    for method in methods
    if "/ofrep/" not in path  # answered before Django, where flags/tests/test_ofrep.py sends nonsense
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
    changes.set_flag(organization_id=cast.north.pk, flag_key="checkout", enabled=True)
    operation = schemathesis.openapi.from_url(f"{live_server.url}/openapi.json")[path][method]

    def send(case: Case) -> None:
        case.call_and_validate(headers={"Authorization": f"Bearer {admin_key}"}, checks=CHECKS)

    for fixed in (existing(path, cast), None):
        made_up = operation.as_strategy(mode, path_parameters=fixed)
        bounded = settings(max_examples=EXAMPLES, deadline=None, derandomize=True, suppress_health_check=HEALTH)
        try:
            bounded(given(made_up)(send))()
        except Unsatisfiable:  # nothing about this request can be wrong
            assert mode is GenerationMode.NEGATIVE
