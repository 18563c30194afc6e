"""Requests made up from the OpenAPI document, good and bad, and what must be true of every answer."""

from __future__ import annotations

import os
from typing import Any

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

CHECKS = [
    not_a_server_error,
    status_code_conformance,
    content_type_conformance,
    response_headers_conformance,
    response_schema_conformance,
]
EXAMPLES = int(os.environ.get("SCHEMATHESIS_EXAMPLES", "8"))


def send_made_up(operation: Any, mode: GenerationMode, *, existing: dict[str, Any], key: str) -> None:
    """Send requests to paths that lead to something, with these parameters, and to made up ones; check each answer."""

    def send(case: Case) -> None:
        case.call_and_validate(headers={"Authorization": f"Bearer {key}"}, checks=CHECKS)

    for parameters in (existing, None):
        made_up = operation.as_strategy(mode, path_parameters=parameters)
        bounded = settings(
            max_examples=EXAMPLES, deadline=None, derandomize=True, suppress_health_check=list(HealthCheck)
        )
        try:
            bounded(given(made_up)(send))()
        except Unsatisfiable:  # nothing about this request can be wrong
            assert mode is GenerationMode.NEGATIVE
