"""The OpenAPI document: complete, true, the same as the one in `docs/`, and shown on a page without foreign assets."""

from __future__ import annotations

import json
import re
from io import StringIO
from pathlib import Path
from typing import Any

import pytest
from django.conf import settings
from django.contrib.staticfiles import finders
from django.core.management import call_command

from flagsite.openapi.schema import RESPONSE_NAMES, document
from flagsite.tests.api.test_api_access_everywhere import CALLS
from flagsite.web.problems import HTTP_TYPES, PROBLEMS
from orgs.tests.api import Api

DOCUMENT = json.loads(document())
EVERY = [
    (path, method, DOCUMENT["paths"][path][method]) for path in DOCUMENT["paths"] for method in DOCUMENT["paths"][path]
]
OPERATIONS = [each for each in EVERY if "/ofrep/" not in each[0]]  # a protocol of others, with errors of its own
OPEN = {"getLiveness", "getReadiness", "getVersion"}
NAMED = [pytest.param(*each, id=each[2]["operationId"]) for each in OPERATIONS if each[2]["operationId"] not in OPEN]


def test_the_document_is_valid_without_a_warning_and_the_same_as_in_docs() -> None:
    out = StringIO()
    call_command("spectacular", validate=True, fail_on_warn=True, stdout=out)
    stored = (Path(settings.BASE_DIR) / "docs" / "openapi.yaml").read_text()
    assert stored.strip() == out.getvalue().strip(), "run: bin/manage spectacular --file docs/openapi.yaml"


def test_the_served_document_is_that_document(db: None) -> None:
    response = Api().get("/openapi.json")
    assert (response["Content-Type"], response.json()) == ("application/json", DOCUMENT)


def test_every_call_of_the_url_map_is_described() -> None:
    described = {(path, method.upper()) for path, method, _ in OPERATIONS}
    mapped = {(re.sub(r"<\w+:(\w+)>", r"{\1}", f"/{path}"), method) for path, method in CALLS}
    assert described == mapped | {("/livez", "GET"), ("/readyz", "GET"), ("/version", "GET")}


def test_what_is_open_says_so_and_is_shown_by_example() -> None:
    operations = [operation for _, _, operation in OPERATIONS if operation["operationId"] in OPEN]
    assert len(operations) == len(OPEN)
    for operation in operations:
        assert not operation.get("security")
        assert operation["summary"]
        assert operation["description"]
        for response in operation["responses"].values():
            assert response["content"]["application/json"]["examples"]


def test_metrics_are_text_and_take_the_scrapers_token() -> None:
    operation = DOCUMENT["paths"]["/metrics"]["get"]
    assert {"metricsToken": []} in operation["security"]
    assert set(operation["responses"]["200"]["content"]) == {"text/plain"}


FILE = "application/octet-stream"


@pytest.mark.parametrize(("path", "method", "operation"), NAMED)
def test_an_operation_is_named_explained_secured_and_shown_by_example(
    path: str, method: str, operation: dict[str, Any]
) -> None:
    assert re.fullmatch(r"[a-z]+[A-Za-z]+", operation["operationId"])
    assert operation["summary"]
    assert operation["description"]
    assert {name for requirement in operation["security"] for name in requirement} - {"metricsToken"} == {
        "bearerKey",
        "headerKey",
        "adminSession",
    }
    assert all(len(requirement) == 1 for requirement in operation["security"]), "any of them will do"
    bodies = [operation["requestBody"]] if "requestBody" in operation else []
    good = [response for status, response in operation["responses"].items() if status < "300" and "content" in response]
    for content in [body["content"] for body in bodies] + [response["content"] for response in good]:
        assert set(content) <= {"application/json", "text/plain", FILE} or "text/csv" in content  # or it is a file
    described = [response for response in good if FILE not in response["content"]]
    assert any("examples" in next(iter(response["content"].values())) for response in described) or not described
    assert all("examples" in next(iter(body["content"].values())) for body in bodies)


@pytest.mark.parametrize(("path", "method", "operation"), NAMED)
def test_every_status_that_any_operation_can_end_with_is_described(
    path: str, method: str, operation: dict[str, Any]
) -> None:
    expected = {"400", "401", "403", "429", "500", "503"}
    expected |= {"404"} if "{" in path or method == "post" else set()
    formats = {each["schema"].get("format") for each in operation.get("parameters", ())}
    expected |= {"404", "409"} if "organization-reference" in formats else set()
    expected |= {"404", "409", "411", "413", "415"} if method != "get" else set()
    expected |= {"412"} if any(each["name"] == "If-Match" for each in operation.get("parameters", ())) else set()
    looks_back = operation["operationId"] == "explainFlagByBody" or any(
        each["name"] == "at" for each in operation.get("parameters", ())
    )
    expected |= {"404", "410"} if looks_back else set()
    assert {status for status in operation["responses"] if status >= "400"} == expected
    assert any(status < "300" for status in operation["responses"])


def test_every_problem_is_among_the_described_ones() -> None:
    text = json.dumps(DOCUMENT["components"]["responses"])
    kinds = {kind for _, kind in PROBLEMS.values()} | {
        kind for status, kind in HTTP_TYPES.items() if status in RESPONSE_NAMES
    }
    assert {kind for kind in kinds if f"`{kind}`" not in text} == set()
    for response in DOCUMENT["components"]["responses"].values():
        assert set(response["content"]) == {"application/problem+json"}


@pytest.mark.parametrize(("path", "method", "operation"), NAMED)
def test_the_input_of_an_operation_is_closed_and_its_texts_have_a_pattern(
    path: str, method: str, operation: dict[str, Any]
) -> None:
    for body in operation.get("requestBody", {}).get("content", {}).values():
        schema = body["schema"]
        schema = DOCUMENT["components"]["schemas"][schema["$ref"].rpartition("/")[2]] if "$ref" in schema else schema
        assert schema["type"] != "object" or schema["additionalProperties"] is False
        texts = [each for each in schema.get("properties", {}).values() if _is_text(each)]
        assert [each for each in texts if "pattern" not in each and not each.get("readOnly")] == []
    queries = [each["schema"] for each in operation.get("parameters", ()) if each["in"] == "query"]
    assert [each for each in queries if _is_text(each) and "pattern" not in each] == []


def _is_text(schema: dict[str, Any]) -> bool:
    return schema.get("type") == "string" and not schema.keys() & {"enum", "format"}


def test_an_organization_is_an_id_or_a_key_and_enabled_one_of_two_words() -> None:
    parameters = {
        parameter["name"]: parameter["schema"]
        for parameter in DOCUMENT["paths"]["/{orgId}/{featureFlagName}/{enabled}"]["post"]["parameters"]
    }
    assert (parameters["orgId"]["type"], parameters["orgId"]["pattern"]) == ("string", r"^[^/\u0000]+$")
    assert sorted(parameters["enabled"]["enum"]) == ["false", "true"]


def test_the_page_to_try_it_uses_our_own_files_only(db: None) -> None:
    page = Api().get("/docs")
    text = page.content.decode()
    assert (page.status_code, page["Content-Type"]) == (200, "text/html; charset=utf-8")
    assert "/openapi.json" in Api().get("/docs?script=").content.decode()
    assert not [link for link in re.findall(r"""(?:src|href)=["']([^"']+)""", text) if "//" in link]
    used = re.findall(r"/static/([^\"']+\.(?:js|css|png))", text)
    assert used
    assert all(finders.find(name) for name in used)
