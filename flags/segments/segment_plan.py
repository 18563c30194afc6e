"""Plans of changes of segments: which flags would answer otherwise, and where. Nothing is written."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from hashlib import sha256
from typing import Any

from flags.definitions import prerequisites
from flags.definitions.definition_plan import FieldChange, asked_organizations
from flags.definitions.models import Flag
from flags.segments.fields import FIELDS
from flags.segments.models import Segment
from flags.segments.uses import Uses, uses_of
from flags.states.placed_settings import count_organizations


@dataclass(frozen=True, slots=True)
class SegmentPlan:
    """What a change of a segment would do.

    `flags` are those whose rules ask for the segment, themselves or by way of other segments, and `needed_by` those
    that need such a flag. `changed` is the most organizations in which users may get another answer. `keys_added` and
    `keys_removed` are numbers of targeting keys of both lists.
    """

    organizations: int
    changed: int
    fields: Sequence[FieldChange]
    flags: Sequence[str]
    segments: Sequence[str]
    needed_by: Sequence[str]
    keys_added: int
    keys_removed: int
    hash: str
    segment: Segment

    @property
    def is_estimate(self) -> bool:
        """Whether `changed` is an upper bound: nobody knows which users there are."""
        return self.changed > 0

    @property
    def unchanged(self) -> int:
        """The number of organizations that get the same answers."""
        return self.organizations - self.changed

    def moved_since(self, known: str) -> list[str]:
        """Say in sentences what has changed since a plan with the hash `known`."""
        version = known.partition("-")[0]
        if version != str(self.segment.version):
            return [f"The segment has another version now: {self.segment.version}."]
        return ["The plan was made for another request, or a flag or a segment that it depends on has changed."]


def of_change(segment: Segment, before: Mapping[str, Any], changed: Mapping[str, Any]) -> SegmentPlan:
    """Return the plan of changing a segment. `before` has all its fields, and `changed` the new values."""
    uses = uses_of(segment.key)
    decides = any(FIELDS[name].decides for name in changed)
    flags = uses.live_flags if decides else []
    total = count_organizations()
    reached = _count_reached(flags, total)
    lists = [(set(before[name]), set(changed.get(name, before[name]))) for name in ("included", "excluded")]
    return SegmentPlan(
        organizations=total,
        changed=reached,
        fields=[FieldChange(name, before[name], value) for name, value in changed.items()],
        flags=flags,
        segments=[each.key for each in uses.segments] if decides else [],
        needed_by=sorted({key for flag in flags for key in prerequisites.all_that_need(flag)} - set(flags)),
        keys_added=sum(len(after - former) for former, after in lists),
        keys_removed=sum(len(former - after) for former, after in lists),
        hash=_hash(segment, changed, uses, reached),
        segment=segment,
    )


def _count_reached(flags: Sequence[str], total: int) -> int:
    """Return the most organizations in which the rules of one of the flags count."""
    reached = 0
    for flag in Flag.objects.filter(key__in=flags).order_by("key"):
        if reached >= total:
            break
        reached += asked_organizations(flag, total)
    return min(reached, total)


def _hash(segment: Segment, changed: Mapping[str, Any], uses: Uses, reached: int) -> str:
    """Return a hash over the request and what its effect depends on. Its beginning tells the segment's version."""
    named = [flag.key for flag in uses.flags], [each.key for each in uses.segments]
    versions = list(Flag.objects.filter(key__in=named[0]).order_by("key").values_list("pk", "version"))
    content = repr([segment.revision, sorted(changed.items()), named, versions, reached])
    return f"{segment.version}-{sha256(content.encode()).hexdigest()[:32]}"
