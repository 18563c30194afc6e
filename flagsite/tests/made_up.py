"""Requests made up from the OpenAPI document, good and bad, and what must be true of every answer."""

from __future__ import annotations

import os
from functools import cache
from typing import Any

import schemathesis
from hypothesis import HealthCheck, given, settings
from hypothesis.errors import Unsatisfiable
from schemathesis import Case, GenerationMode
from schemathesis.checks import not_a_server_error
from schemathesis.config import SchemathesisConfig
from schemathesis.specs.openapi.checks import (
    content_type_conformance,
    ensure_resource_availability,
    ignored_auth,
    missing_required_header,
    negative_data_rejection,
    positive_data_acceptance,
    response_headers_conformance,
    response_schema_conformance,
    status_code_conformance,
    unsupported_method,
    use_after_free,
)

CHECKS = [
    not_a_server_error,
    status_code_conformance,
    content_type_conformance,
    response_headers_conformance,
    response_schema_conformance,
    negative_data_rejection,
    missing_required_header,
    unsupported_method,
    ignored_auth,
    use_after_free,
    ensure_resource_availability,
]
"""All checks of the library but `positive_data_acceptance`, which has exceptions."""
STATE = ["2xx", "304", "401", "403", "404", "409", "412", "503"]
"""The statuses of a valid request; most depend on what there is."""
BEYOND_A_SCHEMA = {
    "invalid-schedule": "whether a cron expression has a day, a time zone exists, and a time is still to come",
    "invalid-definition": "whether rolloutUnit and rolloutLevel fit together, as one of them may be stored",
    "invalid-periodic-task": "whether the workers know a task, and a crontab has a day",
    "invalid-subscription": "whether an address fits its channel and is public, and whether an event exists",
    "unknown-kind": "whether the installed code has a kind of job",
    "invalid-job-arguments": "whether the arguments fit the schema of the kind that the request names",
    "invalid-batch": "whether the installed code has the kinds of the members, and their arguments fit",
    "This is not a date and time": "whether the month of a date has the day",
    "invalid-key-expiry": "whether a time is still to come",
    "unknown-prerequisite": "whether a flag is defined",
    "There is no such organization": "whether an organization exists; OpenFeature answers 400, others 404",
    '"field":"columns"': "whether a column of a file has two names",
    '"field":"delimiter"': "whether a delimiter is a letter or a digit of any script",
    "A flag's name cannot be changed.": "whether the body has the same name as the path",
    '"field":"flags"': "whether what a flag of a file says fits its own type and fields",
    "invalid-flag-file": "whether the file has the form of the product that the request names",
    '"field":"defaultValue"': "whether a value has the type that another member names",
    "invalid-value": "whether a flag has a variant, and a value fits its type",
    '"field":"rules"': "whether a clause of a targeting rule has what its operator needs",
    "All flags of Flagsite are boolean": "OpenFeature's manifest has types that Flagsite does not have",
    "Flags have no name beside their key": "OpenFeature's manifest has names that Flagsite does not keep",
    "before-history": "when history begins",
    "invalid-moment": "whether there is a change with a number, and whether a time has passed",
    "Send the file as the body of the request": "the library makes up empty files, whatever `minLength` says",
}
"""Types and messages of problems with a valid request that no schema could exclude, and the reason."""
EXAMPLES = int(os.environ.get("SCHEMATHESIS_EXAMPLES", "3"))


@cache
def document_at(url: str) -> Any:
    """Return the document that a server at this address serves. Tests of the same server share it."""
    checks = {"positive_data_acceptance": {"expected-statuses": STATE}}
    config = SchemathesisConfig.from_dict({"checks": checks})
    return schemathesis.openapi.from_url(f"{url}/openapi.json", config=config)


def operation_at(url: str, path: str, method: str) -> Any:
    """Return the operation of the document that a server at this address serves."""
    return document_at(url)[path][method]


def send_made_up(operation: Any, mode: GenerationMode, *, existing: dict[str, Any], key: str) -> None:
    """Send requests to paths that lead to something, with these parameters, and to made up ones; check each answer."""

    def send(case: Case) -> None:
        headers = {"Authorization": f"Bearer {key}"}
        response = case.call(headers=headers)
        accepted = [] if _is_beyond_a_schema(response) else [positive_data_acceptance]
        case.validate_response(response, headers=headers, checks=[*CHECKS, *accepted])

    for parameters in (existing, None):
        made_up = operation.as_strategy(mode, path_parameters=parameters)
        bounded = settings(
            max_examples=EXAMPLES, deadline=None, derandomize=True, suppress_health_check=list(HealthCheck)
        )
        try:
            bounded(given(made_up)(send))()
        except Unsatisfiable:  # nothing about this request can be wrong
            assert mode is GenerationMode.NEGATIVE


def _is_beyond_a_schema(response: Any) -> bool:
    return response.status_code in {400, 410} and any(words in response.text for words in BEYOND_A_SCHEMA)
