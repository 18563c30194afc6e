"""Reading the effective values of an organization's flags, by primary key."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from datetime import datetime

from django.db.models import Case, Exists, OuterRef, QuerySet, When

from flags.definitions.models import Flag, check_flag_key
from flags.states.models import FlagState
from orgs.tree.models import Organization
from orgs.tree.paths import path_ids_of


@dataclass(frozen=True, slots=True)
class EffectiveState:
    """The value of one flag for one organization, and the organization on which this value was set (its source).

    If nobody set the flag on the organization or on an ancestor, `source_organization_id` is None and the value is the
    flag's default.
    """

    flag_id: int
    flag_key: str
    organization_id: int
    enabled: bool
    source_organization_id: int | None = None
    job_id: int | None = None
    updated_at: datetime | None = None

    @property
    def inherited(self) -> bool:
        """Whether the value was set on an ancestor of the organization."""
        return self.source_organization_id not in (None, self.organization_id)


def effective_state(*, organization: Organization, flag_key: str) -> EffectiveState:
    """Return the organization's value of a flag. Raises FlagNotFound, InvalidFlagKey.

    An organization that was just imported may not have its flag states yet. Then it has the value of its nearest
    ancestor that has a flag state.
    """
    check_flag_key(flag_key)
    flag = Flag.objects.called(flag_key)
    state = FlagState.objects.filter(organization_id=organization.pk, flag_id=flag.pk).first()
    if state is None:
        ancestors = path_ids_of(organization.pk)[:-1]
        state_of = {row.organization_id: row for row in flag.states.filter(organization_id__in=ancestors)}
        state = next((state_of[pk] for pk in reversed(ancestors) if pk in state_of), None)
    return _effective(organization.pk, flag, state)


def effective_states(organization: Organization) -> QuerySet[FlagState]:
    """Return the organization's flag states with their flags, in the order of the flags' ids, in one query.

    If the organization does not have its own state of a flag yet, the state of its nearest ancestor takes its place.
    """
    path = path_ids_of(organization.pk)
    level = Case(*(When(organization_id=pk, then=level) for level, pk in enumerate(path)), default=0)
    rows = FlagState.objects.filter(organization_id__in=path).alias(level=level)
    nearer = rows.filter(flag_id=OuterRef("flag_id"), level__gt=OuterRef("level"))
    return rows.filter(~Exists(nearer)).select_related("flag").order_by("flag_id")


def as_effective(organization: Organization, states: Iterable[FlagState]) -> list[EffectiveState]:
    """Convert the rows of `effective_states` to the organization's values."""
    return [_effective(organization.pk, state.flag, state) for state in states]


def _effective(organization_id: int, flag: Flag, state: FlagState | None) -> EffectiveState:
    if state is None:
        return EffectiveState(flag.pk, flag.key, organization_id, flag.enabled)
    return EffectiveState(
        flag.pk, flag.key, organization_id, state.enabled, state.source_id, state.job_id, state.updated_at
    )
