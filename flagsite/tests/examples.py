"""The examples of the OpenAPI document, as requests."""

from __future__ import annotations

import json
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any
from urllib.parse import quote

from flagsite.openapi.schema import document

DOCUMENT = json.loads(document())
SCHEMAS = DOCUMENT["components"]
OPERATIONS = [
    (path, method.upper(), operation)
    for path, methods in DOCUMENT["paths"].items()
    for method, operation in methods.items()
]


@dataclass(frozen=True)
class Request:
    """An example of a request. `address` has the parameters of the path and the query."""

    name: str
    method: str
    path: str
    query: dict[str, Any]
    body: Any
    content_type: str
    statuses: tuple[str, ...]


def requests() -> Iterator[Request]:
    """Yield each example of a request: each example of a body, with all examples of parameters and with none."""
    for template, method, operation in OPERATIONS:
        path, given = (
            template,
            [each for each in operation.get("parameters", ()) if "example" in each or each.get("required")],
        )
        for each in (each for each in given if each["in"] == "path"):
            path = path.replace(f"{{{each['name']}}}", quote(str(each["example"]), safe=""))
        query = {each["name"]: each["example"] for each in given if each["in"] == "query"}
        for name, content_type, body in bodies(operation):
            for chosen in [query, {}] if query else [{}]:
                statuses = tuple(operation["responses"])
                yield Request(f"{operation['operationId']} {name}", method, path, chosen, body, content_type, statuses)


def bodies(operation: dict[str, Any]) -> Iterator[tuple[str, str, Any]]:
    """Yield the name, the media type and the value of each example of a body; one without a body if none is needed."""
    body = operation.get("requestBody", {})
    if not body.get("required"):
        yield "without a body", "", None
    for content_type, content in body.get("content", {}).items():
        for name, example in examples(content):
            yield name, content_type, example


def examples(content: dict[str, Any]) -> Iterator[tuple[str, Any]]:
    """Yield the names and values of the examples of a body or an answer."""
    for name, example in content.get("examples", {}).items():
        yield name, example["value"]
    reference = content.get("schema", {}).get("$ref", "").rpartition("/")[2]
    if "example" in content:
        yield "example", content["example"]
    elif "example" in SCHEMAS["schemas"].get(reference, {}):
        yield "example", SCHEMAS["schemas"][reference]["example"]
