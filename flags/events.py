"""The events of flags that can be told."""

from __future__ import annotations

from jobs.notifications.events import event

SCHEDULE_FAILED = event("schedule.failed", "A scheduled change has failed for good.")
FLAG_CHANGED = event(
    "flag.changed", "A flag was set on an organization of the subtree or above it, or a definition was changed."
)
FLAG_STALE = event("flag.stale", "A flag has become stale: it is unused, settled or expired.", of_all=True)
