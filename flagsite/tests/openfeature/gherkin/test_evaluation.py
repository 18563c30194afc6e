"""Gherkin cases with the Python client against a running Flagsite.

Flagsite's own are in evaluation.feature. OpenFeature's are run too where FLAGSITE_OPENFEATURE_GHERKIN names a folder
with a copy of specification/assets/gherkin/evaluation*.feature of https://github.com/open-feature/spec.
"""

from __future__ import annotations

import json
import os
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pytest
from openfeature import api
from openfeature.client import OpenFeatureClient
from openfeature.contrib.provider.ofrep import OFREPProvider
from openfeature.evaluation_context import EvaluationContext
from openfeature.flag_evaluation import FlagEvaluationDetails, Reason
from pytest_bdd import given, parsers, scenarios, then, when

from flagsite.tests.openfeature.gherkin import not_applicable
from flagsite.tests.openfeature.served import Served

pytestmark = pytest.mark.slow
CLIENT = "flagsite-gherkin"
FLAGS: dict[str, dict[str, Any]] = {
    "boolean-flag": {"enabled": True},
    "boolean-zero-flag": {"enabled": False},
    "boolean-disabled-flag": {"enabled": True, "killed": True},
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

scenarios("evaluation.feature")
if copy := os.environ.get("FLAGSITE_OPENFEATURE_GHERKIN"):
    scenarios(*[str(path.resolve()) for path in sorted(Path(copy).glob("evaluation*.feature"))])


@dataclass
class Question:
    """A flag, what it is asked for as, and for whom."""

    kind: str
    key: str
    default: Any
    context: dict[str, Any] = field(default_factory=dict)

    def __post_init__(self) -> None:
        if reason := not_applicable.FLAGS.get(self.key):
            pytest.skip(reason)
        if self.kind == "Integer" and self.key in FLAGS:
            pytest.skip(not_applicable.INTEGER)
        assert self.key in FLAGS or self.key in MISSING, f"nobody has said what the flag {self.key!r} is"

    def ask(self, client: OpenFeatureClient) -> FlagEvaluationDetails[Any]:
        """The details that the client gives."""
        details = getattr(client, f"get_{self.kind.lower()}_details")
        return details(self.key, self.default, EvaluationContext(None, self.context))


@pytest.fixture(scope="module")
def client(flagsite: Served) -> Iterator[OpenFeatureClient]:
    for key, columns in FLAGS.items():
        flagsite.define(key, **columns)
    provider = OFREPProvider(flagsite.url, headers_factory=lambda: {"Authorization": f"Bearer {flagsite.key}"})
    api.set_provider_and_wait(provider, CLIENT)
    yield api.get_client(CLIENT)
    api.clear_providers()


@given("a stable provider")
def _(client: OpenFeatureClient) -> None:
    assert client.get_provider_status().name == "READY"


# --- the cases as they are written now --------------------------------------------------------------------------------


@given(
    parsers.re(r'a (?P<kind>\w+)-flag with key "(?P<key>[^"]*)" and a (default|fallback) value "(?P<default>.*)"'),
    target_fixture="question",
)
def _(kind: str, key: str, default: str) -> Question:
    return Question(kind, key, PARSE[kind](default))


@given(parsers.parse('a context containing a key "{name}", with type "{kind}" and with value "{value}"'))
def _(question: Question, name: str, kind: str, value: str) -> None:
    question.context[name] = PARSE[kind](value)


@given(parsers.parse('a context containing a key "{name}" with null value'))
def _(question: Question, name: str) -> None:
    question.context[name] = None


@when("the flag was evaluated with details", target_fixture="details")
def _(question: Question, client: OpenFeatureClient) -> FlagEvaluationDetails[Any]:
    return question.ask(client)


@then(parsers.re(r'the resolved details value should be "(?P<value>.*)"'))
def _(question: Question, details: FlagEvaluationDetails[Any], value: str) -> None:
    assert details.value == PARSE[question.kind](value)


@then(parsers.parse('the reason should be "{reason}"'))
def _(details: FlagEvaluationDetails[Any], reason: str) -> None:
    assert details.reason == Reason[reason]


@then(parsers.parse('the flag key should be "{key}"'))
def _(details: FlagEvaluationDetails[Any], key: str) -> None:
    assert details.flag_key == key


@then(parsers.parse('the variant should be "{variant}"'))
def _(details: FlagEvaluationDetails[Any], variant: str) -> None:
    assert details.variant == variant


@then(parsers.parse('the error-code should be "{code}"'))
def _(details: FlagEvaluationDetails[Any], code: str) -> None:
    assert details.error_code is not None
    assert details.error_code.value == code


# --- the cases as they were written before ----------------------------------------------------------------------------


@when(
    parsers.re(
        r'a boolean flag with key "(?P<key>[^"]*)" is evaluated with (details and )?(a )?(default|fallback) value '
        r'"(?P<default>\w+)"'
    ),
    target_fixture="details",
)
def _(client: OpenFeatureClient, key: str, default: str) -> FlagEvaluationDetails[Any]:
    return Question("Boolean", key, PARSE["Boolean"](default)).ask(client)


@when(
    parsers.re(
        r'a non-existent string flag with key "(?P<key>.*)" is evaluated with details '
        r'and a (default|fallback) value "(?P<default>.*)"'
    ),
    target_fixture="details",
)
def _(client: OpenFeatureClient, key: str, default: str) -> FlagEvaluationDetails[Any]:
    return Question("String", key, default).ask(client)


@then(parsers.parse('the resolved boolean value should be "{value}"'))
def _(details: FlagEvaluationDetails[Any], value: str) -> None:
    assert details.value is PARSE["Boolean"](value)


@then(
    parsers.parse(
        'the resolved boolean details value should be "{value}", the variant should be "{variant}", '
        'and the reason should be "{reason}"'
    )
)
def _(details: FlagEvaluationDetails[Any], value: str, variant: str, reason: str) -> None:
    assert (details.value, details.variant, details.reason) == (PARSE["Boolean"](value), variant, Reason[reason])


@then("the default string value should be returned")
def _(details: FlagEvaluationDetails[Any]) -> None:
    assert details.value == "uh-oh"


@then(parsers.re(r'the reason should indicate an error and the error code should indicate a .* with "(?P<code>\w+)"'))
def _(details: FlagEvaluationDetails[Any], code: str) -> None:
    assert details.reason == Reason.ERROR
    assert details.error_code is not None
    assert details.error_code.value == code
