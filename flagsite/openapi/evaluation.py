"""The OFREP endpoints in the OpenAPI document. They have no Django views from which they could be generated.

The source is https://github.com/open-feature/protocol, service/openapi.yaml, version 0.3.
"""

from __future__ import annotations

from typing import Any

from django.conf import settings

from flags.definitions.models import FLAG_KEY_PATTERN
from flags.evaluation.reasons import REASON_CHOICES
from flagsite.core import example_names as names

FLAG_EXAMPLE = {
    "key": names.FLAG,
    "reason": "TARGETING_MATCH",
    "value": True,
    "variant": "on",
    "metadata": {"rule": "organization", "sourceOrganizationId": names.ROOT_ID, "changeNumber": 17},
}
FAILURE_EXAMPLE = {"key": "half", "errorCode": "TARGETING_KEY_MISSING", "errorDetails": "…, and the request has none."}
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
                        "description": "The identifier of the user. Flags with a rollout over users need it.",
                    },
                    "organizationId": {
                        "oneOf": [{"type": "integer"}, {"type": "string"}],
                        "description": f"The organization by its id or its key: {names.WAYS_TO_NAME}.",
                    },
                    "organizationKey": {"type": "string"},
                    "environment": {"type": "string", "description": "The environment, such as staging."},
                    # all other members are attributes, which targeting rules can ask for
                },
            }
        },
        "example": {"context": {"targetingKey": names.USER, "organizationKey": names.OSLO}},
    },
    "OfrepFlag": {
        "type": "object",
        "required": ["key", "reason", "variant", "metadata"],
        "properties": {
            "key": {"type": "string"},
            "reason": {"type": "string", "enum": REASON_CHOICES},
            "value": {
                "description": "The value, of the type of the flag. Without it, the default in the application counts.",
                "oneOf": [
                    {"type": "boolean"},
                    {"type": "string"},
                    {"type": "number"},
                    {"type": "object"},
                    {"type": "array"},
                ],
            },
            "variant": {
                "type": "string",
                "description": "The key of the variant: on or off for a boolean flag, custom for a value that was set "
                "in place of a variant, and empty without a value.",
            },
            "metadata": {
                "type": "object",
                "description": "The rule that decided, a targeting rule by its id too, and where the value was set.",
                "additionalProperties": {"oneOf": [{"type": "string"}, {"type": "number"}, {"type": "boolean"}]},
            },
        },
        "example": FLAG_EXAMPLE,
    },
    "OfrepFailure": {
        "type": "object",
        "required": ["errorDetails"],
        "properties": {
            "key": {"type": "string"},
            "errorCode": {"type": "string"},
            "errorDetails": {"type": "string"},
        },
        "example": FAILURE_EXAMPLE,
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
                "description": "Streams of events, by which a client learns at once that it has to evaluate again.",
                "items": {"type": "object", "additionalProperties": True},
            },
        },
        "example": {"flags": [FLAG_EXAMPLE], "metadata": {"organizationId": names.OSLO_ID}},
    },
}
_CONTEXT = SCHEMAS["OfrepRequest"]["properties"]["context"]
_OTHERS = {name: schema for name, schema in _CONTEXT["properties"].items() if not name.startswith("organization")}
SCHEMAS["OfrepRequestOf"] = {
    "type": "object",
    "description": "A request whose path names the organization.",
    "required": ["context"],
    "properties": {"context": {**_CONTEXT, "properties": _OTHERS}},
    "example": {"context": {"targetingKey": names.USER}},
}
FAILURES = {
    400: "The request is not valid, or its organization does not exist or is outside the caller's scope. For one flag "
    "also: the flag needs a targeting key, and none was sent.",
    401: "The access key is missing, unknown, revoked or expired.",
    404: "The flag does not exist.",
    413: "The body is longer than 64 KiB.",
    429: "Too many evaluations in a minute. The header Retry-After has the seconds to wait.",
    500: "An internal error. For one flag also: its rollout uses a formula that only a later Flagsite knows.",
    503: "The database cannot be reached, and the evaluation cache does not have the organization.",
}
FLAGS_PATH = "/ofrep/v1/evaluate/flags"
ORGANIZATION_PATH = "/organizations/{organization}"
ORGANIZATION_PARAMETER = {
    "name": "organization", "in": "path", "required": True, "schema": settings.ORGANIZATION_IN_PATH,
}  # fmt: skip
KEY_PARAMETER = {
    "name": "key", "in": "path", "required": True, "description": "A flag's name.",
    "schema": {"type": "string", "pattern": f"^{FLAG_KEY_PATTERN}$"},
}  # fmt: skip
IF_NONE_MATCH_PARAMETER = {
    "name": "If-None-Match", "in": "header", "schema": {"type": "string"},
    "description": "The ETag of an earlier response. If the response would be the same, the status is 304.",
}  # fmt: skip


def describe_evaluation(result: dict[str, Any], **_: Any) -> dict[str, Any]:
    """Add the OFREP endpoints to the OpenAPI document; a postprocessing hook of drf-spectacular."""
    result.setdefault("components", {}).setdefault("schemas", {}).update(SCHEMAS)
    for prefix, parameters, suffix in (("", [], ""), (ORGANIZATION_PATH, [ORGANIZATION_PARAMETER], "Of")):
        result["paths"][prefix + FLAGS_PATH] = {"post": _bulk(f"evaluateFlags{suffix}", parameters)}
        result["paths"][f"{prefix}{FLAGS_PATH}/{{key}}"] = {"post": _single(f"evaluateFlag{suffix}", parameters)}
    return result


def _bulk(name: str, parameters: list[dict[str, Any]]) -> dict[str, Any]:
    operation = _operation(
        name, "Evaluate all flags (OpenFeature)", "OfrepFlags", [*parameters, IF_NONE_MATCH_PARAMETER]
    )
    operation["responses"]["200"]["headers"] = {"ETag": {"schema": {"type": "string"}}}
    operation["responses"]["304"] = {"description": "The response would be the same as the one with this ETag."}
    return operation


def _single(name: str, parameters: list[dict[str, Any]]) -> dict[str, Any]:
    return _operation(name, "Evaluate one flag (OpenFeature)", "OfrepFlag", [*parameters, KEY_PARAMETER])


def _operation(name: str, summary: str, schema: str, parameters: list[dict[str, Any]]) -> dict[str, Any]:
    return {
        "operationId": name,
        "summary": summary,
        "tags": ["evaluation"],
        "security": [{"bearerKey": []}, {"headerKey": []}],
        "parameters": parameters,
        "requestBody": {"required": True, **_content("OfrepRequestOf" if name.endswith("Of") else "OfrepRequest")},
        "responses": {
            "200": {"description": "OK", **_content(schema)},
            **{str(status): {"description": text, **_content("OfrepFailure")} for status, text in FAILURES.items()},
        },
    }


def _content(schema: str) -> dict[str, Any]:
    return {"content": {"application/json": {"schema": {"$ref": f"#/components/schemas/{schema}"}}}}
