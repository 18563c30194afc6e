"""The API's description (OpenAPI 3): what all operations share, and the two pages that show it."""

from __future__ import annotations

import functools
import json
from http import HTTPStatus
from typing import Any

from django.http import HttpResponse
from drf_spectacular.extensions import OpenApiAuthenticationExtension
from drf_spectacular.generators import SchemaGenerator
from drf_spectacular.utils import extend_schema
from rest_framework.request import Request
from rest_framework.views import APIView

from flagsite.web.problems import CONTENT_TYPE, HTTP_TYPES, INVALID_INPUT, PROBLEMS
from orgs.access.permissions import OpenOnPurpose
from orgs.idempotency.stored_answers import HEADER as IDEMPOTENCY_KEY
from orgs.idempotency.stored_answers import REPLAYED_HEADER

WRITES = {"post", "put", "patch", "delete"}
ALWAYS = (400, 401, 403, 429, 500, 503)
WITH_WRITES = (404, 409, 411, 413, 415)
NAMES = {
    400: "BadRequest",
    401: "NotAuthenticated",
    403: "NotPermitted",
    404: "NotFound",
    409: "Conflict",
    411: "LengthRequired",
    412: "ChangedMeanwhile",
    413: "TooLarge",
    415: "UnsupportedMediaType",
    429: "TooManyRequests",
    500: "InternalError",
    503: "DatabaseAway",
}
DESCRIPTIONS = {
    400: "Something about the request is not valid; `errors` tells which field.",
    401: "No access key, or one that is unknown, revoked or expired.",
    403: "The caller's role or subtree does not allow this.",
    404: "It does not exist, or is not the caller's to see.",
    409: "The present state forbids this.",
    411: "A body came without its length.",
    412: "It is not what `If-Match` names any more.",
    413: "The body is too large.",
    415: "The body is not `application/json`.",
    429: "More requests than the key's rate limit allows.",
    500: "A fault on our side; the request's id finds it in the log.",
    503: "The database cannot be reached, or a large change holds the tree of organizations; nothing was done.",
}
PROBLEM = {
    "type": "object",
    "description": "Problem details (RFC 9457).",
    "required": ["type", "title", "status", "detail"],
    "properties": {
        "type": {
            "type": "string",
            "format": "uri-reference",
            "description": "What kind of problem; see docs/errors.md.",
        },
        "title": {"type": "string"},
        "status": {"type": "integer"},
        "detail": {"type": "string", "description": "What went wrong, for a person."},
        "errors": {
            "type": "array",
            "description": "With `/problems/invalid-input`: each field and what is wrong with it.",
            "items": {
                "type": "object",
                "required": ["field", "message"],
                "properties": {"field": {"type": "string"}, "message": {"type": "string"}},
            },
        },
        "steps": {
            "type": "array",
            "description": "With `/problems/targeting-key-missing` of explain: what the rules before have found.",
            "items": {"type": "object"},
        },
    },
}
WAIT = {"Retry-After": {"description": "Seconds to wait.", "schema": {"type": "integer"}}}
HEADERS: dict[int, dict[str, Any]] = {
    401: {"WWW-Authenticate": {"schema": {"type": "string"}}},
    429: WAIT,
    503: WAIT,
}
REPEATABLE = {
    "name": IDEMPOTENCY_KEY,
    "in": "header",
    "description": "Any text of your choice. The same request with the same key is carried out once and answered the "
    f"same, then with the header `{REPLAYED_HEADER}: true`; another request with it is a 409.",
    "schema": {"type": "string", "minLength": 1, "maxLength": 255, "pattern": "^[!-~]+$"},
}
LOCATION = {"Location": {"description": "Where to find it.", "schema": {"type": "string", "format": "uri-reference"}}}


