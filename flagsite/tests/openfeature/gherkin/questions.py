"""What a gherkin case asks, and the flags that there are for it."""

from __future__ import annotations

import json
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

import pytest
from openfeature.client import OpenFeatureClient
from openfeature.contrib.provider.ofrep import OFREPProvider
from openfeature.evaluation_context import EvaluationContext
from openfeature.flag_evaluation import FlagEvaluationDetails, FlagEvaluationOptions, FlagResolutionDetails

from flagsite.tests.openfeature.gherkin import not_applicable

PICTURES = {"showImages": True, "title": "Check out these pics!", "imagesPerPage": 100}
VALUES: dict[str, tuple[dict[str, Any], dict[str, Any]]] = {
    "string": ({"greeting": "hi", "parting": "bye"}, {"zero": "", "non-zero": "str"}),
    "integer": ({"ten": 10, "one": 1}, {"zero": 0, "non-zero": 1}),
    "float": ({"half": 0.5, "tenth": 0.1}, {"zero": 0.0, "non-zero": 1.0}),
    "object": ({"template": PICTURES, "empty": {}}, {"zero": {}, "non-zero": PICTURES}),
}
"""For each type the variants of the plain flag, and of the flags whose value counts as false."""


def rule(serves: str, **attributes: Any) -> str:
    """Targeting rules in JSON: one rule, for contexts in which each attribute has one of these values."""
    clauses = [{"attribute": name, "op": "in", "values": values} for name, values in attributes.items()]
    return json.dumps([{"id": "rule", "clauses": clauses, "serve": {"variant": serves}}])


def typed(flag_type: str, variants: dict[str, Any], **columns: Any) -> dict[str, Any]:
    """The columns of a flag that serves the first of its variants."""
    listed = [{"key": key, "value": value, "number": number} for number, (key, value) in enumerate(variants.items(), 1)]
    default = {"enabled": True, "default_variant": next(iter(variants)), "variants_made": len(listed)}
    return {"type": flag_type, "variants": json.dumps(listed), **default, **columns}


BALLMER = {"email": ["ballmer@macrosoft.com"]}
FLAGS: dict[str, dict[str, Any]] = {
    "boolean-flag": {"enabled": True},
    "boolean-zero-flag": {"enabled": False},
    "boolean-disabled-flag": {"enabled": True, "killed": True},
    "boolean-targeted-zero-flag": {"targeting_rules": rule("off", **BALLMER)},
    "context-flag": {"environments": '{"staging": true}'},
    "wrong-flag": typed("string", {"one": "uno", "two": "dos"}),
    "complex-targeted": typed(
        "string",
        {"external": "EXTERNAL", "internal": "INTERNAL"},
        targeting_rules=rule("internal", **BALLMER, customer=[False], age=[65]),
    ),
    "context-aware": typed(
        "string",
        {"external": "EXTERNAL", "internal": "INTERNAL"},
        targeting_rules=rule("internal", fn=["Sulisław"], ln=["Świętopełk"], age=[29], customer=["false"]),
    ),
}
for _type, (_plain, _zero) in VALUES.items():
    FLAGS[f"{_type}-flag"] = typed(_type, _plain)
    FLAGS[f"{_type}-disabled-flag"] = typed(_type, _plain, killed=True)
    FLAGS[f"{_type}-zero-flag"] = typed(_type, _zero)
    FLAGS[f"{_type}-targeted-zero-flag"] = typed(_type, _zero, targeting_rules=rule("zero", **BALLMER))
MISSING = {"nobody-made-this", "non-existent-flag", "missing-flag"}
"""Cases are about these because nobody has made them."""
PARSE: dict[str, Callable[[str], Any]] = {
    "Boolean": lambda text: {"true": True, "false": False}[text],
    "String": str,
    "Integer": int,
    "Float": float,
    "Object": lambda text: json.loads(text.replace('\\"', '"')),
}


class Remembering(OFREPProvider):
    """OpenFeature's provider as it comes; it can be looked up which context it was given last."""

    context: EvaluationContext | None = None

    def resolve_boolean_details(
        self, flag_key: str, default_value: bool, evaluation_context: EvaluationContext | None = None
    ) -> FlagResolutionDetails[bool]:
        self.context = evaluation_context
        return super().resolve_boolean_details(flag_key, default_value, evaluation_context)


@dataclass
class Question:
    """A flag, what it is asked for as, for whom, and with which options."""

    kind: str
    key: str
    default: Any
    context: dict[str, Any] = field(default_factory=dict)
    options: FlagEvaluationOptions | None = None

    def __post_init__(self) -> None:
        if reason := not_applicable.FLAGS.get(self.key):
            pytest.skip(reason)
        if self.kind == "Integer" and self.key in FLAGS and "type" not in FLAGS[self.key]:
            pytest.skip(not_applicable.INTEGER)
        assert self.key in FLAGS or self.key in MISSING, f"nobody has said what the flag {self.key!r} is"

    def ask(self, client: OpenFeatureClient) -> FlagEvaluationDetails[Any]:
        """The details that the client gives."""
        details = getattr(client, f"get_{self.kind.lower()}_details")
        return details(self.key, self.default, EvaluationContext(None, self.context), self.options)

    async def ask_asynchronously(self, client: OpenFeatureClient) -> FlagEvaluationDetails[Any]:
        """The same, awaited."""
        details = getattr(client, f"get_{self.kind.lower()}_details_async")
        return await details(self.key, self.default, EvaluationContext(None, self.context), self.options)
