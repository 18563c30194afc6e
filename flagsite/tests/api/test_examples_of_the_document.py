"""The examples of the OpenAPI document, sent literally to the data of a new demo, and compared with their schemas."""

from __future__ import annotations

import copy
import io
from importlib import import_module
from typing import Any
from urllib.parse import urlencode

import pytest
from django.apps import apps
from django.core.management import call_command
from django.db import connection, transaction
from django.urls import resolve
from jsonschema import Draft202012Validator

from flags.definitions.models import Flag
from flags.schedules.models import FlagSchedule
from flags.tests.serving.asking import Asking
from flagsite.core import example_names as names
from flagsite.development.demo.data import create_data
from flagsite.management.commands.demo import TREE
from flagsite.tests.examples import OPERATIONS, SCHEMAS, Request, examples, requests
from jobs.engine.models import Job
from orgs.access.models import AccessKey, Role
from orgs.tests.api import Api
from orgs.tree.models import Organization

FIRST_IDS = {
    "orgs_organization": 1,
    "flags_flag": 1,
    "jobs_artifact": 1,
    "jobs_batch": 1,
    "jobs_delivery": 1,
    "jobs_subscription": 1,
    "jobs_job": 1,
    "flags_flagschedule": 1,
    "django_celery_beat_periodictask": 1,
}
"""The first ids that a new demo gives."""


@pytest.fixture
def demo(db: None) -> None:
    """The data of a new demo, with its ids."""
    with connection.cursor() as cursor:
        for table, first in FIRST_IDS.items():
            cursor.execute("SELECT pg_get_serial_sequence(%s, 'id')", [table])
            cursor.execute(f"ALTER SEQUENCE {cursor.fetchone()[0]} RESTART WITH {first}")
        cursor.execute("ALTER SEQUENCE flags_change_number RESTART WITH 1")
    import_module("jobs.migrations.0024_weekly_maintenance").create_task(
        apps, None
    )  # others may have emptied the table
    call_command("import_organizations", str(TREE), stdout=io.StringIO())
    assert create_data()


def role_of(request: Request) -> Role:
    """The role that a caller of this address needs at least."""
    if "/ofrep/" in request.path:
        return Role.EVALUATOR
    view = resolve(request.path).func.view_class
    roles: dict[str, Role] = getattr(view, "roles", {})
    return roles.get(request.method, Role.READER)


def answer(request: Request, keys: dict[Role, str]) -> tuple[int, Any]:
    """Send an example, undo what it has changed, and return the status and the answer."""
    with transaction.atomic():
        status, said = sent(request, keys[role_of(request)])
        transaction.set_rollback(True)
    return status, said


def sent(request: Request, key: str) -> tuple[int, Any]:
    """Send an example, and return the status and the beginning of the answer."""
    if "/ofrep/" in request.path:
        evaluation = Asking(key).post(request.path, request.body)
        return evaluation.status, evaluation.body
    body = request.body.encode() if isinstance(request.body, str) else request.body
    headers = {"Content-Type": request.content_type} if request.content_type else {}
    query = f"?{urlencode(request.query)}" if request.query else ""
    response = Api(key).send(request.method, request.path + query, body, **headers)
    content = b"".join(response.streaming_content) if response.streaming else response.content
    if file := getattr(response, "file_to_stream", None):
        file.close()  # and not the response, which would close the connection to the database too
    return response.status_code, content[:500]


def test_each_example_of_a_request_is_answered_well_with_the_data_of_the_demo(demo: None, settings: Any) -> None:
    settings.RATE_LIMIT = "1000000/minute"
    keys = {role: AccessKey.objects.create_key(name=role, role=role)[1] for role in Role}
    examples_to_send = list(requests())
    refused = []
    for request in examples_to_send:
        status, said = answer(request, keys)
        if status >= 400 or str(status) not in request.statuses:
            refused.append((request.name, request.method, request.path, request.query, status, said))
    assert refused == []
    assert len(examples_to_send) > len(OPERATIONS)


def test_the_names_of_the_examples_are_in_the_demo_with_their_ids(demo: None) -> None:
    for key, number in (
        (names.ROOT, names.ROOT_ID),
        (names.NORTHERN_EUROPE, names.NORTHERN_EUROPE_ID),
        (names.DENMARK, names.DENMARK_ID),
        (names.NORWAY, names.NORWAY_ID),
        (names.OSLO, names.OSLO_ID),
    ):
        assert Organization.objects.get(key=key).pk == number
    assert Organization.objects.count() == 5270
    assert not Organization.objects.filter(key=names.NEW_STORE).exists()
    assert Flag.objects.get(key=names.FLAG).pk == names.FLAG_ID
    assert not Flag.objects.filter(key=names.NEW_FLAG).exists()
    statuses = dict(Job.objects.values_list("pk", "status"))
    assert statuses == {
        names.CHECKED_IMPORT_ID: "COMPLETED",
        names.FAILED_JOB_ID: "FAILED",
        names.WAITING_JOB_ID: "PENDING",
        names.LATER_JOB_ID: "PENDING",
        names.FAILED_MEMBER_ID: "FAILED",
        names.WAITING_MEMBER_ID: "PENDING",
        names.SENDING_JOB_ID: "COMPLETED",
        names.LOCKING_JOB_ID: "PENDING",
    }
    assert FlagSchedule.objects.get(pk=names.FAILED_PLAN_ID).status == "failed"
    assert not create_data(), "a second demo keeps what is there"


@pytest.mark.parametrize(
    ("path", "method", "operation"), [pytest.param(*each, id=each[2]["operationId"]) for each in OPERATIONS]
)
def test_each_example_has_the_form_of_its_schema(path: str, method: str, operation: dict[str, Any]) -> None:
    contents = [(True, operation.get("requestBody", {}).get("content", {}))]
    contents += [(False, resolved(response).get("content", {})) for response in operation["responses"].values()]
    for is_request, content in [(is_request, each) for is_request, one in contents for each in one.values()]:
        for name, example in examples(content):
            if not isinstance(example, str):  # a file
                schema = without_read_only_fields(content["schema"]) if is_request else content["schema"]
                errors = validator(schema).iter_errors(example)
                assert [f"{name}: {error.message}" for error in errors] == []
    for parameter in operation.get("parameters", ()):
        if "example" in parameter:
            validator(parameter["schema"]).validate(parameter["example"])
        assert "example" in parameter or parameter["in"] != "path", parameter["name"]


def resolved(response: dict[str, Any]) -> dict[str, Any]:
    """A response, or the shared one to which it refers."""
    reference = response.get("$ref", "").rpartition("/")[2]
    found: dict[str, Any] = SCHEMAS["responses"][reference] if reference else response
    return found


def without_read_only_fields(schema: dict[str, Any]) -> dict[str, Any]:
    """The schema of a request: fields that are read-only belong to answers."""
    body: dict[str, Any] = SCHEMAS["schemas"][schema["$ref"].rpartition("/")[2]] if "$ref" in schema else schema
    read_only = {name for name, field in body.get("properties", {}).items() if field.get("readOnly")}
    return body | {"required": [name for name in body.get("required", ()) if name not in read_only]}


def validator(schema: dict[str, Any]) -> Draft202012Validator:
    """Return what checks a value by this schema, its format too."""
    whole = copy.copy(schema) | {"components": SCHEMAS}
    return Draft202012Validator(whole, format_checker=Draft202012Validator.FORMAT_CHECKER)
