"""Which flags and segments use a segment, and which segments rules may name."""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from django.apps import apps
from django.db import connection

from flags.definitions.chains import find_circle, levels, reversed_edges
from flags.errors import InvalidSegment, SegmentCycle, UnknownSegment
from flags.segments.loader import NAMED
from flags.segments.models import Segment
from flags.targeting.segments import MAX_LEVELS, keys_named_in

USING_FLAGS = f"""
SELECT key, archived, uses.named
  FROM flags_flag, LATERAL (
       SELECT array_agg(DISTINCT value #>> '{{}}') AS named
         FROM jsonb_path_query(targeting_rules, '{NAMED}') value) uses
 WHERE NOT purging AND uses.named && %(keys)s::text[]
 ORDER BY key
"""  # noqa: S608 - no input in it


@dataclass(frozen=True, slots=True)
class UsingFlag:
    """A flag whose rules ask for a segment: themselves, or by way of the segments `through`."""

    key: str
    archived: bool
    through: Sequence[str] = ()


@dataclass(frozen=True, slots=True)
class UsingSegment:
    """A segment whose rules ask for another one: themselves, or by way of the segments `through`."""

    key: str
    through: Sequence[str] = ()


@dataclass(frozen=True, slots=True)
class Uses:
    """The flags and the segments that use a segment. Archived flags are among them, since they can come back.

    `schedules` has the ids of the open scheduled changes whose new rules ask for the segment.
    """

    flags: Sequence[UsingFlag]
    segments: Sequence[UsingSegment]
    schedules: Sequence[int] = ()

    @property
    def live_flags(self) -> list[str]:
        """The keys of the flags that are not archived."""
        return [flag.key for flag in self.flags if not flag.archived]

    @property
    def in_words(self) -> str:
        """Name those that use it themselves: "the flags a and b and the segment c"."""
        named = [f"the flag {flag.key}" for flag in self.flags if not flag.through]
        named += [f"the segment {segment.key}" for segment in self.segments if not segment.through]
        named += [f"the scheduled change {number}" for number in self.schedules]
        return " and ".join([", ".join(named[:-1]), named[-1]] if named[1:] else named)


def uses_of(key: str) -> Uses:
    """Return what uses a segment, sorted by key. The paths `through` other segments are the shortest."""
    users = reversed_edges(load_edges())
    through: dict[str, tuple[str, ...]] = {key: ()}
    level = [key]
    while level:
        following: list[str] = []
        for one in level:
            for user in sorted(users.get(one, ())):
                if user not in through:
                    through[user] = () if one == key else (one, *through[one])
                    following.append(user)
        level = following
    flags = []
    for name, archived, named in using_flags(through):
        nearest = min((one for one in named if one in through), key=lambda one: (_distance(one, key, through), one))
        flags.append(UsingFlag(name, archived, () if nearest == key else (nearest, *through[nearest])))
    segments = [UsingSegment(one, path) for one, path in sorted(through.items()) if one != key]
    return Uses(flags, segments, _using_schedules(key))


def _using_schedules(key: str) -> list[int]:
    waiting = apps.get_model("flags", "FlagSchedule").objects.open().filter(wanted__has_key="rules").order_by("pk")
    return [pk for pk, wanted in waiting.values_list("pk", "wanted") if key in keys_named_in(wanted["rules"])]


def _distance(one: str, key: str, through: Mapping[str, Sequence[str]]) -> int:
    return 0 if one == key else 1 + len(through[one])


def using_flags(keys: Collection[str]) -> list[tuple[str, bool, list[str]]]:
    """Return the flags whose rules name one of these segments: key, whether it is archived, all segments named."""
    with connection.cursor() as cursor:
        cursor.execute(USING_FLAGS, {"keys": list(keys)})
        return list(cursor.fetchall())


def check_named(rules: Any) -> None:
    """Check that the segments exist that the rules of a flag name. The caller holds the definitions' lock.

    Raises UnknownSegment.
    """
    named = keys_named_in(rules)
    missing = sorted(named - set(Segment.objects.filter(key__in=named).values_list("key", flat=True))) if named else []
    if missing:
        raise UnknownSegment(
            f"There is no segment {', '.join(map(repr, missing))}. Create it first, or correct the clause `inSegment`."
        )


def check_nesting(key: str, rules: Any) -> None:
    """Check that the segment `key`, new or not, may have these rules. The caller holds the definitions' lock.

    Raises UnknownSegment; SegmentCycle with the circle; InvalidSegment if a chain of segments would be too long.
    """
    named = sorted(keys_named_in(rules))
    if key in named:
        raise SegmentCycle(f"A segment cannot contain itself: {key} -> {key}.")
    check_named(rules)
    if not named:
        return
    edges = load_edges()
    circle = find_circle(key, named, edges)
    if circle:
        raise SegmentCycle(f"Segments cannot contain each other in a circle: {' -> '.join(circle)}.")
    depth = 1 + levels(key, {**edges, key: named}, MAX_LEVELS) + levels(key, reversed_edges(edges), MAX_LEVELS)
    if depth > MAX_LEVELS:
        raise InvalidSegment(
            f"Segments may be nested {MAX_LEVELS} deep at most, and those of {key} would be {depth} deep."
        )


def load_edges() -> dict[str, list[str]]:
    """Return the segments that each segment names, by key."""
    return {
        key: sorted(keys_named_in(rules)) for key, rules in Segment.objects.order_by("key").values_list("key", "rules")
    }
