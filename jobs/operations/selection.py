"""The jobs that a person selects: the filters of lists and of bulk operations."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime, timedelta

from django.db.models import Exists, OuterRef, QuerySet
from django.db.models.functions import Coalesce, Now

from jobs.engine import transitions
from jobs.engine.kinds import known_kinds
from jobs.engine.models import ENDED_BADLY, Job
from jobs.errors import UnknownKind
from orgs.access.caller import Caller
from orgs.access.models import Role
from orgs.access.visible_organizations import visible_organizations
from orgs.tree.models import Organization


@dataclass(frozen=True, slots=True)
class Selection:
    """The filters of a selection. A selected job matches all of them, and an empty filter matches every job.

    `organization` stands for its whole subtree. `since` is a time, or a duration before now by the database's clock.
    """

    status: str = ""
    organization: Organization | None = None
    queue: str = ""
    flag: str = ""
    kind: str = ""
    since: datetime | timedelta | None = None

    def check(self) -> None:
        """Check the names of queue and kind. Raises UnknownQueue or UnknownKind if the name does not exist."""
        if self.queue:
            transitions.queue_named(self.queue)
        if self.kind and self.kind not in known_kinds():
            raise UnknownKind(f"There is no kind of job {self.kind!r}. The kinds are: {', '.join(known_kinds())}.")

    def jobs(self) -> QuerySet[Job]:
        """The selected attempts; `since` compares with the time of their creation.

        Read them in the same `snapshot` as the organization: the query contains the organization's place in the tree.
        With this place PostgreSQL knows the size of the subtree, and finds the newest jobs of a small subtree fast.
        """
        jobs = self._filtered(Job.objects.all(), "created_at")
        if self.organization is not None:
            jobs = jobs.filter(organization_id__in=Organization.objects.under(self.organization).values("pk"))
        return jobs

    def failed(self) -> QuerySet[Job]:
        """The latest attempts of chains that FAILED, or COMPLETED with failures; `since` compares with their end."""
        chain = Coalesce(OuterRef("parent_job_id"), OuterRef("pk"))
        later = Job.objects.filter(parent_job_id=chain, pk__gt=OuterRef("pk"))
        jobs = self._filtered(Job.objects.filter(ENDED_BADLY, ~Exists(later)), "completed_at")
        if self.organization is not None:  # each batch reads the subtree again: organizations may move meanwhile
            subtree = visible_organizations(Caller("", Role.READER, self.organization.pk))
            jobs = jobs.filter(organization_id__in=subtree.values("pk"))
        return jobs

    def _filtered(self, jobs: QuerySet[Job], column: str) -> QuerySet[Job]:
        if self.since is not None:
            moment = Now() - self.since if isinstance(self.since, timedelta) else self.since
            jobs = jobs.filter(**{f"{column}__gte": moment})
        equal = {"status": self.status, "queue": self.queue, "kind": self.kind, "arguments__featureFlagName": self.flag}
        return jobs.filter(**{name: value for name, value in equal.items() if value})
