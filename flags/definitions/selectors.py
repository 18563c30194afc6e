"""The search for flags by their definitions."""

from __future__ import annotations

from typing import Any

from django.db.models import Q, QuerySet

from flags.definitions.models import Flag
from flags.insights.staleness import with_staleness


def matching(visible: QuerySet[Flag], filters: dict[str, Any]) -> QuerySet[Flag]:
    """Return the flags that match every filter, which `flags.definitions.serializers.DefinitionFilters` describes."""
    flags = visible.filter(archived=filters["archived"] == "true")
    if "tag" in filters:
        flags = flags.filter(tags__contains=[filters["tag"]])
    if "search" in filters:
        part = filters["search"]
        flags = flags.filter(Q(key__icontains=part) | Q(description__icontains=part))
    if "stale" in filters:
        flags = with_staleness(flags).filter(is_stale=filters["stale"] == "true")
    return flags.filter(**{name: filters[name] for name in ("owner", "kind") if name in filters})
