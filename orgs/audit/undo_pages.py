"""The page that undoes what an audit entry tells, if there is one. Other apps register the functions that know it."""

from __future__ import annotations

from collections.abc import Callable

from orgs.access.caller import Caller
from orgs.audit.models import AuditEntry

finders: list[Callable[[AuditEntry, Caller], str | None]] = []
"""Functions that return the address of the page for an entry, None if the caller cannot undo what it tells."""


def address_of(entry: AuditEntry, caller: Caller) -> str | None:
    """Return the address of the page that undoes what the entry tells."""
    return next((address for find in finders if (address := find(entry, caller))), None)
