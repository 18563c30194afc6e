"""Input and output of the organizations' endpoints."""

from __future__ import annotations

from typing import Any, ClassVar

from drf_spectacular.utils import OpenApiExample, extend_schema_serializer
from rest_framework import serializers
from rest_framework.exceptions import ValidationError
from rest_framework.request import Request

from flagsite.core import example_names as names
from flagsite.core.api.agreed_serializers import AgreedInput
from flagsite.core.api.combinations import at_least_one
from flagsite.core.api.input import QuerySerializer, StrictBoolean, Text, WriteInput
from orgs.tree.agreed_deletions import AgreedDeletion
from orgs.tree.models import ORGANIZATION_KEY, Organization
from orgs.tree.move_options import KeptValue, MoveOptions
from orgs.tree.reference_fields import HOW_TO_NAME, ReferenceInBody, ReferenceInQuery
from orgs.tree.references import Reference

OSLO = {
    "id": names.OSLO_ID,
    "key": names.OSLO,
    "name": "Oslo",
    "parentId": names.NORWAY_ID,
    "depth": 4,
    "hasChildren": False,
    "descendantCount": 0,
    "createdAt": "2026-11-23T09:59:47.384019Z",
    "updatedAt": "2026-11-23T09:59:47.384019Z",
}
FROGNER = OSLO | {"id": 5271, "key": names.NEW_STORE, "name": "Frogner", "parentId": names.OSLO_ID, "depth": 5}


@extend_schema_serializer(
    examples=[OpenApiExample("A store", value={"name": "Frogner", "key": names.NEW_STORE, "parentId": names.OSLO})]
)
class NewOrganization(WriteInput):
    """The body of POST /organizations."""

    name = Text(max_length=255, help_text="Shown to people.")
    key = Text(
        max_length=255,
        trim_whitespace=False,
        validators=[ORGANIZATION_KEY],
        help_text="Stable, unique name in your own systems. It cannot be changed.",
    )
    parentId = ReferenceInBody(
        source="parent",
        required=False,
        allow_null=True,
        default=None,
        help_text=f"{HOW_TO_NAME} Null or absent: the organization is a root.",
    )


OF_MOVE = ("materialise", "atMost", "planHash")
MATERIALISE = (
    "Keep the values that the organization has now: where the new place would give it another value of a flag, the old "
    "one becomes a setting of its own. A lock at the new place decides all the same."
)


@extend_schema_serializer(
    examples=[OpenApiExample("A new name and place", value={"name": "Oslo City", "parentId": names.NORTHERN_EUROPE_ID})]
)
class OrganizationChanges(AgreedInput):
    """The body of PATCH /organizations/{id}. `materialise`, `atMost` and `planHash` belong to a move."""

    combinations: ClassVar = {
        "anyOf": [{"required": ["parentId"]}, {"required": ["name"], "not": at_least_one(*OF_MOVE)}]
    }

    name = Text(max_length=255, required=False, help_text="The new name.")
    parentId = ReferenceInBody(
        source="parent",
        required=False,
        allow_null=True,
        help_text=f"The new parent. {HOW_TO_NAME} Null makes the organization a root.",
    )
    materialise = StrictBoolean(required=False, help_text=MATERIALISE)

    def validate(self, attrs: dict[str, Any]) -> dict[str, Any]:
        if not attrs.keys() & {"name", "parent"}:
            raise ValidationError("Nothing to change: send name, parentId or both.")
        return with_options(attrs)


def with_options(values: dict[str, Any]) -> dict[str, Any]:
    """Return the validated values of a move with `options`. Raises ValidationError if there is no new parent."""
    given = {name: values.pop(name) for name in OF_MOVE if name in values}
    if given and "parent" not in values:
        raise ValidationError({next(iter(given)): ["This belongs to a move. Send it with parentId."]})
    if given:
        values["options"] = MoveOptions(given.get("materialise", False), given.get("atMost"), given.get("planHash", ""))
    return values


