"""Finding segments."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from django.db.models import Q, QuerySet

from flags.errors import SegmentNotFound
from flags.segments.models import Segment, check_segment_key
from orgs.access.caller import Caller


def visible_segments(caller: Caller) -> QuerySet[Segment]:
    """Return the segments that the caller may see: all, or none if the caller has a scope.

    Segments name users and organizations of all customers, as the rules of flags do.
    """
    return Segment.objects.all() if caller.organization_id is None else Segment.objects.none()


def find_visible_segment(caller: Caller, key: str) -> Segment:
    """Return the segment with this key if the caller may see it. Raises InvalidSegmentKey, SegmentNotFound."""
    check_segment_key(key)
    segment = visible_segments(caller).filter(key=key).first()
    if segment is None:
        raise SegmentNotFound(f"There is no segment {key!r}.")
    return segment


def matching(segments: QuerySet[Segment], filters: Mapping[str, Any]) -> QuerySet[Segment]:
    """Return the segments that match all filters: `tag`, `owner` and `search`."""
    if "tag" in filters:
        segments = segments.filter(tags__contains=[filters["tag"]])
    if "owner" in filters:
        segments = segments.filter(owner=filters["owner"])
    if "search" in filters:
        text = filters["search"]
        segments = segments.filter(Q(key__icontains=text) | Q(description__icontains=text))
    return segments
