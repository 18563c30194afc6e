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

BALLMER_IS_OFF = (
    '[{"id": "email", "clauses": [{"attribute": "email", "op": "in", "values": ["ballmer@macrosoft.com"]}], '
    '"serve": {"variant": "off"}}]'
)
FLAGS: dict[str, dict[str, Any]] = {
    "boolean-flag": {"enabled": True},
    "boolean-zero-flag": {"enabled": False},
    "boolean-disabled-flag": {"enabled": True, "killed": True},
    "boolean-targeted-zero-flag": {"targeting_rules": BALLMER_IS_OFF},
    "context-flag": {"environments": '{"staging": true}'},
}
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
        if self.kind == "Integer" and self.key in FLAGS:
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
