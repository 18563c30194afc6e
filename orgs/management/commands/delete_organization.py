"""Delete an organization."""

from __future__ import annotations

from typing import Any

from django.core.management.base import CommandParser

from flagsite.core.console.arguments import add_reason
from flagsite.core.console.command import Answer, OperatorCommand
from flagsite.core.words import counted
from orgs.access.visible_organizations import find_organization
from orgs.tree import authorized_operations
from orgs.tree.admin_sections import deletion_plans, said_of_deletion
from orgs.tree.agreed_deletions import AgreedDeletion
from orgs.tree.console import answer_of_job, everything
from orgs.tree.large_changes import StartedJob
from orgs.tree.models import Organization


class Command(OperatorCommand):
    help = (
        "Delete an organization with its flag states and access keys; with --subtree everything below it too. If these "
        "are more than TREE_INLINE_ORGANIZATIONS organizations, a job deletes them."
    )

    def add_options(self, parser: CommandParser) -> None:
        parser.add_argument("organization", metavar="ORG", help="key or id; id:… or key:… if it is a number")
        parser.add_argument("--subtree", action="store_true", help="delete everything below it too")
        parser.add_argument("--at-most", type=int, metavar="N", help="refuse if more organizations would go")
        parser.add_argument(
            "--plan-hash", default="", metavar="HASH", help="refuse if the plan with this hash is stale"
        )
        parser.add_argument("--plan", action="store_true", help="only say what would go")
        add_reason(parser)

    def answer(
        self, *, organization: str, subtree: bool, at_most: int | None, plan_hash: str, plan: bool, **_: Any
    ) -> Answer:
        found = find_organization(organization)
        if plan:
            return _plan(found, subtree=subtree)
        agreed = AgreedDeletion(at_most, plan_hash)
        deleted = authorized_operations.delete(everything(), found.pk, subtree=subtree, agreed=agreed)
        if isinstance(deleted, StartedJob):
            return answer_of_job(deleted, "deletes")
        noun = "organization" if deleted == 1 else "organizations"
        document = {"organizationId": found.pk, "organizationKey": found.key, "deletedOrganizations": deleted}
        return Answer(document, [f"{found.key} (id {found.pk}) is deleted: {deleted:,} {noun}."])


def _plan(organization: Organization, *, subtree: bool) -> Answer:
    authorized_operations.check_deletion(everything(), organization, subtree=subtree)
    [plan] = deletion_plans
    said = said_of_deletion(everything(), organization)
    count = counted(organization.subtree.size, "organization")
    words = [f"{count} would be deleted: {organization.key} (id {organization.pk}) with everything below it."]
    return Answer(plan(everything(), organization), [*words, *said.effects, *said.notes, "Nothing was deleted."])
