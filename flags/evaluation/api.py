"""The addresses of check, which evaluates a flag, and explain, which says why."""

from __future__ import annotations

from typing import Any, ClassVar

from drf_spectacular.utils import extend_schema
from rest_framework.request import Request
from rest_framework.response import Response

from flags.definitions.api import NAME
from flags.errors import TargetingKeyMissing
from flags.evaluation import explain
from flags.evaluation.engine import EvaluationContext
from flags.evaluation.explain import Checked
from flags.evaluation.serializers import (
    CheckedSerializer,
    ExplainedSerializer,
    Question,
    QuestionInQuery,
    StepSerializer,
)
from flagsite.core.db.snapshot import snapshot
from orgs.access.caller import Caller
from orgs.access.endpoints import Endpoint
from orgs.access.models import Role
from orgs.access.organizations import find_visible_organization, visible_organizations
from orgs.errors import OrganizationNotFound
from orgs.idempotency.stored_answers import idempotent


class Check(Endpoint):
    """Evaluates a flag."""

    roles: ClassVar = {"GET": Role.READER, "POST": Role.READER}

    @extend_schema(
        operation_id="checkFlag",
        summary="Ask what a flag says to a user of an organization",
        parameters=[NAME, QuestionInQuery],
        responses=CheckedSerializer,
        tags=["definitions"],
    )
    @snapshot()
    def get(self, request: Request, name: str) -> Response:
        """Whether the flag is on, the rule that decided, and where the organization's value comes from."""
        return _checked(_check(self.caller, name, QuestionInQuery.read(request)))

    @extend_schema(
        operation_id="checkFlagByBody",
        summary="Ask what a flag says, with the question in the body",
        request=Question,
        parameters=[NAME],
        responses=CheckedSerializer,
        tags=["definitions"],
    )
    @idempotent
    @snapshot()
    def post(self, request: Request, name: str) -> Response:
        """As GET; a targeting key stays out of addresses and thus out of logs."""
        return _checked(_check(self.caller, name, Question.read(request)))


class Explain(Endpoint):
    """Explains an evaluation."""

    roles: ClassVar = {"GET": Role.READER, "POST": Role.READER}

    @extend_schema(
        operation_id="explainFlag",
        summary="Ask why a flag says what it says",
        parameters=[NAME, QuestionInQuery],
        responses=ExplainedSerializer,
        tags=["definitions"],
    )
    @snapshot()
    def get(self, request: Request, name: str) -> Response:
        """Every step of the decision, and what was set on each organization down to the one that is asked for."""
        return _explained(self.caller, name, QuestionInQuery.read(request))

    @extend_schema(
        operation_id="explainFlagByBody",
        summary="Ask why a flag says what it says, with the question in the body",
        request=Question,
        parameters=[NAME],
        responses=ExplainedSerializer,
        tags=["definitions"],
    )
    @idempotent
    @snapshot()
    def post(self, request: Request, name: str) -> Response:
        """As GET; a targeting key stays out of addresses and thus out of logs."""
        return _explained(self.caller, name, Question.read(request))


def _check(caller: Caller, name: str, asked: dict[str, Any]) -> Checked:
    context = EvaluationContext(asked.get("user_id") or None, asked.get("environment") or None)
    return explain.check(key=name, organization_id=_organization_id(caller, asked), context=context)


def _organization_id(caller: Caller, asked: dict[str, Any]) -> int | None:
    """The organization that is named, else the caller's own; None for a caller without a scope."""
    if organization_key := asked.get("organization_key"):
        found = visible_organizations(caller).filter(key=organization_key).first()
        if found is None:
            raise OrganizationNotFound
        return found.pk
    if "organization_id" in asked:
        return find_visible_organization(caller, asked["organization_id"]).pk
    return caller.organization_id


def _checked(checked: Checked) -> Response:
    return Response(CheckedSerializer(checked).data)


def _explained(caller: Caller, name: str, asked: dict[str, Any]) -> Response:
    try:
        checked = _check(caller, name, asked)
    except TargetingKeyMissing as error:
        error.members["steps"] = StepSerializer(error.steps, many=True).data
        raise
    path = explain.explain_path(checked, top_id=caller.organization_id)
    return Response(ExplainedSerializer(checked, context={"path": path}).data)
