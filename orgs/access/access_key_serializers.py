"""Input and output of the endpoints of access keys."""

from __future__ import annotations

from datetime import datetime, timedelta
from typing import Any

from django.core.validators import RegexValidator
from drf_spectacular.utils import OpenApiExample, extend_schema_field, extend_schema_serializer
from rest_framework import serializers

from flagsite.core import example_names as names
from flagsite.core.api.input import QuerySerializer, Text, WriteInput
from flagsite.core.api.times import Time
from orgs.access import access_keys, key_plans
from orgs.access.key_plans import MAX_SHOWN, KeyPlans, PlannedChange
from orgs.access.models import AccessKey, Role
from orgs.errors import InvalidKeyName
from orgs.tree.reference_fields import HOW_TO_NAME, ReferenceInBody, ReferenceInQuery

NIGHTLY = {
    "prefix": names.KEY_PREFIX,
    "name": names.KEY_NAME,
    "role": "editor",
    "organizationId": names.NORWAY_ID,
    "state": "valid",
    "createdAt": "2026-11-23T09:59:47.384019Z",
    "expiresAt": None,
    "lastUsedAt": "2026-11-29T20:15:02.120481Z",
    "replacedBy": None,
}
CREATED = NIGHTLY | {"lastUsedAt": None, "key": f"{names.KEY_PREFIX}.t5WOl50LOfIDxeVaiWomeLBeidrWVB1"}
PLANS = {
    "count": 1,
    "changes": [
        {
            "id": names.PLANNED_ID,
            "description": f"{names.FLAG}: on",
            "organizationId": names.OSLO_ID,
            "plannedAt": "2030-01-31T08:00:00Z",
        }
    ],
}
SECONDS = timedelta(seconds=1)
STATES = ("valid", "expired", "revoked")


@extend_schema_serializer(
    examples=[
        OpenApiExample(
            "For one customer",
            value={"name": names.KEY_NAME, "role": "editor", "organizationId": names.NORWAY, "reason": "CRM-812"},
        )
    ]
)
class NewAccessKey(WriteInput):
    """The body of POST /v1/access-keys."""

    name = Text(
        max_length=access_keys.MAX_NAME_LENGTH,
        trim_whitespace=False,
        validators=[RegexValidator(rf"\A{access_keys.NAME_PATTERN}\Z", InvalidKeyName().detail)],
        help_text="The purpose of the key.",
    )
    role = serializers.ChoiceField(Role.choices, default=Role.READER.value, help_text="Not more than your own role.")
    organizationId = ReferenceInBody(
        source="organization",
        required=False,
        allow_null=True,
        default=None,
        help_text=f"The key sees this organization and everything below. {HOW_TO_NAME} Null or absent: everything.",
    )
    expiresAt = Time(
        source="expires", required=False, allow_null=True, default=None, help_text="Null or absent: never."
    )

    def validate_role(self, value: str) -> Role:
        return Role(value)


@extend_schema_serializer(examples=[OpenApiExample("Two days for both keys", value={"overlapSeconds": 172_800})])
class Rotation(WriteInput):
    """The body of POST /v1/access-keys/{prefix}/rotate."""

    overlapSeconds = serializers.IntegerField(
        source="overlap",
        min_value=0,
        max_value=access_keys.MAX_OVERLAP // SECONDS,
        default=access_keys.DEFAULT_OVERLAP // SECONDS,
        help_text="For this time the former key stays valid too. 0: it ends at once.",
    )
    expiresAt = Time(
        source="expires",
        required=False,
        allow_null=True,
        default=None,
        help_text="When the new key expires. Null or absent: it is valid for as long as the former key was at first.",
    )

    def validate_overlapSeconds(self, value: int) -> timedelta:  # noqa: N802 - the name in JSON
        return timedelta(seconds=value)


class AccessKeyFilters(QuerySerializer):
    """The query of GET /v1/access-keys. A key has to match all filters."""

    role = serializers.ChoiceField(Role.choices, required=False)
    organizationId = ReferenceInQuery(
        source="organization_id", required=False, help_text=f"Keys for exactly this organization. {HOW_TO_NAME}"
    )


