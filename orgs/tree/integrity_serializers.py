"""The check of the tree in JSON."""

from __future__ import annotations

from drf_spectacular.utils import OpenApiExample, extend_schema_serializer
from rest_framework import serializers

from flagsite.core import example_names as names
from orgs.tree.integrity import MAX_PROBLEMS_PER_KIND, TreeProblem
from orgs.tree.tree_operations import TreeCheck

PROBLEM = {"kind": "level", "organizationId": names.OSLO_ID, "key": names.OSLO, "words": "has level 3, not 4"}
SOUND = {"sound": True, "organizations": 5270, "counts": {}, "problems": [], "repairedOrganizations": None,
         "countsAfterRepair": None}  # fmt: skip
DAMAGED = SOUND | {"sound": False, "counts": {"level": 1}, "problems": [PROBLEM]}
REPAIRED = DAMAGED | {"sound": True, "repairedOrganizations": 1, "countsAfterRepair": {}}


class TreeProblemSerializer(serializers.Serializer[TreeProblem]):
    """A problem of one organization."""

    kind = serializers.CharField(help_text="tree, level, start, end, or cycle, which no repair can solve.")
    organizationId = serializers.IntegerField(source="organization_id")
    key = serializers.CharField()
    words = serializers.CharField(help_text="The problem, as the end of a sentence that begins with the key.")


@extend_schema_serializer(
    examples=[
        OpenApiExample("No problems", value=SOUND),
        OpenApiExample("A problem", value=DAMAGED),
        OpenApiExample("After the repair", value=REPAIRED),
    ]
)
class TreeCheckSerializer(serializers.Serializer[TreeCheck]):
    """A check of the tree: what it has found, and what a repair has left."""

    sound = serializers.BooleanField(source="after.sound", help_text="Whether the tree has no problems now.")
    organizations = serializers.IntegerField(source="before.organizations", help_text="The checked organizations.")
    counts = serializers.DictField(
        child=serializers.IntegerField(), source="before.counts", help_text="The number of problems of each kind."
    )
    problems = TreeProblemSerializer(
        many=True, source="before.problems", help_text=f"The first {MAX_PROBLEMS_PER_KIND:,} problems of each kind."
    )
    repairedOrganizations = serializers.IntegerField(
        source="repaired", allow_null=True, help_text="Null if nothing had to be repaired, or should be."
    )
    countsAfterRepair = serializers.SerializerMethodField(help_text="What is left; null without a repair.")

    def get_countsAfterRepair(self, check: TreeCheck) -> dict[str, int] | None:  # noqa: N802 - the wire's name
        return None if check.repaired is None else check.after.counts
