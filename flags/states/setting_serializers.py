"""Settings of flags on organizations in JSON."""

from __future__ import annotations

from typing import Any, ClassVar

from django.utils import timezone
from drf_spectacular.utils import OpenApiExample, extend_schema_serializer
from rest_framework import serializers
from rest_framework.exceptions import ValidationError

from flags.states.choices import NAMES, ONE_OF, Choice
from flags.states.organization_settings import SettingOfFlag, SettingOnOrganization
from flags.states.planning import Agreed
from flags.states.serializers import CHANGE_NUMBER
from flags.states.setting_rules import LIVE_KINDS, Below
from flags.states.value_fields import ENABLED, VALUE, VARIANT, JsonValue, ShownValueFields
from flagsite.core import example_names as names
from flagsite.core.api.agreed_serializers import AgreedInput
from flagsite.core.api.input import QuerySerializer, StrictBoolean, Text, WriteInput
from flagsite.core.api.times import Time

HERE, BELOW = "here", "below"
LOCKED = {
    "organizationId": names.OSLO_ID,
    "featureFlag": names.FLAG,
    "enabled": False,
    "variant": "off",
    "value": False,
    "sourceOrganizationId": names.OSLO_ID,
    "inherited": False,
    "setting": {
        "kind": "lock",
        "enabled": False,
        "variant": "off",
        "value": False,
        "reach": BELOW,
        "changeNumber": 12,
        "requestedBy": names.KEY_ACTOR,
        "reason": "The till is broken.",
        "createdAt": "2026-11-30T09:59:47.723168Z",
        "expiresAt": None,
    },
    "locked": True,
    "lockedBy": names.OSLO_ID,
    "masked": {"settings": 2},
    "exemptFrom": None,
    "exemptUntil": None,
}
STARTED = LOCKED | {
    "changeNumber": 12,
    "settingsEnded": 0,
    "processedImmediately": False,
    "jobId": 5,
    "trackingUrl": "/job-status/5",
}
WRITTEN = STARTED | {"processedImmediately": True, "jobId": None, "trackingUrl": None}
KEEP_IN_OSLO = {"value": True, "below": "keep", "reason": "The pilot begins."}
LOCK_IN_OSLO = {"value": False, "below": "lock", "atMost": 100, "reason": "The till is broken."}


def _in_future(time: Any) -> Any:
    if time is not None and time <= timezone.now():
        raise ValidationError("This time has passed. Write a time in the future.")
    return time


def _check_reach(values: dict[str, Any]) -> None:
    if values.get("reach") == HERE and values.get("below", Below.KEEP) != Below.KEEP:
        raise ValidationError({"reach": ["A value that counts here only goes with `below: keep`."]})


def _check_choice(values: dict[str, Any]) -> None:
    if sum(name in values for name in NAMES) != 1:
        raise ValidationError({"value": [ONE_OF]})


@extend_schema_serializer(
    component_name="Setting",
    examples=[OpenApiExample("Keep", value=KEEP_IN_OSLO), OpenApiExample("Lock", value=LOCK_IN_OSLO)],
)
class SettingInput(AgreedInput):
    """A setting of a flag on an organization: exactly one of `value`, `variant` and `enabled`."""

    combinations: ClassVar = {"oneOf": [{"required": [name]} for name in NAMES]}

    value = JsonValue(required=False, help_text=VALUE)
    variant = Text(required=False, max_length=255, help_text=VARIANT)
    enabled = StrictBoolean(required=False, help_text=ENABLED)
    below = serializers.ChoiceField(
        [each.value for each in Below],
        default=Below.KEEP.value,
        help_text="What happens to the settings below. `keep`: they count before this one. `overwrite`: they end. "
        "`lock`: they do not count until this lock is gone, and nobody can set or reset the flag below.",
    )
    reach = serializers.ChoiceField(
        [BELOW, HERE], default=BELOW, help_text="`here`: the value counts for this organization only."
    )
    expiresAt = Time(required=False, allow_null=True, help_text="When the setting ends by itself.")

    def validate_expiresAt(self, value: Any) -> Any:  # noqa: N802 - the wire's name
        return _in_future(value)

    def validate(self, attrs: dict[str, Any]) -> dict[str, Any]:
        _check_reach(attrs)
        _check_choice(attrs)
        return attrs

    @classmethod
    def arguments(cls, values: dict[str, Any]) -> dict[str, Any]:
        """Return the arguments of `flags.states.set_flag.set_flag_on` for validated values."""
        return {
            "agreed": Agreed(values.pop("atMost", None), values.pop("planHash", "")),
            "choice": Choice.among(values),
            "below": Below(values["below"]),
            "only_here": values["reach"] == HERE,
            "expires_at": values.get("expiresAt"),
        }