@extend_schema_serializer(examples=[OpenApiExample("A key", value=NIGHTLY)])
class AccessKeySerializer(serializers.Serializer[AccessKey]):
    """An access key without its secret part."""

    prefix = serializers.CharField(help_text="The beginning of the key, up to the dot. It names the key.")
    name = serializers.CharField()
    role = serializers.ChoiceField(Role.choices)
    organizationId = serializers.IntegerField(source="organization_id", allow_null=True)
    state = serializers.SerializerMethodField()
    createdAt = serializers.DateTimeField(source="created")
    expiresAt = serializers.DateTimeField(source="expiry_date", allow_null=True)
    lastUsedAt = serializers.SerializerMethodField(help_text="To the minute. Null: the key was never used.")
    replacedBy = serializers.SerializerMethodField(help_text="The prefix of the key's successor after a rotation.")

    def get_state(self, key: AccessKey) -> str:
        return access_keys.state_of(key)

    def get_lastUsedAt(self, key: AccessKey) -> datetime | None:  # noqa: N802 - the name in JSON
        last = access_keys.last_used_at(key)
        field = serializers.DateTimeField()
        return field.to_representation(last) if last else None

    def get_replacedBy(self, key: AccessKey) -> str | None:  # noqa: N802
        return key.successor.prefix if key.successor else None


@extend_schema_serializer(examples=[OpenApiExample("A new key", value=CREATED)])
class CreatedAccessKeySerializer(AccessKeySerializer):
    """An access key that was just created, with the key itself. The context needs `secret`."""

    key = serializers.SerializerMethodField(
        help_text="The key, which Flagsite shows only now. Null if Flagsite repeats an answer for an "
        "`Idempotency-Key`, because it does not store the key. Then rotate or revoke the key."
    )

    def get_key(self, _: AccessKey) -> str | None:
        secret: Any = self.context["secret"]
        return secret if secret is None else str(secret)


class PlannedChangeSerializer(serializers.Serializer[PlannedChange]):
    """A scheduled change of an access key."""

    id = serializers.IntegerField(help_text="The id of the scheduled change.")
    description = serializers.CharField(help_text="The flag and its new value.")
    organizationId = serializers.IntegerField(
        source="organization_id", allow_null=True, help_text="Null: the change concerns a definition."
    )
    plannedAt = serializers.DateTimeField(source="planned_at")


class KeyPlansSerializer(serializers.Serializer[KeyPlans]):
    """The scheduled changes of an access key: their number, and the next ones of them."""

    count = serializers.IntegerField()
    changes = PlannedChangeSerializer(many=True, help_text=f"At most {MAX_SHOWN}, the next ones first.")


class FormerKeySerializer(serializers.Serializer[AccessKey]):
    """An access key that is still valid beside its successor."""

    prefix = serializers.CharField()
    expiresAt = serializers.DateTimeField(source="expiry_date", help_text="The end of the overlap.")


class WithFormerKeys(AccessKeySerializer):
    """An access key with the keys that stay valid although somebody revokes it."""

    formerKeys = serializers.SerializerMethodField(
        help_text="The keys whose place this one took by a rotation, and that are valid until their overlap ends."
    )

    @extend_schema_field(FormerKeySerializer(many=True))
    def get_formerKeys(self, key: AccessKey) -> Any:  # noqa: N802 - the name in JSON
        return FormerKeySerializer(access_keys.former_keys(key), many=True).data


@extend_schema_serializer(
    examples=[OpenApiExample("A key with a plan", value=NIGHTLY | {"formerKeys": [], "plannedChanges": PLANS})]
)
class AccessKeyWithPlansSerializer(WithFormerKeys):
    """An access key with its open scheduled changes, which end if somebody revokes the key."""

    plannedChanges = serializers.SerializerMethodField()

    @extend_schema_field(KeyPlansSerializer)
    def get_plannedChanges(self, key: AccessKey) -> Any:  # noqa: N802 - the name in JSON
        return KeyPlansSerializer(key_plans.planned_by(key.prefix)).data


@extend_schema_serializer(
    examples=[
        OpenApiExample("A revoked key", value=NIGHTLY | {"state": "revoked", "formerKeys": [], "endedChanges": PLANS})
    ]
)
class RevokedAccessKeySerializer(WithFormerKeys):
    """An access key that was revoked now. The context needs `ended`: the scheduled changes that ended with it."""

    endedChanges = serializers.SerializerMethodField()

    @extend_schema_field(KeyPlansSerializer)
    def get_endedChanges(self, _: AccessKey) -> Any:  # noqa: N802 - the name in JSON
        return KeyPlansSerializer(self.context["ended"]).data
