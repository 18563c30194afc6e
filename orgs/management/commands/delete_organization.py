"""Delete an organization."""

from __future__ import annotations

from typing import Any

from django.core.management.base import CommandParser

from flagsite.core.console.arguments import add_reason
from flagsite.core.console.command import Answer, OperatorCommand
from orgs.access.visible_organizations import find_organization
from orgs.tree import authorized_operations
from orgs.tree.console import answer_of_job, everything
from orgs.tree.large_changes import StartedJob


class Command(OperatorCommand):
    help = (
        "Delete an organization with its flag states and access keys; with --subtree everything below it too. If these "
        "are more than TREE_INLINE_ORGANIZATIONS organizations, a job deletes them."
    )

    def add_options(self, parser: CommandParser) -> None:
        parser.add_argument("organization", metavar="ORG", help="key or id; id:… or key:… if it is a number")
        parser.add_argument("--subtree", action="store_true", help="delete everything below it too")
        add_reason(parser)

    def answer(self, *, organization: str, subtree: bool, **options: Any) -> Answer:
        found = find_organization(organization)
        deleted = authorized_operations.delete(everything(), found.pk, subtree=subtree)
        if isinstance(deleted, StartedJob):
            return answer_of_job(deleted, "deletes")
        noun = "organization" if deleted == 1 else "organizations"
        document = {"organizationId": found.pk, "organizationKey": found.key, "deletedOrganizations": deleted}
        return Answer(document, [f"{found.key} (id {found.pk}) is deleted: {deleted:,} {noun}."])
