"""The gathering of events into one message, and its words."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import UTC
from typing import Any

from flagsite.core.site_address import whole_address
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


def words(events: Mapping[str, Any], *, with_addresses: bool = True) -> tuple[str, str]:
    """Return the subject and the text of the message about these events, with the addresses of their pages."""
    counts, first = events["counts"], events["first"]
    total = sum(counts.values())
    if total == 1:
        return f"Flagsite: {first[0]['text']}"[:200], _lines(first[0], with_addresses=with_addresses)
    listed = ", ".join(f"{name} {count:,}" for name, count in sorted(counts.items()))
    lines = [_lines(event, with_addresses=with_addresses) for event in first]
    if total > len(first):
        lines.append(f"… and {total - len(first):,} more.")
    return f"Flagsite: {total:,} events: {listed}"[:200], "\n".join(lines)


def only_address(events: Mapping[str, Any]) -> str:
    """Return the address of the page that these events are about; empty if there are several events, or no page."""
    first = events.get("first", [])
    return str(first[0].get("url") or "") if sum(events.get("counts", {}).values()) == 1 else ""


def _lines(event: Mapping[str, Any], *, with_addresses: bool) -> str:
    """Return the event as a line, and the address of its page as another."""
    time = str(event["happenedAt"]).replace("T", " ").partition(".")[0].removesuffix("Z")
    address = f"\n  {event['url']}" if with_addresses and event.get("url") else ""
    return f"{time} UTC  {event['text']}{address}"


def _shown(event: Event) -> dict[str, Any]:
    return {
        "event": event.name,
        "subject": event.subject,
        "organizationId": event.organization_id,
        "text": event.text,
        "url": whole_address(event.page) if event.page else None,
        "details": event.details,
        "happenedAt": event.happened_at.astimezone(UTC).isoformat().replace("+00:00", "Z"),
    }
