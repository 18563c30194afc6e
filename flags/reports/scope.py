"""The organizations of a report: all, or one subtree as it is in the report's snapshot."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from django.db import connection

from jobs.errors import PermanentFailure
from orgs.access.caller import Caller
from orgs.access.models import Role
from orgs.tree.models import Organization
from orgs.tree.subtrees import is_in_subtree

EVERYTHING = "All organizations"
GONE = "The organization of the report does not exist any more."


@dataclass(frozen=True, slots=True)
class ReportScope:
    """The organizations of a report. `organization` is the top of its subtree; None means all organizations."""

    organization: Organization | None = None

    @property
    def organization_id(self) -> int | None:
        return self.organization.pk if self.organization else None

    @property
    def name(self) -> str:
        """The organization with its key, without what is above it: readers of the report may not see that."""
        return f"{self.organization.name} ({self.organization.key})" if self.organization else EVERYTHING

    @property
    def caller(self) -> Caller:
        """A caller who sees these organizations and no others."""
        return Caller("report", Role.ADMIN, self.organization_id)

    def join(self, column: str) -> str:
        """Return SQL that leaves the rows whose column has the id of an organization of the report."""
        if self.organization is None:
            return ""
        return f"JOIN orgs_organization below ON below.id = {column} AND {is_in_subtree('below')}"

    def condition(self, organization: str) -> str:
        """Return a condition: the organization, a table or an alias, is one of the report."""
        return "TRUE" if self.organization is None else is_in_subtree(organization)

    def rows(self, statement: str, **parameters: Any) -> list[tuple[Any, ...]]:
        """Return the rows of a statement, which may contain `join`."""
        with connection.cursor() as cursor:
            cursor.execute(statement, self.parameters | parameters)
            return cursor.fetchall()

    @property
    def parameters(self) -> dict[str, Any]:
        """The values for a statement with `join`."""
        return dict(self.organization.subtree.parameters()) if self.organization else {}


def load_scope(organization_id: int | None) -> ReportScope:
    """Return the organizations of a report, inside its snapshot. Raises PermanentFailure if there are none any more."""
    if organization_id is None:
        return ReportScope()
    organization = Organization.objects.filter(pk=organization_id).first()
    if organization is None:
        raise PermanentFailure(GONE)
    return ReportScope(organization)
