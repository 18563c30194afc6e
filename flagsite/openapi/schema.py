"""The OpenAPI document of the API: the parts that all operations share, and the endpoint that serves it."""

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

from flagsite.core import actor
from flagsite.core.api.input import REASON_HEADER
from flagsite.web.problems import CONTENT_TYPE, HTTP_TYPES, INVALID_INPUT, PROBLEMS
from orgs.access.permissions import OpenOnPurpose
from orgs.idempotency.stored_answers import HEADER as IDEMPOTENCY_KEY
from orgs.idempotency.stored_answers import REPLAYED_HEADER
from orgs.tree.reference_fields import REFERENCE_FORMAT

WRITE_METHODS = {"post", "put", "patch", "delete"}
READS = {
    "checkFlagByBody",
    "explainFlagByBody",
    "planDefinition",
    "planFlagFile",
    "planSegment",
    "planFlagImport",
    "planSchedule",
    "planSetting",
    "planTreeChange",
    "planUndo",
}
"""Operations with a method of writes that change nothing."""
LOOKS_BACK_BY_BODY = "explainFlagByBody"
"""The operation whose body may name a past moment."""
STATUSES_OF_ALL = (400, 401, 403, 429, 500, 503)
STATUSES_OF_WRITES = (404, 409, 411, 413, 415)
RESPONSE_NAMES = {
    400: "BadRequest",
    401: "NotAuthenticated",
    403: "NotPermitted",
    404: "NotFound",
    409: "Conflict",
    410: "Gone",
    411: "LengthRequired",
    412: "ChangedMeanwhile",
    413: "TooLarge",
    415: "UnsupportedMediaType",
    429: "TooManyRequests",
    500: "InternalError",
    503: "DatabaseAway",
}
DESCRIPTIONS = {
    400: "The request is not valid. `errors` names the fields.",
    401: "The access key is missing, unknown, revoked or expired.",
    403: "The caller's role or subtree does not allow this.",
    404: "The object does not exist, or it is outside the caller's scope.",
    409: "The present state does not allow the operation.",
    410: "Nothing tells any more what the request asks for.",
    411: "The request has a body without a `Content-Length`.",
    412: "The object has changed since the version that `If-Match` names.",
    413: "The body is too large.",
    415: "The body is not `application/json`.",
    429: "The caller has sent more requests than the rate limit allows.",
    500: "An internal error. The log has the details under the id of the request.",
    503: "The database cannot be reached, or a large change holds the tree lock. Nothing was changed.",
}
PROBLEM_SCHEMA = {
    "type": "object",
    "description": "Problem details (RFC 9457).",
    "required": ["type", "title", "status", "detail"],
    "properties": {
        "type": {
            "type": "string",
            "format": "uri-reference",
            "description": "The type of the problem, which docs/errors.md explains.",
        },
        "title": {"type": "string"},
        "status": {"type": "integer"},
        "detail": {"type": "string", "description": "An explanation for people."},
        "errors": {
            "type": "array",
            "description": "With `/problems/invalid-input` and `/problems/invalid-job-arguments`: each invalid "
            "field and the reason.",
            "items": {
                "type": "object",
                "required": ["field", "message"],
                "properties": {"field": {"type": "string"}, "message": {"type": "string"}},
            },
        },
        "steps": {
            "type": "array",
            "description": "With `/problems/targeting-key-missing` of an explanation: the results of earlier rules.",
            "items": {"type": "object"},
        },
    },
}
RETRY_AFTER_HEADER = {"Retry-After": {"description": "Seconds to wait.", "schema": {"type": "integer"}}}
HEADERS: dict[int, dict[str, Any]] = {
    401: {"WWW-Authenticate": {"schema": {"type": "string"}}},
    429: RETRY_AFTER_HEADER,
    503: RETRY_AFTER_HEADER,
}
IDEMPOTENCY_KEY_PARAMETER = {
    "name": IDEMPOTENCY_KEY,
    "in": "header",
    "description": "A text of your choice. Flagsite carries out requests with the same key only once. It answers a "
    f"repeated request with the first response and the header `{REPLAYED_HEADER}: true`, and a different request with "
    "409.",
    "schema": {"type": "string", "minLength": 1, "maxLength": 255, "pattern": "^[!-~]+$"},
}
REASON_PARAMETER = {
    "name": REASON_HEADER,
    "in": "header",
    "description": "The reason, in UTF-8, which the audit log keeps. The field `reason` of the body is another way to "
    "send it, and counts more.",
    "schema": {"type": "string", "maxLength": actor.MAX_REASON_LENGTH},
}
LOCATION_HEADER = {
    "Location": {
        "description": "The address of the created object.",
        "schema": {"type": "string", "format": "uri-reference"},
    }
}


class AccessKeyScheme(OpenApiAuthenticationExtension):
    """An access key, which a client sends in one of two headers."""

    target_class = "orgs.access.authentication.AccessKeyAuthentication"
    name = ["bearerKey", "headerKey"]

    def get_security_definition(self, auto_schema: Any) -> list[dict[str, Any]]:
        return [
            {"type": "http", "scheme": "bearer", "description": "`Authorization: Bearer KEY`"},
            {"type": "apiKey", "in": "header", "name": "X-API-Key"},
        ]

    def get_security_requirement(self, auto_schema: Any) -> list[dict[str, list[str]]]:
        return [{name: []} for name in self.name]  # one of them is enough


