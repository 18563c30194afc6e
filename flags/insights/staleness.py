"""Which flags should go, and why.

For lists of flags: `with_staleness(flags, days=None)` annotates a queryset of flags with `is_unused`, `is_settled`,
`is_expired` and `is_stale`, so that `?stale=true` is `with_staleness(flags).filter(is_stale=True)`. It looks at a few
rows for each flag, however many organizations there are. `stale_flags(caller)` also says why, in words.
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import timedelta
from enum import StrEnum
from typing import Any

from django.conf import settings
from django.db.models import BooleanField, Exists, ExpressionWrapper, Func, OuterRef, Q, QuerySet, Value
from django.db.models.functions import Coalesce, Now, TruncDate

from flags.definitions.models import Flag
from flags.insights import usage_store
from flags.insights.minority import describe_minorities as hold_outs
from flags.insights.models import FlagUseTotal
from flags.insights.usage_store import Usage
from orgs.access.caller import Caller

SETTLE = (Flag.Kind.RELEASE, Flag.Kind.EXPERIMENT)
"""Kinds that are to go once everybody has the same; the others are meant to stay."""
NEEDS_OTHERS = Exists(Flag.prerequisites.through.objects.filter(from_flag=OuterRef("pk")))


class Forces(Func):
    """Whether an environment forces the flag to this value."""

    template = "jsonb_path_exists(environments, '$.* ? (@ == %(value)s)')"
    output_field = BooleanField()

    def __init__(self, *, enabled: bool) -> None:
        super().__init__(value="true" if enabled else "false")


class StaleCause(StrEnum):
    """Why a flag is stale."""

    UNUSED = "unused"
    SETTLED = "settled"
    EXPIRED = "expired"


STALE_CAUSE_CHOICES = [why.value for why in StaleCause]


@dataclass(frozen=True, slots=True)
class StaleReason:
    """One reason, and the same in words."""

    why: StaleCause
    words: str


@dataclass(frozen=True, slots=True)
class StaleFlag:
    """A flag that should go; `hold_outs` says where it still differs, empty where it doesn't.

    `evaluated` is None for who is not told of all organizations."""

    flag: Flag
    reasons: tuple[StaleReason, ...]
    hold_outs: str
    evaluated: Usage | None


def with_staleness(flags: QuerySet[Flag], days: int | None = None) -> QuerySet[Any]:
    """The flags with `is_unused`, `is_settled`, `is_expired`, `is_stale`; `days` else FLAG_STALE_DAYS.

    A flag is unused when nobody has evaluated it for so long, by its name or with all others, and it is older than
    that; nothing is said while evaluations have not been counted for so long. It is settled when all organizations,
    and all their users in every environment, have had the same value for so long. Archived flags are not stale: they
    are gone already.
    """
    then = Now() - timedelta(days=settings.FLAG_STALE_DAYS if days is None else days)
    total = FlagUseTotal.objects.filter(flag_id__in=[OuterRef("pk"), usage_store.ALL_FLAGS], last_evaluated_at__gt=then)
    has_been_counted = FlagUseTotal.objects.filter(first_evaluated_at__lte=then)
    unused = Q(created_at__lte=then) & ~Exists(total) & Exists(has_been_counted)
    settled = Q(updated_at__lte=then, kind__in=SETTLE) & (_off_for_all(then) | _on_for_all(then))
    expired = Q(expires_on__lt=TruncDate(Now()))
    found = {"is_unused": unused, "is_settled": settled, "is_expired": expired}
    found = {name: Q(archived=False) & condition for name, condition in found.items()}
    stale = {"is_stale": found["is_unused"] | found["is_settled"] | found["is_expired"]}
    return flags.annotate(
        **{
            name: Coalesce(ExpressionWrapper(condition, BooleanField()), Value(False))  # noqa: FBT003
            for name, condition in (found | stale).items()
        }
    )


def _off_for_all(then: Any) -> Q:
    """Nothing switches it on for anybody."""
    off = Q(rollout_percentage=0) | Q(adoption__same_value=False, adoption__same_since__lte=then)
    return Q(killed=True) | (off & Q(whitelist=[]) & ~Q(Forces(enabled=True)))


def _on_for_all(then: Any) -> Q:
    """Nothing switches it off for anybody; a prerequisite may, so that one has to go first."""
    on = Q(adoption__same_value=True, adoption__same_since__lte=then, killed=False)
    in_full = Q(rollout_percentage=None) | Q(rollout_percentage=100)
    return on & in_full & ~Q(Forces(enabled=False)) & ~Q(NEEDS_OTHERS)


def stale_flags(caller: Caller, flags: QuerySet[Flag] | None = None, days: int | None = None) -> list[StaleFlag]:
    """Of these flags, or of all, those that should go, by their keys; three queries however many there are.

    Who is bound to an organization is told why, but no figures of all organizations.
    """
    chosen = with_staleness(Flag.objects.all() if flags is None else flags, days).filter(is_stale=True)
    found = list(chosen.select_related("adoption").order_by("key"))
    if caller.organization_id is not None:
        return [StaleFlag(flag, tuple(reasons_of(flag, None)), "", None) for flag in found]
    evaluated = usage_store.everywhere(found)
    differences = hold_outs((flag.adoption for flag in found if hasattr(flag, "adoption")), caller)
    return [
        StaleFlag(flag, tuple(reasons_of(flag, evaluated[flag.pk])), differences.get(flag.pk, ""), evaluated[flag.pk])
        for flag in found
    ]


def reasons_of(flag: Flag, evaluated: Usage | None) -> list[StaleReason]:
    """Why the flag is stale, if it is; it comes from `with_staleness`. Without `evaluated` no figures are told."""
    reasons = []
    if getattr(flag, "is_unused", False):
        reasons.append(StaleReason(StaleCause.UNUSED, _unused(evaluated)))
    if getattr(flag, "is_settled", False):
        reasons.append(StaleReason(StaleCause.SETTLED, _settled(flag, evaluated)))
    if getattr(flag, "is_expired", False):
        reasons.append(StaleReason(StaleCause.EXPIRED, f"It was to be gone by {flag.expires_on}."))
    return reasons


def _settled(flag: Flag, evaluated: Usage | None) -> str:
    stopped = flag.killed or flag.rollout_percentage == 0  # so long at least: the definition was changed last then
    since = flag.updated_at if stopped else flag.adoption.same_since
    value = "on" if not stopped and flag.adoption.same_value else "off"
    return f"It has been {value} for every organization {f'since {since:%Y-%m-%d}' if evaluated else 'for long'}."


def _unused(evaluated: Usage | None) -> str:
    if evaluated is None:
        return "Nobody has evaluated it for long."
    return (
        f"Nobody has evaluated it since {evaluated.last:%Y-%m-%d}."
        if evaluated.last
        else "Nobody has ever evaluated it."
    )
