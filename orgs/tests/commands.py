"""Running commands in this process, as an operator called olga."""

from __future__ import annotations

import json
from dataclasses import dataclass
from io import StringIO
from typing import Any

from django.core.management import CommandError, call_command

from flagsite.core.actor import acting
from orgs.audit.models import AuditEntry

OLGA = "command:olga@desk"


@dataclass(frozen=True)
class Ran:
    """What a command printed on standard output, why it refused, and its exit status."""

    out: str
    error: str
    status: int

    @property
    def lines(self) -> list[str]:
        return self.out.splitlines()

    @property
    def document(self) -> Any:
        return json.loads(self.out)


def run(*arguments: object) -> Ran:
    """Run a command; what it says on standard error beside a refusal is pytest's to capture."""
    out, error, status = StringIO(), "", 0
    try:
        with acting("command", actor=OLGA):
            call_command(*map(str, arguments), stdout=out)
    except CommandError as refusal:
        error, status = str(refusal), refusal.returncode
    except SystemExit as end:
        status = int(end.code or 0)
    return Ran(out.getvalue(), error, status)


def audit_entries() -> list[tuple[str, str, str, str, str]]:
    """Who did what to what, why and through which channel; oldest first, without what made the cast."""
    rows = AuditEntry.objects.exclude(action="organization.create").order_by("id")
    return [(row.actor, row.action, row.subject, row.reason, row.via) for row in rows]
