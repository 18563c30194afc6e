"""What the Python client does around an evaluation: hooks, merged contexts, metadata, asynchronous questions.

Flagsite's own cases are in client.feature. Of OpenFeature's copied ones (see `test_evaluation`) all those are run that
are not called evaluation.feature, also files that are new.
"""

from __future__ import annotations

import asyncio
import copy
from collections.abc import Iterator
from typing import Any

import pytest
from openfeature.client import OpenFeatureClient
from openfeature.evaluation_context import EvaluationContext, clear_evaluation_context, set_evaluation_context
from openfeature.flag_evaluation import FlagEvaluationDetails, FlagEvaluationOptions
from openfeature.hook import Hook, HookContext, HookHints
from openfeature.transaction_context import (
    ContextVarsTransactionContextPropagator,
    clear_transaction_context_propagator,
    set_transaction_context,
    set_transaction_context_propagator,
)
from pytest_bdd import given, parsers, scenarios, then, when

from flagsite.tests.openfeature.gherkin.copied import features
from flagsite.tests.openfeature.gherkin.questions import PARSE, Question, Remembering

pytestmark = pytest.mark.slow
scenarios("client.feature")
if OPENFEATURES := features(but=("evaluation.feature",)):
    scenarios(*OPENFEATURES)


class Recording(Hook):
    """Notes which of its stages have run, with what, in a list that several may share."""

    def __init__(self, name: str = "", calls: list[tuple[str, str]] | None = None) -> None:
        self.name = name
        self.calls: list[tuple[str, str]] = [] if calls is None else calls
        self.details: dict[str, FlagEvaluationDetails[Any]] = {}
        self.adds: dict[str, Any] = {}

    def before(self, hook_context: HookContext, hints: HookHints) -> EvaluationContext | None:
        self.calls.append(("before", self.name))
        return EvaluationContext(None, self.adds) if self.adds else None

    def after(self, hook_context: HookContext, details: FlagEvaluationDetails[Any], hints: HookHints) -> None:
        self.calls.append(("after", self.name))
        self.details["after"] = details

    def error(self, hook_context: HookContext, exception: Exception, hints: HookHints) -> None:
        self.calls.append(("error", self.name))

    def finally_after(self, hook_context: HookContext, details: FlagEvaluationDetails[Any], hints: HookHints) -> None:
        self.calls.append(("finally", self.name))
        self.details["finally"] = details


# --- hooks ------------------------------------------------------------------------------------------------------------
@pytest.fixture
def hook(client: OpenFeatureClient) -> Iterator[Recording]:
    """One that the client has for the length of a case."""
    recording = Recording()
    client.add_hooks([recording])
    yield recording
    client.hooks.remove(recording)


@given("a client with added hook")
def _(hook: Recording) -> None:
    assert not hook.calls


@then(parsers.parse('the "{stage}" hook should have been executed'))
def _(hook: Recording, stage: str) -> None:
    assert (stage, "") in hook.calls


@then(parsers.parse('the "{stages}" hooks should be called with evaluation details'))
def _(hook: Recording, stages: str, datatable: list[list[str]]) -> None:
    for stage in stages.split(", "):
        for kind, name, value in datatable[1:]:
            found = getattr(hook.details[stage], name)
            assert found == (None if value == "null" else PARSE[kind.capitalize()](value)), (stage, name)


@given("evaluation options containing specific hooks", target_fixture="hooks")
def _(question: Question) -> list[Recording]:
    calls: list[tuple[str, str]] = []
    hooks = [Recording("first", calls), Recording("second", calls)]
    question.options = FlagEvaluationOptions(hooks=list(hooks))
    return hooks


@when("the flag was evaluated with details using the evaluation options", target_fixture="details")
def _(question: Question, client: OpenFeatureClient) -> FlagEvaluationDetails[Any]:
    return question.ask(client)


@then("the specified hooks should execute during evaluation")
def _(hooks: list[Recording]) -> None:
    assert {stage for stage, _ in hooks[0].calls} == {"before", "after", "finally"}


