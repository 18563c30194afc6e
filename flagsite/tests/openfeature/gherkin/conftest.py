"""The steps of OpenFeature's evaluation cases, and what pytest-bdd asks for between them.

`client` is the Python client; a module may put another in its place.
"""

from __future__ import annotations

import json
from collections.abc import Iterator
from typing import Any

import pytest
from openfeature import api
from openfeature.client import OpenFeatureClient
from openfeature.flag_evaluation import FlagEvaluationDetails, Reason
from pytest_bdd import given, parsers, then, when

from flagsite.tests.openfeature.gherkin import not_applicable
from flagsite.tests.openfeature.gherkin.questions import FLAGS, PARSE, Question, Remembering
from flagsite.tests.openfeature.served import Served

CLIENT = "flagsite-gherkin"


def pytest_configure(config: pytest.Config) -> None:
    """OpenFeature's tables of examples have these tags, which pytest-bdd makes markers."""
    for kind in ("booleans", "strings", "numbers", "objects", "transaction", "hooks"):
        config.addinivalue_line("markers", f"{kind}: examples with such flags, in OpenFeature's gherkin cases")


def pytest_bdd_apply_tag(tag: str, function: object) -> bool:
    """Scenarios' tags are numbers of paragraphs of the specification: no markers of ours."""
    return True


def pytest_bdd_before_scenario(scenario: Any) -> None:
    """Skip what does not apply, and say why."""
    if reason := not_applicable.SCENARIOS.get(scenario.name):
        pytest.skip(reason)


@pytest.fixture(scope="session")
def defined(flagsite: Served) -> Served:
    """A Flagsite that has the flags which the cases are about."""
    for key, columns in FLAGS.items():
        flagsite.define(key, **columns)
    return flagsite


@pytest.fixture(scope="module")
def provider(defined: Served) -> Remembering:
    return Remembering(defined.url, headers_factory=lambda: {"Authorization": f"Bearer {defined.key}"})


@pytest.fixture(scope="module")
def client(provider: Remembering) -> Iterator[OpenFeatureClient]:
    api.set_provider_and_wait(provider, CLIENT)
    yield api.get_client(CLIENT)
    api.clear_providers()


# --- the cases as they are written now --------------------------------------------------------------------------------
@given("a stable provider")
def _(client: OpenFeatureClient) -> None:
    assert client.get_provider_status().name == "READY"


@given(
    parsers.re(r'a (?P<kind>\w+)-flag with key "(?P<key>[^"]*)" and a (default|fallback) value "(?P<default>.*)"'),
    target_fixture="question",
)
def _(kind: str, key: str, default: str) -> Question:
    kind = kind.capitalize()
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


@then(parsers.re(r'the variant should be "(?P<variant>[^"]*)"$'))
def _(details: FlagEvaluationDetails[Any], variant: str) -> None:
    assert details.variant == variant


@then(parsers.parse('the error-code should be "{code}"'))
def _(details: FlagEvaluationDetails[Any], code: str) -> None:
    assert details.error_code is not None
    assert details.error_code.value == code


# --- the cases as they were written before ----------------------------------------------------------------------------
@when(
    parsers.re(
        r'an? (?P<kind>boolean|string|integer|float) flag with key "(?P<key>[^"]*)" is evaluated with '
        r'(details and )?(a )?(default|fallback) value "?(?P<default>[^"]*)"?'
    ),
    target_fixture="details",
)
def _(client: OpenFeatureClient, kind: str, key: str, default: str) -> FlagEvaluationDetails[Any]:
    kind = kind.capitalize()
    return Question(kind, key, PARSE[kind](default)).ask(client)


@when(
    parsers.re(r'an object flag with key "(?P<key>[^"]*)" is evaluated with (details and )?a null default value'),
    target_fixture="details",
)
def _(client: OpenFeatureClient, key: str) -> FlagEvaluationDetails[Any]:
    return Question("Object", key, None).ask(client)


@when(
    parsers.re(
        r'a non-existent string flag with key "(?P<key>.*)" is evaluated with details '
        r'and a (default|fallback) value "(?P<default>.*)"'
    ),
    target_fixture="details",
)
def _(client: OpenFeatureClient, key: str, default: str) -> FlagEvaluationDetails[Any]:
    return Question("String", key, default).ask(client)


@when(
    parsers.parse(
        'a string flag with key "{key}" is evaluated as an integer, with details and a fallback value {default:d}'
    ),
    target_fixture="details",
)
def _(client: OpenFeatureClient, key: str, default: int) -> FlagEvaluationDetails[Any]:
    return Question("Integer", key, default).ask(client)


@when(
    parsers.re(r'context contains keys (?P<names>"\w+"(, "\w+")*) with values (?P<values>.*)'), target_fixture="context"
)
def _(names: str, values: str) -> dict[str, Any]:
    return dict(zip(json.loads(f"[{names}]"), json.loads(f"[{values}]"), strict=True))


@when(parsers.parse('a flag with key "{key}" is evaluated with default value "{default}"'), target_fixture="question")
def _(key: str, default: str, context: dict[str, Any]) -> Question:
    return Question("String", key, default, context)


@then(parsers.parse('the resolved string response should be "{value}"'))
def _(client: OpenFeatureClient, question: Question, value: str) -> None:
    assert question.ask(client).value == value


@then(parsers.parse('the resolved flag value is "{value}" when the context is empty'))
def _(client: OpenFeatureClient, question: Question, value: str) -> None:
    assert Question("String", question.key, question.default).ask(client).value == value


@then(parsers.re(r'the resolved (?P<kind>boolean|string|integer|float) value should be "?(?P<value>[^"]*)"?'))
def _(details: FlagEvaluationDetails[Any], kind: str, value: str) -> None:
    assert details.value == PARSE[kind.capitalize()](value)


@then(
    parsers.re(
        r'the resolved (?P<kind>\w+) details value should be "?(?P<value>[^"]*)"?, '
        r'the variant should be "(?P<variant>[^"]*)", and the reason should be "(?P<reason>[^"]*)"'
    )
)
def _(details: FlagEvaluationDetails[Any], kind: str, value: str, variant: str, reason: str) -> None:
    right = (PARSE[kind.capitalize()](value), variant, Reason[reason])
    assert (details.value, details.variant, details.reason) == right


@then(
    parsers.re(
        r'the resolved object (details )?value should be contain fields (?P<names>"\w+", "\w+", and "\w+"), '
        r'with values "(?P<first>\w+)", (?P<others>"[^"]*" and \d+), respectively'
    )
)
def _(details: FlagEvaluationDetails[Any], names: str, first: str, others: str) -> None:
    values = [PARSE["Boolean"](first), *json.loads(f"[{others.replace(' and ', ', ')}]")]
    assert details.value == dict(zip(json.loads(f"[{names.replace(', and ', ', ')}]"), values, strict=True))


@then(parsers.re(r'the variant should be "(?P<variant>[^"]*)", and the reason should be "(?P<reason>[^"]*)"'))
def _(details: FlagEvaluationDetails[Any], variant: str, reason: str) -> None:
    assert (details.variant, details.reason) == (variant, Reason[reason])


@then(parsers.re(r"the default (?P<kind>string|integer) value should be returned"))
def _(details: FlagEvaluationDetails[Any], kind: str) -> None:
    assert details.value == {"string": "uh-oh", "integer": 13}[kind]


@then(parsers.re(r'the reason should indicate an error and the error code should indicate a .* with "(?P<code>\w+)"'))
def _(details: FlagEvaluationDetails[Any], code: str) -> None:
    assert details.reason == Reason.ERROR
    assert details.error_code is not None
    assert details.error_code.value == code