class AccessKeyScheme(OpenApiAuthenticationExtension):
    """How an access key is sent: one of two headers."""

    target_class = "orgs.access.authentication.AccessKeyAuthentication"
    name = ["bearerKey", "headerKey"]

    def get_security_definition(self, auto_schema: Any) -> list[dict[str, Any]]:
        return [
            {"type": "http", "scheme": "bearer", "description": "`Authorization: Bearer KEY`"},
            {"type": "apiKey", "in": "header", "name": "X-API-Key"},
        ]

    def get_security_requirement(self, auto_schema: Any) -> list[dict[str, list[str]]]:
        return [{name: []} for name in self.name]  # one of them will do


class MetricsTokenScheme(OpenApiAuthenticationExtension):
    """The scraper's token, which is no access key."""

    target_class = "flagsite.health.scraper_access.MetricsTokenAuthentication"
    name = "metricsToken"

    def get_security_definition(self, auto_schema: Any) -> dict[str, Any]:
        return {"type": "http", "scheme": "bearer", "description": "`Authorization: Bearer METRICS_TOKEN`"}


class AdminSessionScheme(OpenApiAuthenticationExtension):
    """The admin site's session; writes need its CSRF token too."""

    target_class = "orgs.access.authentication.AdminSessionAuthentication"
    name = "adminSession"

    def get_security_definition(self, auto_schema: Any) -> dict[str, Any]:
        return {"type": "apiKey", "in": "cookie", "name": "sessionid"}


def describe_what_all_share(result: dict[str, Any], **_: Any) -> dict[str, Any]:
    """Add to every operation the problems that it can end with, and to writes the Idempotency-Key."""
    components = result.setdefault("components", {})
    components.setdefault("schemas", {})["Problem"] = PROBLEM
    components["responses"] = {NAMES[status]: _response(status) for status in NAMES}
    for path, operations in result["paths"].items():
        for method, operation in operations.items():
            for status, response in operation["responses"].items():
                response["description"] = response.get("description") or HTTPStatus(int(status)).phrase
            if not operation.get("security"):  # open to all, and with answers of its own
                continue
            statuses = [*ALWAYS, *(WITH_WRITES if method in WRITES else (404,) if "{" in path else ())]
            statuses += [412] if any(each["name"] == "If-Match" for each in operation.get("parameters", ())) else []
            for status in sorted(statuses):
                operation["responses"][str(status)] = {"$ref": f"#/components/responses/{NAMES[status]}"}
            if method in WRITES:
                operation.setdefault("parameters", []).append(REPEATABLE)
            for status in {"201", "202"} & set(operation["responses"]):
                operation["responses"][status].setdefault("headers", {}).update(LOCATION)
    return result


def _response(status: int) -> dict[str, Any]:
    kinds = [HTTP_TYPES[status]] if status in HTTP_TYPES else []
    kinds += [INVALID_INPUT] if status == HTTPStatus.BAD_REQUEST else []
    kinds += [kind for its_status, kind in PROBLEMS.values() if its_status == status]
    example = {"type": f"/problems/{kinds[0]}", "title": "…", "status": status, "detail": DESCRIPTIONS[status]}
    response = {
        "description": f"{DESCRIPTIONS[status]} Types: {', '.join(f'`{kind}`' for kind in kinds)}.",
        "content": {CONTENT_TYPE: {"schema": {"$ref": "#/components/schemas/Problem"}, "example": example}},
    }
    return response | ({"headers": HEADERS[status]} if status in HEADERS else {})


@functools.cache
def document() -> bytes:
    """The whole description, as JSON; made once in each process."""
    schema = SchemaGenerator().get_schema(request=None, public=True)
    return json.dumps(schema, ensure_ascii=False).encode()


class Description(APIView):
    """GET /openapi.json; open on purpose, since it tells nothing about anybody."""

    authentication_classes = ()
    permission_classes = (OpenOnPurpose,)
    throttle_classes = ()

    @extend_schema(exclude=True)
    def get(self, request: Request) -> HttpResponse:
        return HttpResponse(document(), content_type="application/json")