@then("the hook order should be maintained")
def _(hooks: list[Recording]) -> None:
    assert hooks[0].calls == [
        ("before", "first"), ("before", "second"), ("after", "second"), ("after", "first"), ("finally", "second"),
        ("finally", "first"),
    ]  # fmt: skip


# --- contexts ---------------------------------------------------------------------------------------------------------
@given("an evaluation context with modifiable data", target_fixture="given_context")
def _(question: Question) -> dict[str, Any]:
    question.context |= {"environment": "staging", "list": ["a"]}
    return copy.deepcopy(question.context)


@then("the original evaluation context should remain unmodified")
def _(question: Question, given_context: dict[str, Any]) -> None:
    assert question.context == given_context


class Levels:
    """What each level adds to the context, and what came of it."""

    def __init__(self, client: OpenFeatureClient, provider: Remembering, hook: Recording) -> None:
        self.client = client
        self.provider = provider
        self.hook = hook
        self.entries: dict[str, dict[str, Any]] = {}
        self.order: list[str] = []
        self.details: FlagEvaluationDetails[bool] | None = None

    def add(self, level: str, name: str, value: str) -> None:
        """Add an entry to a level."""
        self.entries.setdefault(level, {})[name] = value

    def ask(self) -> None:
        """Have a flag evaluated with all of them."""
        contexts = {level: EvaluationContext(None, entries) for level, entries in self.entries.items()}
        none = EvaluationContext()
        set_evaluation_context(contexts.get("API", none))
        set_transaction_context(contexts.get("Transaction", none))
        self.client.context = contexts.get("Client", none)
        self.hook.adds = self.entries.get("Before Hooks", {})
        self.details = self.client.get_boolean_details("context-flag", False, contexts.get("Invocation", none))

    @property
    def merged(self) -> EvaluationContext:
        """What went to Flagsite."""
        assert self.provider.context is not None
        return self.provider.context


@pytest.fixture
def levels(client: OpenFeatureClient, provider: Remembering, hook: Recording) -> Iterator[Levels]:
    set_transaction_context_propagator(ContextVarsTransactionContextPropagator())
    yield Levels(client, provider, hook)
    clear_evaluation_context()
    clear_transaction_context_propagator()
    client.context = EvaluationContext()


@given("a stable provider with retrievable context is registered")
def _(levels: Levels) -> None:
    assert levels.client.get_provider_status().name == "READY"


@given(parsers.parse('A context entry with key "{name}" and value "{value}" is added to the "{level}" level'))
def _(levels: Levels, name: str, value: str, level: str) -> None:
    levels.add(level, name, value)


@given("A table with levels of increasing precedence")
def _(levels: Levels, datatable: list[list[str]]) -> None:
    levels.order = [row[0] for row in datatable]


@given(
    parsers.parse(
        'Context entries for each level from API level down to the "{last}" level, '
        'with key "{name}" and value "{value}"'
    )
)
def _(levels: Levels, last: str, name: str, value: str) -> None:
    for level in levels.order[: levels.order.index(last) + 1]:
        levels.add(level, name, level)
    assert value == last


@when("Some flag was evaluated")
def _(levels: Levels) -> None:
    levels.ask()


@then(parsers.parse('The merged context contains an entry with key "{name}" and value "{value}"'))
def _(levels: Levels, name: str, value: str) -> None:
    assert levels.merged.attributes[name] == value


@then(parsers.parse('its value is "{value}"'))
def _(levels: Levels, value: str) -> None:
    assert levels.details is not None
    assert levels.details.value is PARSE["Boolean"](value)


# --- asynchronously ---------------------------------------------------------------------------------------------------
@when("the flag was evaluated with details asynchronously", target_fixture="details")
def _(question: Question, client: OpenFeatureClient) -> FlagEvaluationDetails[Any]:
    return asyncio.run(question.ask_asynchronously(client))


@then("the evaluation should complete without blocking")
def _(details: FlagEvaluationDetails[Any], provider: Remembering) -> None:
    """It was awaited to its end; that the Python provider's request waits within the loop is not Flagsite's to mend."""
    assert details.error_code is None
