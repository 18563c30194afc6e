"""Audit entries as pages show them: as sentences with links, and the entries of one operation together."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import timedelta

from django.utils.html import format_html, format_html_join
from django.utils.safestring import SafeString

from orgs.access.caller import Caller
from orgs.audit import undo_pages, words
from orgs.audit.models import AuditEntry
from orgs.audit.sentence_parts import Part, Parts
from orgs.audit.subject_pages import addresses_of

LONGEST_PAUSE = timedelta(minutes=10)
"""Entries of one operation are so close together. A client may send the same correlation id again later."""
SUMMARIES = ("organizations.import", "jobs.bulk", "deliveries.replay")
"""Actions whose entry stands for the others of its operation. Otherwise the newest entry does."""


@dataclass(slots=True)
class PageEntry:
    """An audit entry on a page, its sentence as HTML, and the other entries of its operation, newest first."""

    entry: AuditEntry
    where: str
    changes: Sequence[str]
    html: SafeString
    undo_address: str | None = None
    """The address of the page that undoes what the entry tells, if the person may do this."""
    others: list[PageEntry] = field(default_factory=list)


def on_page(entries: Iterable[AuditEntry], caller: Caller) -> list[PageEntry]:
    """Return the entries as pages show them, each by itself, with as many queries for many as for few."""
    shown = words.shown(entries, caller)
    addresses = addresses_of((part for one in shown for part in one.parts), caller)
    return [
        PageEntry(
            one.entry, one.where, one.changes, _sentence(one.parts, addresses), undo_pages.address_of(one.entry, caller)
        )
        for one in shown
    ]  # fmt: skip


def by_operation(entries: Iterable[AuditEntry], caller: Caller) -> list[PageEntry]:
    """Return `on_page` of entries that come newest first, with one for each operation.

    Entries belong to one operation if they have the same actor, channel and correlation id, and lie close together.
    """
    operations: list[list[PageEntry]] = []
    latest: dict[tuple[str, str, str], list[PageEntry]] = {}
    for one in on_page(entries, caller):
        entry = one.entry
        key = (entry.correlation_id, entry.actor, entry.via)
        operation = latest.get(key) if entry.correlation_id else None
        if operation is not None and operation[-1].entry.at - entry.at <= LONGEST_PAUSE:
            operation.append(one)
        else:
            latest[key] = operation = [one]
            operations.append(operation)
    return [_headed(operation) for operation in operations]


def _headed(operation: list[PageEntry]) -> PageEntry:
    head = next((one for action in SUMMARIES for one in operation if one.entry.action == action), operation[0])
    head.others = [one for one in operation if one is not head]
    return head


def _sentence(parts: Parts, addresses: Mapping[tuple[str, str], str]) -> SafeString:
    return format_html_join("", "{}", ((_html(part, addresses.get((part.kind, part.key))),) for part in parts))


def _html(part: Part, address: str | None) -> SafeString | str:
    if not part.kind:
        return part.text
    if address is None:
        return format_html('<strong title="{}">{}</strong>', part.hint, part.text)
    return format_html('<a class="fs-name" href="{}" title="{}">{}</a>', address, part.hint, part.text)
