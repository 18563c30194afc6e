"""Input and output of the endpoints of people."""

from __future__ import annotations

from typing import Any, ClassVar

from django.contrib.auth.models import User
from drf_spectacular.utils import OpenApiExample, extend_schema_serializer
from rest_framework import serializers

from flagsite.core import example_names as names
from flagsite.core.api.combinations import at_least_one
from flagsite.core.api.input import QuerySerializer, StrictBoolean, Text, WriteInput
from orgs.access.people import ROLES_BY_GROUP, groups_of
from orgs.tree.reference_fields import HOW_TO_NAME, ReferenceInBody, ReferenceInQuery

ALICE = {
    "username": names.PERSON,
    "firstName": "Alice",
    "lastName": "Andersen",
    "email": "alice@example.com",
    "groups": ["operator"],
    "organizationId": names.NORWAY_ID,
    "active": True,
    "superuser": False,
    "lastLoginAt": "2026-11-29T20:15:02.120481Z",
    "createdAt": "2026-11-23T09:59:47.384019Z",
}
NEW = {"username": names.NEW_PERSON, "groups": ["operator"], "organizationId": names.NORWAY, "reason": "New in support"}
BJORN = ALICE | {"username": names.NEW_PERSON, "firstName": "", "lastName": "", "email": "", "lastLoginAt": None}


class PersonFields(WriteInput):
    """The fields of a person that a client writes."""

    firstName = Text(source="first_name", max_length=150, allow_blank=True, required=False)
    lastName = Text(source="last_name", max_length=150, allow_blank=True, required=False)
    email = serializers.EmailField(max_length=254, allow_blank=True, required=False)
    organizationId = ReferenceInBody(
        source="organization",
        required=False,
        allow_null=True,
        help_text=f"The person sees this organization and everything below. {HOW_TO_NAME} Null: everything.",
    )


@extend_schema_serializer(examples=[OpenApiExample("For one customer", value=NEW)])
class NewPerson(PersonFields):
    """The body of POST /v1/people."""

    username = Text(
        max_length=150,
        validators=[User.username_validator],
        help_text="1 to 150 letters, digits and the characters @ . + - _; it cannot be changed here.",
    )

    def get_fields(self) -> dict[str, Any]:
        return {**super().get_fields(), "groups": _groups(required=True)}


@extend_schema_serializer(
    examples=[
        OpenApiExample("Another group", value={"groups": ["admin"]}),
        OpenApiExample("The person has left", value={"active": False, "reason": "Left the company"}),
    ]
)
class PersonChanges(PersonFields):
    """The body of PATCH /v1/people/{username}. A missing field does not change."""

    combinations: ClassVar = at_least_one("groups", "organizationId", "active", "firstName", "lastName", "email")

    active = StrictBoolean(
        source="is_active", required=False, help_text="False: the person cannot sign in, and all sessions end."
    )

    def get_fields(self) -> dict[str, Any]:
        return {**super().get_fields(), "groups": _groups(required=False)}


class PeopleFilters(QuerySerializer):
    """The query of GET /v1/people. A person has to match all filters."""

    group = serializers.ChoiceField(sorted(ROLES_BY_GROUP), source="groups__name", required=False)
    organizationId = ReferenceInQuery(
        source="scope__organization_id",
        required=False,
        help_text=f"People who are bound to exactly this organization. {HOW_TO_NAME}",
    )
    active = serializers.ChoiceField(["true", "false"], source="is_active", required=False)

    def validate_active(self, value: str) -> bool:
        return value == "true"


@extend_schema_serializer(examples=[OpenApiExample("A person", value=ALICE)])
class PersonSerializer(serializers.Serializer[User]):
    """A person who uses the admin site."""

    username = serializers.CharField()
    firstName = serializers.CharField(source="first_name")
    lastName = serializers.CharField(source="last_name")
    email = serializers.CharField()
    groups = serializers.SerializerMethodField()
    organizationId = serializers.SerializerMethodField(help_text="The person's scope. Null: everything.")
    active = serializers.BooleanField(source="is_active")
    superuser = serializers.BooleanField(source="is_superuser")
    lastLoginAt = serializers.DateTimeField(source="last_login", allow_null=True)
    createdAt = serializers.DateTimeField(source="date_joined")

    def get_groups(self, person: User) -> list[str]:
        return groups_of(person)

    def get_organizationId(self, person: User) -> int | None:  # noqa: N802 - the name in JSON
        return person.scope.organization_id if hasattr(person, "scope") else None


@extend_schema_serializer(examples=[OpenApiExample("A new password", value=BJORN | {"password": "q3Jx0aP1b2C3d4E5"})])
class PersonWithPasswordSerializer(PersonSerializer):
    """A person with a new password. The context needs `password`."""

    password = serializers.SerializerMethodField(
        help_text="The new password, which Flagsite shows only now. The person should change it after the first login. "
        "Null if Flagsite repeats an answer for an `Idempotency-Key`, because it does not store the password."
    )

    def get_password(self, _: User) -> str | None:
        password: str = self.context["password"]
        return password


def _groups(*, required: bool) -> serializers.ListField:
    return serializers.ListField(
        child=serializers.ChoiceField(sorted(ROLES_BY_GROUP)),
        max_length=len(ROLES_BY_GROUP),
        required=required,
        help_text="The groups, of which each gives a role. Without a group, the person cannot sign in.",
    )
