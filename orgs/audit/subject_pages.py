"""The pages of what an audit entry names, such as a flag. Other apps register theirs here."""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterable, Mapping
from urllib.parse import urlencode

from django.urls import reverse

from orgs.access.caller import Caller
from orgs.audit.sentence_parts import Part

FindPages = Callable[[Collection[str], Caller], Mapping[str, str]]
"""A function that returns the addresses of those pages that the caller may see, by key, with one query."""
finders: dict[str, FindPages] = {}
"""The functions by the kind of the part that they find pages for, such as "flag"."""


def addresses_of(parts: Iterable[Part], caller: Caller) -> dict[tuple[str, str], str]:
    """Return the address of the page of each named thing, by its kind and key, with one query for each kind.

    A person's page is the audit log with what the person did.
    """
    keys: dict[str, set[str]] = {}
    for part in parts:
        keys.setdefault(part.kind, set()).add(part.key)
    found = {("organization", key): reverse("admin:orgs_organization_change", args=[key]) for key in
             keys.get("organization", ())}  # fmt: skip
    log = reverse("admin:orgs_auditentry_changelist")
    found |= {("user", key): f"{log}?{urlencode({'by': f'user:{key}'})}" for key in keys.get("user", ())}
    for kind, find in finders.items():
        if kind in keys:
            found |= {(kind, key): address for key, address in find(keys[kind], caller).items()}
    return found
