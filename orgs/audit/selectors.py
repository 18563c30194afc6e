"""The audit entries that a caller may see, and the filters that all channels have in common."""

from __future__ import annotations

from datetime import datetime

from django.db.models import Q, QuerySet
from django.db.models.fields.json import KeyTextTransform

from orgs.access.caller import Caller
from orgs.access.visible_organizations import visible_organizations
from orgs.audit.models import AuditEntry

Entries = QuerySet[AuditEntry]
MAX_NAMED = 50
"""Organizations whose names have the words of a search."""
MAX_FEW = 2_000
"""Up to so many entries, a search finds their ids first."""


def visible_entries(caller: Caller) -> Entries:
    """Return the audit entries that the caller may see. With a scope, these are the entries about its organizations."""
    entries: Entries = AuditEntry.objects.all()
    if caller.organization_id is None:
        return entries
    return entries.filter(organization_id__in=visible_organizations(caller).values("pk"))


def matching(
    entries: Entries,
    *,
    flag: str = "",
    organization_id: int | None = None,
    actor: str = "",
    action: str = "",
    subject: str = "",
    channel: str = "",
    correlation_id: str = "",
    since: datetime | None = None,
    until: datetime | None = None,
) -> Entries:
    """Return the entries that match all given filters, newest first.

    `actor` is an actor such as "user:alice"; "alice" means the person. `subject` may be its first word, such as
    "key:4fG6aB". `flag` also finds the scheduled changes of a flag.
    """
    if flag:
        entries = about_flag(entries, flag)
    if organization_id is not None:
        entries = entries.filter(organization_id=organization_id)
    if actor:
        entries = entries.filter(actor__in=[actor] if ":" in actor else [actor, f"user:{actor}"])
    if action:
        entries = entries.filter(action=action)
    if subject:
        entries = entries.filter(Q(subject=subject) | Q(subject__startswith=f"{subject} "))
    if channel:
        entries = entries.filter(via=channel)
    if correlation_id:
        entries = entries.filter(correlation_id=correlation_id)
    if since is not None:
        entries = entries.filter(at__gte=since)
    if until is not None:
        entries = entries.filter(at__lt=until)
    return entries.order_by("-id")


def about_flag(entries: Entries, key: str) -> Entries:
    """Return the entries about a flag itself, its values on organizations and its scheduled changes."""
    named = Q(details__has_key="flag", flag_name=key)  # has_key is the condition of the index audit_by_flag
    return entries.alias(flag_name=KeyTextTransform("flag", "details")).filter(Q(subject=f"flag:{key}") | named)


def named(entries: Entries, caller: Caller, term: str) -> Entries:
    """Return the entries that a plain name finds, in the order of `entries`.

    The name may be that of a flag, of a person, of an organization or a part of it, of a subject such as "job:17" or
    its first word, or a correlation id. A name that belongs to several of them finds the entries about each. Makes two
    queries.
    """
    organizations = visible_organizations(caller).filter(Q(key=term) | Q(name__icontains=term))
    ids = list(organizations.order_by("pk").values_list("pk", flat=True)[:MAX_NAMED])
    subjects = [term, *(f"{kind}:{term}" for kind in ("flag", "user", "organization", "queue", "schedule"))]
    found = entries.alias(flag_name=KeyTextTransform("flag", "details")).filter(
        Q(subject__in=subjects)
        | Q(subject__startswith=f"{term} ")
        | Q(correlation_id=term)
        | Q(actor__in=[term, f"user:{term}"])
        | Q(details__has_key="flag", flag_name=term)
        | Q(organization_id__in=ids)
    )
    # PostgreSQL would walk the whole table in the order of a page to find a few entries; without an order it asks the
    # indexes. Many entries are found soon in the order of the page.
    few = list(found.order_by().values_list("pk", flat=True)[: MAX_FEW + 1])
    return entries.filter(pk__in=few) if len(few) <= MAX_FEW else found