class MetricsTokenScheme(OpenApiAuthenticationExtension):
    """The token of a scraper, METRICS_TOKEN, which is not an access key."""

    target_class = "flagsite.health.scraper_access.MetricsTokenAuthentication"
    name = "metricsToken"

    def get_security_definition(self, auto_schema: Any) -> dict[str, Any]:
        return {"type": "http", "scheme": "bearer", "description": "`Authorization: Bearer METRICS_TOKEN`"}


class AdminSessionScheme(OpenApiAuthenticationExtension):
    """The session of the admin site. Writes also need its CSRF token."""

    target_class = "orgs.access.authentication.AdminSessionAuthentication"
    name = "adminSession"

    def get_security_definition(self, auto_schema: Any) -> dict[str, Any]:
        return {"type": "apiKey", "in": "cookie", "name": "sessionid"}


def add_common_parts(result: dict[str, Any], **_: Any) -> dict[str, Any]:
    """Add error responses to every operation and the header Idempotency-Key to writes; a hook of drf-spectacular."""
    components = result.setdefault("components", {})
    components.setdefault("schemas", {})["Problem"] = PROBLEM_SCHEMA
    schemes = components.get("securitySchemes", {})
    first = ("bearerKey", "headerKey")  # the page /docs offers them in this order, and most people have an access key
    components["securitySchemes"] = {name: schemes[name] for name in (*first, *sorted(set(schemes) - set(first)))}
    components["responses"] = {RESPONSE_NAMES[status]: _response(status) for status in RESPONSE_NAMES}
    for path, operations in result["paths"].items():
        for method, operation in operations.items():
            for status, response in operation["responses"].items():
                response["description"] = response.get("description") or HTTPStatus(int(status)).phrase
            if _needs_body(operation, components["schemas"]):
                operation["requestBody"]["required"] = True
            if not operation.get("security"):  # public, with its own responses
                continue
            for status in _statuses_of_problems(path, method, operation):
                operation["responses"][str(status)] = {"$ref": f"#/components/responses/{RESPONSE_NAMES[status]}"}
            if method in WRITE_METHODS:
                operation.setdefault("parameters", []).append(IDEMPOTENCY_KEY_PARAMETER)
            if method in WRITE_METHODS and operation["operationId"] not in READS:
                operation["parameters"].append(REASON_PARAMETER)
            for status in {"201", "202"} & set(operation["responses"]):
                operation["responses"][status].setdefault("headers", {}).update(LOCATION_HEADER)
    return result


def _needs_body(operation: dict[str, Any], schemas: dict[str, Any]) -> bool:
    """Return whether a request without a body is refused: a file is missing, or a field."""
    contents = operation.get("requestBody", {}).get("content", {}).values()
    bodies = [content["schema"] for content in contents]
    bodies = [schemas[body["$ref"].rpartition("/")[2]] if "$ref" in body else body for body in bodies]
    return any(body.get("type") != "object" or body.keys() & {"required", "anyOf", "oneOf"} for body in bodies)


def _statuses_of_problems(path: str, method: str, operation: dict[str, Any]) -> list[int]:
    parameters = operation.get("parameters", ())
    statuses = {*STATUSES_OF_ALL, *(STATUSES_OF_WRITES if method in WRITE_METHODS else ())}
    if any(each.get("schema", {}).get("format") == REFERENCE_FORMAT for each in parameters):
        statuses |= {404, 409}  # 409: a number that may be an id or a key
    elif "{" in path:
        statuses.add(404)
    if any(each["name"] == "If-Match" for each in parameters):
        statuses.add(412)
    if operation["operationId"] == LOOKS_BACK_BY_BODY or any(each["name"] == "at" for each in parameters):
        statuses |= {404, 410}
    return sorted(statuses)


def _response(status: int) -> dict[str, Any]:
    kinds = [HTTP_TYPES[status]] if status in HTTP_TYPES else []
    kinds += [INVALID_INPUT] if status == HTTPStatus.BAD_REQUEST else []
    kinds += [kind for problem_status, kind in PROBLEMS.values() if problem_status == status]
    example = {"type": f"/problems/{kinds[0]}", "title": "…", "status": status, "detail": DESCRIPTIONS[status]}
    response = {
        "description": f"{DESCRIPTIONS[status]} Types: {', '.join(f'`{kind}`' for kind in kinds)}.",
        "content": {CONTENT_TYPE: {"schema": {"$ref": "#/components/schemas/Problem"}, "example": example}},
    }
    return response | ({"headers": HEADERS[status]} if status in HEADERS else {})


@functools.cache
def document() -> bytes:
    """Return the OpenAPI document as JSON. Each process generates it once."""
    schema = SchemaGenerator().get_schema(request=None, public=True)
    return json.dumps(schema, ensure_ascii=False).encode()


class OpenApiDocumentView(APIView):
    """GET /openapi.json. It needs no access key, because the document has no data of organizations."""

    authentication_classes = ()
    permission_classes = (OpenOnPurpose,)
    throttle_classes = ()

    @extend_schema(exclude=True)
    def get(self, request: Request) -> HttpResponse:
        return HttpResponse(document(), content_type="application/json")
