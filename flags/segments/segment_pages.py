"""The pages of the segments that audit entries name."""

from __future__ import annotations

from collections.abc import Collection

from django.urls import reverse

from flags.segments.selectors import visible_segments
from orgs.access.caller import Caller


def find(keys: Collection[str], caller: Caller) -> dict[str, str]:
    """Return the addresses of the pages of those segments that the caller may see, by key."""
    segments = visible_segments(caller).filter(key__in=keys).values_list("key", "pk")
    return {key: reverse("admin:flags_segment_change", args=[pk]) for key, pk in segments}
