"""OpenFeature's evaluation cases, and Flagsite's own in the same words, with the Python client.

Flagsite's own are in evaluation.feature. OpenFeature's are run too where FLAGSITE_OPENFEATURE_GHERKIN names a folder
with a copy of specification/assets/gherkin of https://github.com/open-feature/spec; the steps here are those of its
cases as they were written before.
"""

from __future__ import annotations

from typing import Any

import pytest
from openfeature.client import OpenFeatureClient
from openfeature.flag_evaluation import FlagEvaluationDetails, Reason
from pytest_bdd import parsers, scenarios, then, when

from flagsite.tests.openfeature.gherkin.copied import features
from flagsite.tests.openfeature.gherkin.questions import PARSE, Question

pytestmark = pytest.mark.slow
scenarios("evaluation.feature")
if OPENFEATURES := features("evaluation.feature"):
    scenarios(*OPENFEATURES)


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
