"""What is wrong with the arguments of a job is told in words, each with its place in the request."""

from __future__ import annotations

from typing import Any

import pytest

from jobs.engine.kinds import job_kind
from jobs.engine.run import Run
from jobs.operations.argument_words import MOST_CHOICES, MOST_ERRORS
from orgs.tests.api import Api, kind_of

pytestmark = pytest.mark.django_db
KIND = "words-of-a-test"
ITEM = {
    "type": "object",
    "properties": {"id": {"type": "integer"}, "name": {"type": "string"}, "kind": {"type": "string"}},
    "oneOf": [{"required": ["id"]}, {"required": ["name", "kind"]}],
}
SCHEMA = {
    "type": "object",
    "properties": {
        "title": {"type": "string", "minLength": 2, "maxLength": 4},
        "rows": {"type": ["integer", "null"], "minimum": 1, "maximum": 10_000},
        "day": {"type": "string", "format": "date"},
        "parts": {"type": "array", "items": {"enum": ["a", "b"]}, "minItems": 1, "maxItems": 2, "uniqueItems": True},
        "table": {"enum": [f"t{number}" for number in range(MOST_CHOICES + 5)]},
        "items": {"type": "array", "items": ITEM},
        "filter": {"type": "object", "required": ["tag"]},
    },
    "required": ["title"],
    "dependentSchemas": {"day": {"required": ["rows"]}},
    "additionalProperties": False,
}


@job_kind(KIND, arguments=SCHEMA)
def nothing(run: Run) -> None:
    pass


@pytest.mark.parametrize(
    ("arguments", "field", "message"),
    [
        ({"title": None}, "title", "Write a text."),
        ({"title": "x"}, "title", "Write at least 2 characters."),
        ({"title": "long one"}, "title", "Write at most 4 characters."),
        ({"rows": "3"}, "rows", "Write a whole number or null."),
        ({"rows": 0}, "rows", "Write at least 1."),
        ({"rows": 20_000}, "rows", "Write at most 10,000."),
        ({"day": "30.11.2026", "rows": 1}, "day", "Write a day such as 2026-11-30."),
        ({"day": "2026-11-30"}, "rows", "This argument is required."),
        ({"parts": "a"}, "parts", "Write a list."),
        ({"parts": []}, "parts", "Write a list of at least 1."),
        ({"parts": ["c"]}, "parts.0", "Write one of these: a, b."),
        ({"parts": ["a", "a"]}, "parts", "Two items are the same."),
        ({"table": "nope"}, "table", "t29, or one of 5 others."),
        ({"items": [{"id": 1, "name": "n", "kind": "k"}]}, "items.0", "exactly one of these: id; or name and kind."),
        ({"items": [{"id": 1}, 7]}, "items.1", "Write a JSON object."),
        ({"filter": {}}, "filter.tag", "This argument is required."),
        ({"colour": 1}, "colour", "The arguments are: title, rows, day, parts, table, items, filter."),
    ],
)
def test_each_rule_of_a_schema_is_told_in_words(
    admin_key: str, arguments: dict[str, Any], field: str, message: str
) -> None:
    answer = Api(admin_key).post("/v1/queue/jobs", {"kind": KIND, "arguments": {"title": "ok"} | arguments})
    assert (answer.status_code, kind_of(answer)) == (400, "invalid-job-arguments")
    [error] = answer.json()["errors"]
    assert (error["field"], message in error["message"]) == (f"arguments.{field}", True), error
    assert answer.json()["detail"] == f"{error['field']}: {error['message']}"


def test_all_that_is_wrong_is_told_at_once(admin_key: str) -> None:
    answer = Api(admin_key).post("/v1/queue/jobs", {"kind": KIND, "arguments": {"rows": 0, "colour": 1}})
    assert [error["field"] for error in answer.json()["errors"]] == [
        "arguments.colour", "arguments.rows", "arguments.title",
    ]  # fmt: skip


def test_much_that_is_wrong_is_told_in_a_short_answer(admin_key: str) -> None:
    many = {f"{number}{'x' * 500}": number for number in range(1000)}
    answer = Api(admin_key).post("/v1/queue/jobs", {"kind": KIND, "arguments": many})
    assert len(answer.json()["errors"]) <= MOST_ERRORS
    assert len(answer.content) < 30_000
