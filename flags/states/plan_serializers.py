"""Plans in JSON."""

from __future__ import annotations

from typing import Any, ClassVar

from drf_spectacular.utils import OpenApiExample, extend_schema_field, extend_schema_serializer
from rest_framework import serializers
from rest_framework.exceptions import ValidationError

from flags.definitions.flag_words import value_in_words
from flags.states.deletion_planning import FlagThere
from flags.states.move_planning import FlagInMove
from flags.states.planning import UNREAD, Plan, Sample
from flags.values.variants import is_custom
from flagsite.core import example_names as names
from flagsite.core.api.combinations import exactly_one_form
from flagsite.core.api.input import StrictBoolean, WriteInput
from orgs.tree.reference_fields import HOW_TO_NAME, ReferenceInBody
from orgs.tree.serializers import MATERIALISE, KeptValueSerializer

PLANNED = {
    "organizations": 42,
    "changed": 30,
    "unchanged": 12,
    "own": 3,
    "masked": 0,
    "ended": 0,
    "locked": 0,
    "askedLast7Days": 18,
    "samples": [
        {
            "organizationId": names.OSLO_ID,
            "path": ["Oslo"],
            "organizations": 30,
            "before": True,
            "after": False,
            "beforeVariant": "on",
            "afterVariant": "off",
            "beforeValue": "true",
            "afterValue": "false",
        },
    ],
    "jobsUnderWay": [],
    "planHash": "11-42-3-0f343b0931126a20f133d67c2b018a3b",
}
ASKED = (
    "How many of the organizations that would get another value have asked for the flag in the last 7 days. Null: "
    "there is too much to count."
)
UNDER_WAY = "Open jobs that touch these organizations and flags, of which your key sees the organizations; at most 20."
VALUE = "The value as JSON text; of a long one, the beginning. Null: nothing is set, or there is no value."
VARIANT = "The key of the variant, `custom` for a custom value. Null: there is none."
HASH = "Send it with the change, so that nothing else happens."


class SampleSerializer(serializers.Serializer[Sample]):
    """Organizations of the subtree that get another value together.

    The context has `paths` by organization id, and `custom` values by their numbers.
    """

    organizationId = serializers.IntegerField(
        source="organization_id", help_text="The organization, or the one that they are below."
    )
    path = serializers.SerializerMethodField(help_text="The names on its path that your key may see, root first.")
    organizations = serializers.IntegerField(source="size", help_text="Their number.")
    before = serializers.BooleanField(source="before.enabled", allow_null=True)
    after = serializers.BooleanField(source="after.enabled", allow_null=True)
    beforeVariant = serializers.CharField(source="before.variant", allow_null=True, help_text=VARIANT)
    afterVariant = serializers.CharField(source="after.variant", allow_null=True, help_text=VARIANT)

    beforeValue = serializers.SerializerMethodField(help_text=VALUE)
    afterValue = serializers.SerializerMethodField(help_text=VALUE)

    def get_beforeValue(self, sample: Sample) -> str | None:  # noqa: N802 - the wire's name
        return self._text(sample.before.value, sample.numbers[0])

    def get_afterValue(self, sample: Sample) -> str | None:  # noqa: N802 - the wire's name
        return self._text(sample.after.value, sample.numbers[1])

    def _text(self, value: Any, number: int) -> str | None:
        """Return the value as text. In place of the custom value with this number, `value` is UNREAD."""
        found = self.context["custom"].get(number) if value == UNREAD and is_custom(number) else value
        return None if found is None else value_in_words(found)

    def get_path(self, sample: Sample) -> list[str]:
        return list(self.context["paths"].get(sample.organization_id, []))


class FiguresOfPlan(serializers.Serializer[Any]):
    """What every plan has. The context has `figures`."""

    jobsUnderWay = serializers.SerializerMethodField(help_text=UNDER_WAY)
    planHash = serializers.CharField(source="hash", help_text=HASH)

    def get_jobsUnderWay(self, _: Any) -> list[int]:  # noqa: N802 - the wire's name
        return list(self.context["figures"].jobs)


@extend_schema_serializer(component_name="Plan", examples=[OpenApiExample("A lock", value=PLANNED)])
class PlanSerializer(FiguresOfPlan):
    """What a change would do. Nothing was written."""

    organizations = serializers.IntegerField(
        source="effect.organizations", help_text="The organizations at and below the one of the request."
    )
    changed = serializers.IntegerField(source="effect.changed", help_text="Those that would get another stored value.")
    unchanged = serializers.IntegerField(source="effect.unchanged")
    own = serializers.IntegerField(
        source="effect.own", help_text="Those below with a setting of their own that counts."
    )
    masked = serializers.IntegerField(
        source="effect.masked", help_text="Those below with a setting of their own that a lock keeps from counting."
    )
    ended = serializers.IntegerField(source="effect.ended", help_text="The number of settings below that would end.")
    locked = serializers.IntegerField(source="effect.locked", help_text="Those for which a lock would decide.")
    askedLast7Days = serializers.SerializerMethodField(help_text=ASKED)
    samples = SampleSerializer(many=True, help_text="The first groups of organizations that would get another value.")

    def get_askedLast7Days(self, plan: Plan) -> int | None:  # noqa: N802 - the wire's name
        asked: int | None = self.context["figures"].asked_for(plan.flag.pk)
        return asked


MOVED = {
    "organizations": 42,
    "changed": 30,
    "unchanged": 12,
    "flagsAffected": 1,
    "flags": [
        {
            "featureFlag": names.FLAG, "changed": 30, "unchanged": 12, "own": 3, "masked": 0, "locked": 42,
            "materialised": None, "askedLast7Days": 18, "samples": PLANNED["samples"],
        },
    ],
    "locksGained": [{"featureFlag": names.FLAG, "organizationId": names.NORTHERN_EUROPE_ID}],
    "locksLost": [],
    "jobsUnderWay": [],
    "planHash": "11-42-3-0f343b0931126a20f133d67c2b018a3b",
}  # fmt: skip
MAX_FLAGS = 100


