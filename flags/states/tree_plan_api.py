"""The endpoint that plans a move or a deletion of an organization."""

from __future__ import annotations

from typing import Any, ClassVar

from drf_spectacular.utils import OpenApiExample, PolymorphicProxySerializer, extend_schema
from rest_framework.request import Request
from rest_framework.response import Response

from flags.states.deletion_planning import asked_lately, of_deletion
from flags.states.move_planning import ids_known_to, known_to, of_move
from flags.states.plan_figures import Figures, figures, jobs_under_way
from flags.states.plan_serializers import (
    DELETION_TO_PLAN,
    GOING,
    MAX_FLAGS,
    MOVE_TO_PLAN,
    MOVED,
    DeletionPlanSerializer,
    MovePlanSerializer,
    TreeChangeInput,
)
from flags.states.planning import custom_values_of
from orgs.access.caller import Caller
from orgs.access.endpoints import Endpoint
from orgs.access.models import Role
from orgs.access.visible_organizations import (
    find_visible_organization,
    visible_organizations,
    watch_visible_organization,
)
from orgs.idempotency.stored_answers import idempotent
from orgs.tree import authorized_operations
from orgs.tree.admin_sections import PlannedMove
from orgs.tree.models import Organization
from orgs.tree.paths import path_names_of
from orgs.tree.references import Reference


class PlanOfTreeChange(Endpoint):
    """The plan of a move or a deletion."""

    roles: ClassVar = {"POST": Role.READER}

    @extend_schema(
        operation_id="planTreeChange",
        summary="Plan a move or a deletion of an organization",
        request=TreeChangeInput,
        responses=PolymorphicProxySerializer(
            "TreeChangePlan", [MovePlanSerializer, DeletionPlanSerializer], resource_type_field_name=None
        ),
        examples=[
            OpenApiExample("Plan a move", value=MOVE_TO_PLAN, request_only=True),
            OpenApiExample("Plan a deletion", value=DELETION_TO_PLAN, request_only=True),
            OpenApiExample("A move", value=MOVED, response_only=True),
            OpenApiExample("A deletion", value=GOING, response_only=True),
        ],
        tags=["organizations"],
    )
    @idempotent
    def post(self, request: Request, organization: Reference) -> Response:
        """What a move does to the values of flags and to locks, or which settings go in a deletion.

        Nothing is written.
        """
        find_visible_organization(self.caller, organization)  # otherwise nobody learns what the body lacks
        values = TreeChangeInput.read(request)
        with watch_visible_organization(self.caller, organization, values.get("parent")) as found:
            if "delete" in values:
                authorized_operations.check_deletion(self.caller, found, subtree=values["subtree"])
                return Response(planned_deletion(self.caller, found))
            parent_id = authorized_operations.check_move(self.caller, found, values["parent"])
            parent = Organization.objects.get(pk=parent_id) if parent_id is not None else None
            return Response(planned_move(PlannedMove(self.caller, found, parent, values["materialise"])))


def planned_deletion(caller: Caller, organization: Organization) -> dict[str, Any]:
    """Return the plan of a deletion with everything below as JSON, for a caller who may make it."""
    subtree = organization.subtree
    plan = of_deletion(subtree)
    visible = ids_known_to(caller, [each.flag_id for each in plan.flags])
    known = [each for each in plan.flags if each.flag_id in visible]
    totals = {name: sum(getattr(each, name) for each in known) for name in ("locks", "exemptions")}
    answer: dict[str, Any] = {
        "changed": plan.changed, "settings": sum(each.sets for each in known), **totals, "flags": known[:MAX_FLAGS],
        "askedLast7Days": asked_lately(subtree), "hash": plan.hash,
    }  # fmt: skip
    context = {"figures": Figures({}, jobs_under_way(caller, subtree, None))}
    return dict(DeletionPlanSerializer(answer, context=context).data)


def planned_move(planned: PlannedMove) -> dict[str, Any]:
    """Return the plan of a move as JSON, for a caller who may make it."""
    caller, subtree = planned.caller, planned.organization.subtree
    plan = of_move(subtree, planned.parent.pk if planned.parent else None, keeps_values=planned.keeps_values)
    known = known_to(caller, plan.affected)
    listed = known[:MAX_FLAGS]
    samples = [part for each in listed for part in each.samples]
    context = {
        "figures": figures(caller, subtree, plan.changes, None),
        "paths": path_names_of({part.organization_id for part in samples}, top_id=caller.organization_id),
        "custom": custom_values_of(samples),
    }
    answer: dict[str, Any] = {
        "organizations": subtree.size,
        "changed": plan.changed,
        "unchanged": plan.unchanged,
        "flagsAffected": len(known),
        "flags": listed,
        "locksGained": _locks(caller, {each.flag.key: each.lock_gained for each in known}),
        "locksLost": _locks(caller, {each.flag.key: each.lock_lost for each in known}),
        "hash": plan.hash,
    }
    return dict(MovePlanSerializer(answer, context=context).data)


def _locks(caller: Caller, locks: dict[str, int | None]) -> list[dict[str, Any]]:
    """Return the flags whose locks begin or cease to decide, with the organizations that the caller may see."""
    ids = {organization_id for organization_id in locks.values() if organization_id is not None}
    visible = set(visible_organizations(caller).filter(pk__in=ids).values_list("pk", flat=True)) if ids else set()
    return [
        {"flag_key": key, "organization_id": organization_id if organization_id in visible else None}
        for key, organization_id in sorted(locks.items())
        if organization_id is not None
    ]