@extend_schema_serializer(
    component_name="SettingToPlan",
    examples=[OpenApiExample("Set", value={"value": True}), OpenApiExample("Reset", value={"reset": True})],
)
class PlanInput(WriteInput):
    """What to plan: a setting, as PUT takes it, or with `reset` the reset that DELETE makes."""

    combinations: ClassVar = {"anyOf": [{"required": [name]} for name in (*NAMES, "reset")]}

    value = JsonValue(required=False, help_text=VALUE)
    variant = Text(required=False, max_length=255, help_text=VARIANT)
    enabled = StrictBoolean(required=False, help_text=ENABLED)
    below = serializers.ChoiceField([each.value for each in Below], default=Below.KEEP.value)
    reach = serializers.ChoiceField([BELOW, HERE], default=BELOW)
    expiresAt = Time(required=False, allow_null=True)
    reset = StrictBoolean(default=False, help_text="Plan a reset to the inherited value.")
    subtree = StrictBoolean(default=False, help_text="The reset ends the settings below too.")

    def validate(self, attrs: dict[str, Any]) -> dict[str, Any]:
        _check_reach(attrs)
        if not attrs["reset"]:
            _check_choice(attrs)
        elif any(name in attrs for name in NAMES):
            raise ValidationError({"value": ["Send either a value, or reset: true."]})
        return attrs


@extend_schema_serializer(
    component_name="Exemption",
    examples=[OpenApiExample("For a week", value={"expiresAt": "2030-01-31T09:00:00Z", "reason": "A pilot."})],
)
class ExemptionInput(WriteInput):
    """An exemption from the lock that holds for the organization."""

    expiresAt = Time(required=False, allow_null=True, help_text="When the exemption ends by itself.")

    def validate_expiresAt(self, value: Any) -> Any:  # noqa: N802 - the wire's name
        return _in_future(value)


class ResetOptions(QuerySerializer):
    """The query of a reset."""

    subtree = serializers.BooleanField(default=False, help_text="Whether the settings below end too.")
    atMost = serializers.IntegerField(
        required=False, min_value=0, help_text="Refuse the request if more organizations would get another value."
    )
    planHash = serializers.CharField(required=False, max_length=200, help_text="The hash of a plan.")


class OwnSettingSerializer(ShownValueFields):
    """The setting that was made on an organization itself."""

    kind = serializers.ChoiceField(LIVE_KINDS, source="setting.kind")
    reach = serializers.SerializerMethodField(help_text="`here`: the value counts for this organization only.")
    changeNumber = serializers.IntegerField(source="setting.number", help_text=CHANGE_NUMBER)
    requestedBy = serializers.CharField(source="setting.requested_by")
    reason = serializers.CharField(source="setting.reason")
    createdAt = serializers.DateTimeField(source="setting.created_at")
    expiresAt = serializers.DateTimeField(source="setting.expires_at", allow_null=True)

    def get_reach(self, own: SettingOfFlag) -> str:
        return HERE if own.setting.only_here else BELOW


class MaskedSerializer(serializers.Serializer[SettingOnOrganization]):
    """What a lock masks."""

    settings = serializers.IntegerField(
        source="masked", help_text="The number of settings at and below the organization that do not count."
    )


@extend_schema_serializer(component_name="SettingOnOrganization", examples=[OpenApiExample("A lock", value=LOCKED)])
class SettingSerializer(ShownValueFields):
    """A flag on an organization: its own setting, and what holds by all settings on the path.

    `enabled`, `variant` and `value` are null if the settings decide nothing, so that the flag's default counts.
    """

    organizationId = serializers.IntegerField(source="organization_id")
    featureFlag = serializers.CharField(source="flag_key")
    sourceOrganizationId = serializers.IntegerField(
        source="source_id", allow_null=True, help_text="The organization whose setting decides."
    )
    inherited = serializers.BooleanField()
    setting = OwnSettingSerializer(allow_null=True, help_text="Null: nothing is set on the organization itself.")
    locked = serializers.BooleanField(source="is_locked", help_text="Whether a lock decides.")
    lockedBy = serializers.IntegerField(
        source="locked_by",
        allow_null=True,
        help_text="The organization with this lock. Null: no lock decides, or your key does not see the organization.",
    )
    masked = MaskedSerializer(source="*")
    exemptFrom = serializers.IntegerField(
        source="exempt_from",
        allow_null=True,
        help_text="The organization from whose lock this one is exempt. Null: none, or your key does not see it.",
    )
    exemptUntil = serializers.DateTimeField(source="exempt_until", allow_null=True)


@extend_schema_serializer(
    component_name="SettingChanged",
    examples=[
        OpenApiExample("A leaf", value=WRITTEN),
        OpenApiExample("A parent", value=STARTED, status_codes=[202]),
    ],
)
class SettingChangedSerializer(SettingSerializer):
    """The flag on the organization after a change. The context has the accepted change."""

    changeNumber = serializers.IntegerField(allow_null=True, help_text=f"{CHANGE_NUMBER} Null: nothing was to do.")
    settingsEnded = serializers.IntegerField(help_text="The number of settings below that the change has ended.")
    processedImmediately = serializers.BooleanField(help_text="Whether everything is written.")
    jobId = serializers.IntegerField(allow_null=True, help_text="The job that writes the organizations below.")
    trackingUrl = serializers.CharField(allow_null=True)

    def to_representation(self, instance: SettingOnOrganization) -> dict[str, Any]:
        return SettingSerializer(instance).data | self.context["change"]
