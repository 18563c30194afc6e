"""Flagsite's own cases of evaluation.feature with npm's server client."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
from openfeature.evaluation_context import EvaluationContext
from openfeature.exception import ErrorCode
from openfeature.flag_evaluation import FlagEvaluationDetails, FlagEvaluationOptions, Reason
from openfeature.provider import ProviderStatus
from pytest_bdd import scenarios

from flagsite.tests.openfeature import javascript_clients
from flagsite.tests.openfeature.served import Served

pytestmark = pytest.mark.slow
scenarios("evaluation.feature")


class NodeClient:
    """Asks as the Python client does, by a node process for each question."""

    def __init__(self, packages: Path, flagsite: Served) -> None:
        self._packages = packages
        self._flagsite = flagsite

    def get_provider_status(self) -> ProviderStatus:
        """A process that starts is ready, or fails."""
        return ProviderStatus.READY

    def get_boolean_details(self, *asked: Any) -> FlagEvaluationDetails[Any]:
        return self._ask("boolean", *asked)

    def get_string_details(self, *asked: Any) -> FlagEvaluationDetails[Any]:
        return self._ask("string", *asked)

    def get_integer_details(self, *asked: Any) -> FlagEvaluationDetails[Any]:
        return self._ask("number", *asked)

    def get_float_details(self, *asked: Any) -> FlagEvaluationDetails[Any]:
        return self._ask("number", *asked)

    def get_object_details(self, *asked: Any) -> FlagEvaluationDetails[Any]:
        return self._ask("object", *asked)

    def _ask(
        self, kind: str, flag: str, default: Any, context: EvaluationContext, options: FlagEvaluationOptions | None
    ) -> FlagEvaluationDetails[Any]:
        question = {"type": kind, "flag": flag, "default": default, "context": context.attributes}
        (answer,) = javascript_clients.ask(self._packages, self._flagsite.url, self._flagsite.key, question)
        return FlagEvaluationDetails(
            answer["flagKey"], answer["value"], answer.get("variant"), answer["flagMetadata"],
            Reason(answer["reason"]), ErrorCode(answer["errorCode"]) if "errorCode" in answer else None,
        )  # fmt: skip


@pytest.fixture(scope="module")
def client(defined: Served) -> NodeClient:
    return NodeClient(javascript_clients.installed(), defined)
