"""The gathering of events into one message, and its words."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import UTC
from typing import Any

from jobs.notifications.models import Event

SHOWN = 20
"""How many events a message shows; it counts all of them."""


def gathered(before: Mapping[str, Any], more: list[Event]) -> dict[str, Any]:
    """Return the gathered events with some more: their number by name, and the first of them."""
    counts = dict(before.get("counts", {}))
    first = list(before.get("first", []))
    for event in more:
        counts[event.name] = counts.get(event.name, 0) + 1
        if len(first) < SHOWN:
            first.append(_shown(event))
    return {"counts": counts, "first": first}


def words(events: Mapping[str, Any]) -> tuple[str, str]:
    """Return the subject and the text of the message about these events."""
    counts, first = events["counts"], events["first"]
    total = sum(counts.values())
    if total == 1:
        return f"Flagsite: {first[0]['text']}"[:200], _line(first[0])
    listed = ", ".join(f"{name} {count:,}" for name, count in sorted(counts.items()))
    lines = [_line(event) for event in first]
    if total > len(first):
        lines.append(f"… and {total - len(first):,} more.")
    return f"Flagsite: {total:,} events: {listed}"[:200], "\n".join(lines)


def _line(event: Mapping[str, Any]) -> str:
    time = str(event["happenedAt"]).replace("T", " ").partition(".")[0].removesuffix("Z")
    return f"{time} UTC  {event['text']}"


def _shown(event: Event) -> dict[str, Any]:
    return {
        "event": event.name,
        "subject": event.subject,
        "organizationId": event.organization_id,
        "text": event.text,
        "details": event.details,
        "happenedAt": event.happened_at.astimezone(UTC).isoformat().replace("+00:00", "Z"),
    }
