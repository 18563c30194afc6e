"""No byte in a path, a query, a header or a body makes an answer of 500, at any address."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator
from typing import Any
from urllib.parse import quote

import pytest
from django.urls import URLPattern, URLResolver, get_resolver

from conftest import Cast
from flags.states.set_flag import set_flag
from flagsite.openapi.schema import document
from orgs.tests.api import Api
from orgs.tests.people import signed_in

pytestmark = [pytest.mark.django_db, pytest.mark.slow, pytest.mark.timeout(400)]
HOSTILE = ("%00", "%ED%A0%BD", "%FF%C0%80", "9" * 400, "%F4%90%80%80%0A'\"")
"""NUL, half of a surrogate pair, bytes that are not UTF-8, a giant number, a code point that does not exist."""
JSON_HOSTILE = (r'"\u0000"', r'"\ud83d"', "9" * 400, "1e999", '{"\\u0000": "\\ud83d"}', '["\\u0000", 1e30]', "null")
HEADERS = ("X-API-Key", "Accept", "Content-Type", "If-Match", "If-None-Match", "Idempotency-Key", "X-Reason",
           "X-Request-ID", "Accept-Language", "X-Forwarded-For", "Range", "Cookie")  # fmt: skip
OPERATIONS = [
    (path, method, operation)
    for path, operations in json.loads(document())["paths"].items()
    if not path.startswith(("/ofrep/", "/organizations/{organization}/ofrep"))
    for method, operation in operations.items()
]


def filled(path: str, value: str) -> str:
    return re.sub(r"\{[^}]+\}", value, path)


def properties_of(operation: dict[str, Any]) -> Iterator[str]:
    schemas = json.loads(document())["components"]["schemas"]
    for content in operation.get("requestBody", {}).get("content", {}).values():
        yield from schemas.get(content["schema"].get("$ref", "").rpartition("/")[2], {}).get("properties", {})


@pytest.mark.parametrize(("path", "method", "operation"), OPERATIONS, ids=lambda part: str(part)[:60])
def test_no_address_of_the_api_fails(
    cast: Cast, admin_key: str, path: str, method: str, operation: dict[str, Any]
) -> None:
    set_flag(organization_id=cast.oslo.pk, flag_key="1", enabled=True)
    api, verb, plain = Api(admin_key), method.upper(), filled(path, "1")
    query = [parameter["name"] for parameter in operation.get("parameters", ()) if parameter["in"] == "query"]
    requests: list[tuple[str, bytes | None, dict[str, str]]] = []
    for value in HOSTILE:
        requests += [(filled(path, value), None, {}), (f"{plain}?{value}={value}", None, {})]
        requests += [(f"{plain}?{name}={value}", None, {}) for name in query]
        requests += [(plain, value.encode(), {})]
    for value in JSON_HOSTILE:
        requests += [(plain, f'{{"{name}": {value}}}'.encode(), {}) for name in properties_of(operation)]
        requests += [(plain, value.encode(), {})]
    for name in HEADERS:
        requests += [(plain, None, {name: value}) for value in ("\xff\x00", "a" * 3000, "text/plain; charset=\x00x")]
    for address, body, headers in requests:
        response = api.send(verb, address, body, **headers)
        assert response.status_code < 500, (verb, address[:200], body, headers, response.content)


def admin_paths(resolver: URLResolver, prefix: str = "") -> Iterator[str]:
    for pattern in resolver.url_patterns:
        path = prefix + str(pattern.pattern)
        if isinstance(pattern, URLResolver):
            yield from admin_paths(pattern, path)
        elif isinstance(pattern, URLPattern) and path.startswith("admin/"):
            yield "/" + re.sub(r"<[^>]+>|\(\?P.*?\)", "{part}", path).replace("$", "").replace("^", "")


def test_no_page_of_the_admin_site_fails(cast: Cast) -> None:
    person = signed_in("admin")
    person.raise_request_exception = False
    for path in sorted(set(admin_paths(get_resolver()))):
        for value in HOSTILE if "{part}" in path else ("1",):
            for query in ("", f"?q={HOSTILE[0]}", f"?q={HOSTILE[1]}&e=1", f"?{quote('id__exact')}={HOSTILE[3]}"):
                response = person.get(path.replace("{part}", value) + query)
                assert response.status_code < 500, (path, value[:20], query, response.content[:300])
