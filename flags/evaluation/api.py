"""The endpoints that evaluate a flag and explain the result."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, ClassVar

from drf_spectacular.utils import extend_schema
from rest_framework.request import Request
from rest_framework.response import Response

from flags.definitions.api import NAME
from flags.definitions.visible_flags import find_visible_flag
from flags.errors import TargetingKeyMissing
from flags.evaluation import explain
from flags.evaluation.engine import EvaluationContext
from flags.evaluation.explain import Checked, PathEntry
from flags.evaluation.serializers import (
    LONGEST_BODY,
    CheckedSerializer,
    ExplainedSerializer,
    ExplainQuestion,
    ExplainQuestionInQuery,
    Question,
    QuestionInQuery,
    StepSerializer,
)
from flags.history.moments import find_moment
from flags.history.past_explanation import explain_then
from flagsite.core.db.snapshot import snapshot
from orgs.access.caller import Caller
from orgs.access.endpoints import TakesLongBodies
from orgs.access.models import Role
from orgs.access.visible_organizations import find_visible_organization
from orgs.errors import OrganizationAmbiguous
from orgs.idempotency.stored_answers import idempotent
from orgs.tree.references import KEY_PREFIX


class Check(TakesLongBodies):
    """Evaluate a flag."""

    roles: ClassVar = {"GET": Role.CLIENT, "POST": Role.CLIENT}
    longest_body = LONGEST_BODY

    @extend_schema(
        operation_id="checkFlag",
        summary="Evaluate a flag for a user of an organization",
        parameters=[NAME, QuestionInQuery],
        responses=CheckedSerializer,
        tags=["definitions"],
    )
    @snapshot()
    def get(self, request: Request, name: str) -> Response:
        """Whether the flag is on, the rule that decided, and the organization on which the value was set."""
        return _check_response(_check(self.caller, name, QuestionInQuery.read(request)))

    @extend_schema(
        operation_id="checkFlagByBody",
        summary="Evaluate a flag, with the evaluation context in the body",
        request=Question,
        parameters=[NAME],
        responses=CheckedSerializer,
        tags=["definitions"],
    )
    @idempotent
    @snapshot()
    def post(self, request: Request, name: str) -> Response:
        """Like GET, but the targeting key is not part of the URL, so that it does not appear in logs."""
        return _check_response(_check(self.caller, name, Question.read(request)))


class Explain(TakesLongBodies):
    """Explain the evaluation of a flag."""

    roles: ClassVar = {"GET": Role.READER, "POST": Role.READER}
    longest_body = LONGEST_BODY

    @extend_schema(
        operation_id="explainFlag",
        summary="Explain the evaluation of a flag",
        parameters=[NAME, ExplainQuestionInQuery],
        responses=ExplainedSerializer,
        tags=["definitions"],
    )
    @snapshot()
    def get(self, request: Request, name: str) -> Response:
        """Every step of the decision, and the value that was set on each organization of the path."""
        return _explain_response(self.caller, name, ExplainQuestionInQuery.read(request))

    @extend_schema(
        operation_id="explainFlagByBody",
        summary="Explain the evaluation of a flag, with the evaluation context in the body",
        request=ExplainQuestion,
        parameters=[NAME],
        responses=ExplainedSerializer,
        tags=["definitions"],
    )
    @idempotent
    @snapshot()
    def post(self, request: Request, name: str) -> Response:
        """Like GET, but the targeting key is not part of the URL, so that it does not appear in logs."""
        return _explain_response(self.caller, name, ExplainQuestion.read(request))


def _check(caller: Caller, name: str, question: dict[str, Any]) -> Checked:
    attributes = question.get("attributes", {})
    context = EvaluationContext(question.get("user_id") or None, question.get("environment") or None, attributes)
    organization_id = _organization_id(caller, question)
    for_client = caller.role is Role.CLIENT
    return explain.check(key=name, organization_id=organization_id, context=context, for_client=for_client)


def _organization_id(caller: Caller, question: dict[str, Any]) -> int | None:
    """Return the organization of the question, or else the caller's own. A caller without a scope has none.

    Raises OrganizationNotFound, and OrganizationAmbiguous if the question names two organizations.
    """
    named = [question["organization"]] if "organization" in question else []
    if organization_key := question.get("organization_key"):
        named.append(f"{KEY_PREFIX}{organization_key}")
    found = {find_visible_organization(caller, reference).pk for reference in named}
    if len(found) > 1:
        raise OrganizationAmbiguous("organizationId and organizationKey name two organizations. Send one of them.")
    return found.pop() if found else caller.organization_id


def _check_response(checked: Checked) -> Response:
    return Response(CheckedSerializer(checked).data)


def _explain_response(caller: Caller, name: str, question: dict[str, Any]) -> Response:
    find_visible_flag(caller, name)
    try:
        if "at" in question:
            return _explain_then(caller, name, question)
        checked = _check(caller, name, question)
    except TargetingKeyMissing as error:
        error.members["steps"] = StepSerializer(error.steps, many=True).data
        raise
    path = explain.explain_path(checked, top_id=caller.organization_id)
    return _explained(caller, checked, path)


def _explain_then(caller: Caller, name: str, question: dict[str, Any]) -> Response:
    attributes = question.get("attributes", {})
    context = EvaluationContext(question.get("user_id") or None, question.get("environment") or None, attributes)
    organization_id = _organization_id(caller, question)
    moment = find_moment(caller, question["at"])
    past = explain_then(caller, key=name, organization_id=organization_id, context=context, moment=moment)
    return _explained(caller, past.checked, past.path, past=past)


def _explained(caller: Caller, checked: Checked, path: Sequence[PathEntry], **others: Any) -> Response:
    context = {"path": path, "is_bound": caller.organization_id is not None, **others}
    return Response(ExplainedSerializer(checked, context=context).data)
