"""What a change notification does to the caches of a process: which of their contents it replaces or removes."""

from __future__ import annotations

from collections.abc import Callable

from django.db import connection

from flags.serving.cache_events import (
    AccessKeyChanged,
    AttributeChanged,
    CacheEvent,
    EverythingOf,
    OrganizationMoved,
    StatesRewritten,
    StatesWritten,
)
from flags.serving.evaluation_cache import EvaluationCache


def apply_events_to(cache: EvaluationCache, clear_access_keys: Callable[[], None]) -> Callable[[CacheEvent], None]:
    """Return the function that applies an event to the evaluation cache and to the access key cache of a process."""

    def apply(event: CacheEvent) -> None:
        if isinstance(event, StatesWritten | StatesRewritten | OrganizationMoved | AttributeChanged):
            cache.notify(event)
        elif event is EverythingOf.DEFINITIONS:
            cache.reload_definitions()
            connection.close()  # the listener's thread rarely needs one
        elif event is EverythingOf.KEYS or isinstance(event, AccessKeyChanged):
            clear_access_keys()
        else:
            cache.clear()

    return apply