class ParentFilter(ReferenceInQuery):
    """An organization, or `root` for organizations without a parent."""

    def run_validation(self, data: Any = serializers.empty) -> Reference | None:  # type: ignore[override]
        return None if data == "root" else super().run_validation(data)


class OrganizationFilters(QuerySerializer):
    """The query of GET /organizations."""

    key = serializers.CharField(required=False, max_length=255, trim_whitespace=False, help_text="Exactly this key.")
    parent = ParentFilter(
        required=False, help_text=f"The parent. {HOW_TO_NAME} Or `root` for organizations without a parent."
    )
    name = serializers.CharField(
        required=False,
        max_length=255,
        trim_whitespace=False,
        help_text="Part of the name; upper and lower case are the same.",
    )


class ExportFilters(QuerySerializer):
    """The query of GET /v1/organizations/csv."""

    below = ReferenceInQuery(required=False, help_text=f"The top of the part to write. {HOW_TO_NAME}")


class DeletionOptions(QuerySerializer):
    """The query of DELETE /organizations/{id}."""

    subtree = serializers.ChoiceField(
        ["true", "false"], default="false", help_text="Whether to delete everything below it too."
    )
    atMost = serializers.IntegerField(
        required=False, min_value=0, help_text="Refuse the request if more organizations would go."
    )
    planHash = serializers.CharField(required=False, max_length=200, help_text="The hash of a plan.")

    def validate_subtree(self, value: str) -> bool:
        return value == "true"

    @classmethod
    def arguments(cls, request: Request) -> dict[str, Any]:
        """Return the arguments of `orgs.tree.authorized_operations.delete` for a request."""
        values = cls.read(request)
        return {
            "subtree": values["subtree"],
            "agreed": AgreedDeletion(values.get("atMost"), values.get("planHash", "")),
        }


@extend_schema_serializer(examples=[OpenApiExample("A store", value=OSLO)])
class OrganizationSerializer(serializers.Serializer[Organization]):
    """An organization."""

    id = serializers.IntegerField()
    key = serializers.CharField()
    name = serializers.CharField()
    parentId = serializers.IntegerField(source="parent_id", allow_null=True)
    depth = serializers.IntegerField(source="level", help_text="0 for a root.")
    hasChildren = serializers.BooleanField(source="has_children")
    descendantCount = serializers.IntegerField(
        source="descendant_count", read_only=True, help_text="The number of organizations below it."
    )
    createdAt = serializers.DateTimeField(source="created_at")
    updatedAt = serializers.DateTimeField(source="updated_at")


DELETION = {
    "jobId": names.WAITING_JOB_ID,
    "trackingUrl": f"/job-status/{names.WAITING_JOB_ID}",
    "message": "A job deletes the organization with everything below it",
}


@extend_schema_serializer(examples=[OpenApiExample("A deletion", value=DELETION, status_codes=[202])])
class ChangeStartedSerializer(serializers.Serializer[dict[str, Any]]):
    """The answer if a job carries out a change of many organizations."""

    jobId = serializers.IntegerField()
    trackingUrl = serializers.CharField(help_text="The status of the job.")
    message = serializers.CharField()


class KeptValueSerializer(serializers.Serializer[KeptValue]):
    """A value of a flag that a moved organization has kept as a setting of its own."""

    featureFlag = serializers.CharField(source="flag_key")
    value = serializers.BooleanField(source="enabled")
    counts = serializers.BooleanField(
        help_text="False: a lock at the new place decides, and the setting counts when this lock is gone."
    )


@extend_schema_serializer(examples=[OpenApiExample("A new store", value=FROGNER | {"jobs": [], "materialised": []})])
class PlacedOrganizationSerializer(OrganizationSerializer):
    """An organization that was just created, renamed or moved."""

    jobs = serializers.ListField(
        child=serializers.IntegerField(),
        source="placement_jobs",
        help_text="Jobs that write the inherited flag states to the subtree; often none is needed.",
    )
    materialised = KeptValueSerializer(
        many=True, source="kept_values", help_text="The values that a move with `materialise` has kept."
    )
