"""The description of OFREP's addresses, which are answered before Django and so not found by looking at its views.

After https://github.com/open-feature/protocol, service/openapi.yaml, version 0.3.
"""

from __future__ import annotations

from typing import Any

ENTRY = {
    "key": "new-checkout",
    "reason": "TARGETING_MATCH",
    "value": True,
    "variant": "on",
    "metadata": {"rule": "organization", "sourceOrganizationId": 1, "changeNumber": 17},
}
FAILURE = {"key": "half", "errorCode": "TARGETING_KEY_MISSING", "errorDetails": "…, and the request has none."}
SCHEMAS: dict[str, Any] = {
    "OfrepRequest": {
        "type": "object",
        "required": ["context"],
        "properties": {
            "context": {
                "type": "object",
                "additionalProperties": True,
                "properties": {
                    "targetingKey": {
                        "type": "string",
                        "description": "The user; needed by flags rolled out to a share.",
                    },
                    "organizationId": {"type": "integer", "description": "For whom; or organizationKey."},
                    "organizationKey": {"type": "string"},
                    "environment": {"type": "string", "description": "Such as staging."},
                },
            }
        },
        "example": {"context": {"targetingKey": "user-17", "organizationKey": "acme-oslo"}},
    },
    "OfrepFlag": {
        "type": "object",
        "required": ["key", "reason", "value", "variant", "metadata"],
        "properties": {
            "key": {"type": "string"},
            "reason": {"type": "string", "enum": ["STATIC", "TARGETING_MATCH", "SPLIT", "DISABLED"]},
            "value": {"type": "boolean"},
            "variant": {"type": "string", "enum": ["on", "off"]},
            "metadata": {
                "type": "object",
                "description": "Which rule decided, and where the organization's value was set.",
                "additionalProperties": {"oneOf": [{"type": "string"}, {"type": "number"}, {"type": "boolean"}]},
            },
        },
        "example": ENTRY,
    },
    "OfrepFailure": {
        "type": "object",
        "required": ["errorDetails"],
        "properties": {
            "key": {"type": "string"},
            "errorCode": {"type": "string"},
            "errorDetails": {"type": "string"},
        },
        "example": FAILURE,
    },
    "OfrepFlags": {
        "type": "object",
        "required": ["flags", "metadata"],
        "properties": {
            "flags": {
                "type": "array",
                "items": {
                    "anyOf": [
                        {"$ref": "#/components/schemas/OfrepFlag"},
                        {"$ref": "#/components/schemas/OfrepFailure"},
                    ]
                },
            },
            "metadata": {"type": "object", "additionalProperties": True},
            "eventStreams": {
                "type": "array",
                "description": "Where a client hears at once that it should ask anew.",
                "items": {"type": "object", "additionalProperties": True},
            },
        },
        "example": {"flags": [ENTRY], "metadata": {"organizationId": 4}},
    },
}
FAILURES = {
    400: "What was sent makes no sense; for one flag also: it needs a targeting key.",
    401: "No access key, or one that is unknown, revoked or expired.",
    404: "There is no such flag; below an organization's address: no such organization, or not yours.",
    413: "The body is longer than 64 KiB.",
    429: "Too many evaluations in a minute; the header Retry-After says when to come again.",
    500: "For one flag: it is rolled out by a formula that only a later Flagsite knows.",
    503: "The database is away and nothing is known of the organization.",
}
FLAGS = "/ofrep/v1/evaluate/flags"
BELOW = "/organizations/{organization}"
ORGANIZATION = {
    "name": "organization", "in": "path", "required": True, "schema": {"type": "string"},
    "description": "An organization's id or key.",
}  # fmt: skip
KEY = {"name": "key", "in": "path", "required": True, "schema": {"type": "string"}, "description": "A flag's name."}
KNOWN = {
    "name": "If-None-Match", "in": "header", "schema": {"type": "string"},
    "description": "The ETag of an earlier answer; 304 when it would be the same.",
}  # fmt: skip


def describe_evaluation(result: dict[str, Any], **_: Any) -> dict[str, Any]:
    """Add OFREP's addresses to the description."""
    result.setdefault("components", {}).setdefault("schemas", {}).update(SCHEMAS)
    for prefix, parameters, named in (("", [], ""), (BELOW, [ORGANIZATION], "Of")):
        result["paths"][prefix + FLAGS] = {"post": _bulk(f"evaluateFlags{named}", parameters)}
        result["paths"][f"{prefix}{FLAGS}/{{key}}"] = {"post": _single(f"evaluateFlag{named}", parameters)}
    return result


def _bulk(name: str, parameters: list[dict[str, Any]]) -> dict[str, Any]:
    operation = _operation(name, "Evaluate all flags (OpenFeature)", "OfrepFlags", [*parameters, KNOWN])
    operation["responses"]["200"]["headers"] = {"ETag": {"schema": {"type": "string"}}}
    operation["responses"]["304"] = {"description": "The answer would be the one that the ETag stands for."}
    return operation


def _single(name: str, parameters: list[dict[str, Any]]) -> dict[str, Any]:
    return _operation(name, "Evaluate one flag (OpenFeature)", "OfrepFlag", [*parameters, KEY])


def _operation(name: str, summary: str, schema: str, parameters: list[dict[str, Any]]) -> dict[str, Any]:
    return {
        "operationId": name,
        "summary": summary,
        "tags": ["evaluation"],
        "security": [{"bearerKey": []}, {"headerKey": []}],
        "parameters": parameters,
        "requestBody": {"required": True, **_content("OfrepRequest")},
        "responses": {
            "200": {"description": "OK", **_content(schema)},
            **{str(status): {"description": text, **_content("OfrepFailure")} for status, text in FAILURES.items()},
        },
    }


def _content(schema: str) -> dict[str, Any]:
    return {"content": {"application/json": {"schema": {"$ref": f"#/components/schemas/{schema}"}}}}
