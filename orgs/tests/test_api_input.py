"""What a body may be: one JSON object with known fields of the right types; all else is a clear 400 or 415."""

from __future__ import annotations

from typing import Any

import pytest

from conftest import Cast
from orgs.tests.api import Api, kind_of, wrong_fields
from orgs.tree.models import Organization

GOOD = {"name": "N", "key": "n"}


@pytest.fixture
def api(admin_key: str) -> Api:
    return Api(admin_key)


@pytest.mark.parametrize(
    ("change", "field"),
    [
        ({"name": ""}, "name"),
        ({"name": "   "}, "name"),
        ({"name": None}, "name"),
        ({"name": 5}, "name"),
        ({"name": True}, "name"),
        ({"name": ["N"]}, "name"),
        ({"name": "x" * 256}, "name"),
        ({"name": "a\x00b"}, "name"),
        ({"name": "\ud800"}, "name"),
        ({"key": ""}, "key"),
        ({"key": " n"}, "key"),
        ({"key": "n\n"}, "key"),
        ({"key": "a\x00b"}, "key"),
        ({"key": "x" * 256}, "key"),
        ({"key": 7}, "key"),
        ({"parentId": ""}, "parentId"),
        ({"parentId": 0}, "parentId"),
        ({"parentId": -1}, "parentId"),
        ({"parentId": 1.5}, "parentId"),
        ({"parentId": True}, "parentId"),
        ({"parentId": 2**63}, "parentId"),
        ({"parentId": {}}, "parentId"),
        ({"parent_id": 1}, "parent_id"),
        ({"id": 1}, "id"),
        ({"": 1}, ""),
    ],
)
def test_a_field_that_is_wrong_is_named(api: Api, change: dict[str, Any], field: str) -> None:
    assert wrong_fields(api.post("/organizations", GOOD | change)) == {field}
    assert not Organization.objects.filter(key="n").exists()


@pytest.mark.parametrize("missing", ["name", "key"])
def test_a_field_that_is_missing_is_named(api: Api, missing: str) -> None:
    body = {name: value for name, value in GOOD.items() if name != missing}
    assert wrong_fields(api.post("/organizations", body)) == {missing}


@pytest.mark.parametrize("body", [[], [GOOD], "text", 5, True])
def test_a_body_that_is_no_object_is_refused(api: Api, body: Any) -> None:
    assert wrong_fields(api.post("/organizations", body)) == {""}


@pytest.mark.parametrize(
    "body",
    [
        b"{",
        b"\xff\xfe",
        b"{'name': 'N'}",
        b'{"name": NaN, "key": "n"}',
        b'{"name": "N", "name": "M", "key": "n"}',
        b"[" * 200_000,
        b'{"a":' * 200_000,
        b'{"parentId": ' + b"9" * 5000 + b"}",
        b'\xef\xbb\xbf{"name": "N", "key": "n"}',
        b"   ",
    ],
)
def test_what_is_not_json_is_refused(api: Api, body: bytes) -> None:
    response = api.post("/organizations", body)
    assert (response.status_code, kind_of(response)) == (400, "bad-request")


@pytest.mark.parametrize(
    "names", [['"\\ud800"'], ['"\\u0000"'], ['"' + "x" * 9000 + '"'], [f'"f{n}"' for n in range(5000)]]
)
def test_names_of_unknown_fields_are_answered_in_moderation(api: Api, names: list[str]) -> None:
    body = "{" + ",".join(f"{name}: 1" for name in names) + "}"
    response = api.post("/organizations", body.encode(), Idempotency_Key="k")
    assert response.status_code == 400
    assert len(response.content) < 5000
    response.content.decode()


@pytest.mark.parametrize("content_type", ["text/plain", "application/xml", "multipart/form-data; boundary=b", "x", ""])
def test_a_body_of_another_type_is_refused(api: Api, content_type: str) -> None:
    response = api.post("/organizations", b'{"name": "N", "key": "n"}', Content_Type=content_type)
    assert (response.status_code, kind_of(response)) == (415, "unsupported-media-type")


