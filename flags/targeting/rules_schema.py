"""The JSON Schemas of targeting rules and rollouts, and examples, for OpenAPI.

`flags.targeting.checks` checks more than they say.
"""

from __future__ import annotations

from typing import Any

from flags.evaluation.hashes import HASHES
from flags.evaluation.rollout import BUCKETS
from flags.targeting.checks import (
    ALL,
    KNOWN_OPERATORS,
    MAX_ATTRIBUTE,
    MAX_CLAUSES,
    MAX_DESCRIPTION,
    MAX_LEVEL,
    MAX_RANGES,
    MAX_RULES,
    MAX_SALT,
    MAX_TEXT,
    MAX_VALUES,
    RULE_ID,
)
from flags.values.checks import VARIANT_KEY_PATTERN
from flags.values.variants import MOST_VARIANTS

_VALUE = {"oneOf": [{"type": "string", "maxLength": MAX_TEXT}, {"type": "number"}, {"type": "boolean"}]}
_CLAUSE = {
    "type": "object",
    "required": ["op"],
    "additionalProperties": False,
    "properties": {
        "attribute": {"type": "string", "maxLength": MAX_ATTRIBUTE},
        "op": {"type": "string", "enum": list(KNOWN_OPERATORS)},
        "values": {"type": "array", "items": _VALUE, "maxItems": MAX_VALUES},
        "negate": {"type": "boolean"},
        "ignoreCase": {"type": "boolean"},
    },
}
_WEIGHT = {"type": "number", "minimum": 0, "maximum": ALL, "multipleOf": 0.001}
_RANGE = {
    "type": "object",
    "required": ["variant", "below"],
    "additionalProperties": False,
    "properties": {
        "variant": {"type": "string", "pattern": f"^{VARIANT_KEY_PATTERN}$"},
        "below": {"type": "integer", "minimum": 1, "maximum": BUCKETS},
    },
}
ROLLOUT_SCHEMA = {
    "type": "object",
    "required": ["rollout"],
    "additionalProperties": False,
    "properties": {
        "rollout": {
            "type": "object",
            "minProperties": 1,
            "additionalProperties": _WEIGHT,
            "propertyNames": {"pattern": f"^{VARIANT_KEY_PATTERN}$"},
            "maxProperties": MOST_VARIANTS,
        },
        "by": {"type": "string", "minLength": 1, "maxLength": MAX_ATTRIBUTE},
        "level": {"type": "integer", "minimum": 0, "maximum": MAX_LEVEL},
        "salt": {"type": "string", "maxLength": MAX_SALT},
        "hashVersion": {"type": "integer", "minimum": min(HASHES), "maximum": max(HASHES)},
        "ranges": {"type": "array", "items": _RANGE, "minItems": 1, "maxItems": MAX_RANGES},
    },
}
_SERVE = {
    "oneOf": [
        {
            "type": "object",
            "required": ["variant"],
            "additionalProperties": False,
            "properties": {"variant": {"type": "string", "pattern": f"^{VARIANT_KEY_PATTERN}$"}},
        },
        ROLLOUT_SCHEMA,
    ]
}
_CONDITIONS = {
    "id": {"type": "string", "pattern": f"^{RULE_ID.pattern}$"},
    "description": {"type": "string", "maxLength": MAX_DESCRIPTION},
    "clauses": {"type": "array", "items": _CLAUSE, "minItems": 1, "maxItems": MAX_CLAUSES},
}


def _rules(**others: Any) -> dict[str, Any]:
    rule = {
        "type": "object",
        "required": ["clauses", *others],
        "additionalProperties": False,
        "properties": _CONDITIONS | others,
    }
    return {"type": "array", "maxItems": MAX_RULES, "items": rule}


RULES_SCHEMA = _rules(serve=_SERVE)
SEGMENT_RULES_SCHEMA = _rules()
EXAMPLE_OF_RULES = [
    {
        "id": "beta-testers",
        "clauses": [{"attribute": "plan", "op": "in", "values": ["pro", "enterprise"]}],
        "serve": {"variant": "on"},
    }
]
EXAMPLE_OF_SEGMENT_RULES = [
    {"id": "pros", "clauses": [{"attribute": "plan", "op": "in", "values": ["pro", "enterprise"]}]}
]
