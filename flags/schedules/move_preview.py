"""The preview of a move: how many scheduled changes will fail, because their authors lose the organization."""

from __future__ import annotations

from django.db.models import Q

from flags.schedules.models import FlagSchedule
from orgs.tree.admin_sections import PlannedMove, Said
from orgs.tree.models import Organization
from orgs.tree.paths import path_ids_of


def move(planned: PlannedMove) -> Said:
    """Return a sentence if a move takes the right to make a change from its author."""
    organization, parent = planned.organization, planned.parent
    subtree = Organization.objects.under(organization)
    is_open = Q(status=FlagSchedule.Status.PENDING) | Q(next_retry_at__isnull=False)
    keep_it = [] if parent is None else path_ids_of(parent.pk)
    count = (
        FlagSchedule.objects.filter(is_open, organization__in=subtree, author_organization__isnull=False)
        .exclude(author_organization__in=keep_it)
        .exclude(author_organization__in=subtree)
        .count()
    )
    if not count:
        return Said()
    changes = "1 scheduled change" if count == 1 else f"{count:,} scheduled changes"
    return Said([f"{changes} will fail, because the organization leaves the subtree of the author."])