@pytest.mark.parametrize(
    "content_type", ["application/json", "APPLICATION/JSON;charset=utf-8", "application/json ;x=y"]
)
def test_json_is_known_by_its_type_in_any_spelling(api: Api, content_type: str) -> None:
    body = b'{"name": "N", "key": "n"}'
    assert api.post("/organizations", body, Content_Type=content_type).status_code == 201


def test_a_body_that_is_too_large_is_refused(api: Api, settings: Any) -> None:
    settings.DATA_UPLOAD_MAX_MEMORY_SIZE = 2000
    for headers in ({}, {"Idempotency_Key": "k"}):
        response = api.post("/organizations", GOOD | {"name": "x" * 3000}, **headers)
        assert (response.status_code, kind_of(response)) == (413, "request-too-large")


def test_a_body_of_unknown_length_is_refused(api: Api, cast: Cast) -> None:
    response = api.client.generic("POST", "/organizations", b"", headers={"Transfer-Encoding": "chunked"})
    assert (response.status_code, kind_of(response)) == (411, "length-required")


def test_white_space_around_a_name_is_dropped(api: Api) -> None:
    assert api.post("/organizations", {"name": "  N ", "key": "n"}).json()["name"] == "N"


@pytest.mark.parametrize("query", ["nmae=x", "name=a&name=b", "cursor=a&cursor=b", "name=%00", "key=%ED%A0%80%00"])
def test_a_query_that_makes_no_sense_is_refused(api: Api, query: str) -> None:
    assert wrong_fields(api.get(f"/organizations?{query}"))


@pytest.mark.parametrize("accept", ["text/html", "application/xml", "application/problem+json", "*/*", "garbage"])
def test_json_is_answered_whatever_is_accepted(api: Api, accept: str) -> None:
    assert api.send("GET", "/organizations", Accept=accept)["Content-Type"] == "application/json"
    assert api.client.get("/organizations?format=xml").status_code == 400


@pytest.mark.parametrize("method", ["PUT", "PATCH", "DELETE", "TRACE", "BREW"])
def test_a_method_that_is_not_answered_is_refused(api: Api, method: str) -> None:
    response = api.send(method, "/organizations")
    assert (response.status_code, kind_of(response)) == (405, "method-not-allowed")
    assert response["Allow"] == "GET, POST, HEAD, OPTIONS"


def test_head_answers_like_get_without_body_and_options_name_the_methods(api: Api) -> None:
    head, options = api.send("HEAD", "/organizations"), api.send("OPTIONS", "/organizations")
    assert (head.status_code, head.content) == (200, b"")
    assert (options.status_code, options["Allow"]) == (204, "GET, POST, HEAD, OPTIONS")


def test_a_field_that_does_not_exist_is_refused_with_the_fields_that_do(api: Api) -> None:
    (error,) = api.post("/organizations", {**GOOD, "parent": 1}).json()["errors"]
    assert error == {
        "field": "parent",
        "message": "This field does not exist here. The fields are: reason, name, key, parentId.",
    }
    (error,) = api.post("/v1/feature-flags", {"nam": "checkout"}).json()["errors"]
    assert " tags, " in error["message"]
    assert "createdAt" not in error["message"]  # a field of the answer that nobody can write
    assert api.post("/v1/feature-flags", {"name": "checkout", "createdAt": "ever"}).status_code == 201
    (error,) = api.get("/organizations", parentId=1).json()["errors"]
    assert error["message"].startswith("This field does not exist here. The fields are: ")
    assert "parent" in error["message"]


def test_a_wrong_choice_lists_the_choices_also_in_a_list(api: Api) -> None:
    (error,) = api.post("/v1/people", {"username": "bob", "groups": ["viewer", "boss"]}).json()["errors"]
    assert error["field"] == "groups.1"
    assert error["message"].endswith("Write one of these: admin, operator, viewer.")