GOING = {
    "organizations": 42,
    "settings": 11,
    "locks": 1,
    "exemptions": 0,
    "flags": [{"featureFlag": names.FLAG, "settings": 11, "locks": 1, "exemptions": 0}],
    "askedLast7Days": 18,
    "jobsUnderWay": [],
    "planHash": "11-42-0-0f343b0931126a20f133d67c2b018a3b",
}


MOVE_TO_PLAN = {"parentId": names.NORTHERN_EUROPE_ID, "materialise": True}
DELETION_TO_PLAN = {"delete": True, "subtree": True}


@extend_schema_field({"type": "boolean", "const": True})
class OnlyTrue(StrictBoolean):
    """A JSON true, and nothing else."""

    def to_internal_value(self, data: Any) -> bool:
        if data is not True:
            raise ValidationError("Send true, or leave it out.")
        return True


@extend_schema_serializer(component_name="TreeChangeToPlan")
class TreeChangeInput(WriteInput):
    """What to plan: a move, as PATCH takes it, or with `delete` the deletion that DELETE makes."""

    combinations: ClassVar = exactly_one_form([["parentId"], ["delete"]], everywhere=["subtree", "materialise"])

    parentId = ReferenceInBody(
        source="parent", required=False, allow_null=True,
        help_text=f"The new parent. {HOW_TO_NAME} Null: a root of its own.",
    )  # fmt: skip
    materialise = StrictBoolean(default=False, help_text=MATERIALISE)
    delete = OnlyTrue(required=False, help_text="Plan a deletion.")
    subtree = StrictBoolean(default=False, help_text="The deletion deletes everything below it too.")

    def validate(self, attrs: dict[str, Any]) -> dict[str, Any]:
        if ("parent" in attrs) == ("delete" in attrs):
            raise ValidationError({"parentId": ["Send either parentId for a move, or delete: true for a deletion."]})
        return attrs


class LockInMoveSerializer(serializers.Serializer[tuple[str, int | None]]):
    """A lock above the organization that begins or ceases to decide in a move."""

    featureFlag = serializers.CharField(source="flag_key")
    organizationId = serializers.IntegerField(
        source="organization_id",
        allow_null=True,
        help_text="The organization with the lock. Null: your key does not see it.",
    )


class FlagInMoveSerializer(serializers.Serializer[FlagInMove]):
    """What a move does to one flag in the moved subtree. The context has `figures` and `paths`."""

    featureFlag = serializers.CharField(source="flag.key")
    changed = serializers.IntegerField(source="effect.changed", help_text="Those that would get another stored value.")
    unchanged = serializers.IntegerField(source="effect.unchanged")
    own = serializers.IntegerField(source="effect.own", help_text="Those below with an own setting that counts there.")
    masked = serializers.IntegerField(
        source="effect.masked", help_text="Those below with an own setting that a lock keeps from counting there."
    )
    locked = serializers.IntegerField(source="effect.locked", help_text="Those for which a lock would decide.")
    materialised = KeptValueSerializer(
        source="kept_value", allow_null=True, help_text="The value that becomes a setting of the organization."
    )
    askedLast7Days = serializers.SerializerMethodField(help_text=ASKED)
    samples = SampleSerializer(many=True, help_text="The first groups of organizations that would get another value.")

    def get_askedLast7Days(self, flag: FlagInMove) -> int | None:  # noqa: N802 - the wire's name
        asked: int | None = self.context["figures"].asked_for(flag.flag.pk)
        return asked


@extend_schema_serializer(component_name="MovePlan", examples=[OpenApiExample("A move", value=MOVED)])
class MovePlanSerializer(FiguresOfPlan):
    """What a move would do. Nothing was written."""

    organizations = serializers.IntegerField(help_text="The organizations that would move.")
    changed = serializers.IntegerField(help_text="Those that would get another value of at least one flag.")
    unchanged = serializers.IntegerField()
    flagsAffected = serializers.IntegerField(help_text="The number of flags with an effect that your key sees.")
    flags = FlagInMoveSerializer(many=True, help_text="These flags; at most 100, those with most changes first.")
    locksGained = LockInMoveSerializer(many=True, help_text="Locks at the new place that would decide.")
    locksLost = LockInMoveSerializer(many=True, help_text="Locks at the former place that would no longer decide.")


class FlagThereSerializer(serializers.Serializer[FlagThere]):
    """What goes of one flag."""

    featureFlag = serializers.CharField(source="key")
    settings = serializers.IntegerField(source="sets", help_text="Without the locks.")
    locks = serializers.IntegerField()
    exemptions = serializers.IntegerField()


@extend_schema_serializer(component_name="DeletionPlan", examples=[OpenApiExample("A deletion", value=GOING)])
class DeletionPlanSerializer(FiguresOfPlan):
    """What goes with the organizations. Nothing was deleted."""

    organizations = serializers.IntegerField(source="changed", help_text="The organizations that would go.")
    settings = serializers.IntegerField(help_text="Their settings of all flags, without the locks.")
    locks = serializers.IntegerField()
    exemptions = serializers.IntegerField()
    flags = FlagThereSerializer(many=True, help_text="The first 100 flags with settings there, by key.")
    askedLast7Days = serializers.IntegerField(
        allow_null=True,
        help_text="How many of the organizations have asked for any flag in the last 7 days. Null: there is too much "
        "to count.",
    )
