"""Which flags should go, and why.

For lists of flags: `with_staleness(flags, days=None)` annotates a queryset of flags with `is_unused`, `is_settled`,
`is_expired` and `is_stale`, so that `?stale=true` is `with_staleness(flags).filter(is_stale=True)`. It looks at a few
rows for each flag, however many organizations there are. `stale_flags(flags, days=None)` also says why, in words.
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import timedelta
from enum import StrEnum
from typing import Any

from django.conf import settings
from django.db.models import BooleanField, Exists, ExpressionWrapper, OuterRef, Q, QuerySet
from django.db.models.functions import Now, TruncDate

from flags.lifetimes import uses
from flags.lifetimes.holdouts import hold_outs
from flags.models import Flag, FlagAdoption, FlagUseTotal

SETTLE = (Flag.Kind.RELEASE, Flag.Kind.EXPERIMENT)
"""Kinds that are to go once everybody has the same; the others are meant to stay."""
TO_SOME = Q(adoption__same_value=True, rollout_percentage__gt=0, rollout_percentage__lt=100) | (
    Q(adoption__same_value=False) & ~Q(whitelist=[])
)
"""All organizations have the same value, but not all of their users."""


class Why(StrEnum):
    """Why a flag is stale."""

    UNUSED = "unused"
    SETTLED = "settled"
    EXPIRED = "expired"


@dataclass(frozen=True, slots=True)
class Reason:
    """One reason, and the same in words."""

    why: Why
    words: str


@dataclass(frozen=True, slots=True)
class StaleFlag:
    """A flag that should go; `hold_outs` says where it still differs, empty where it doesn't."""

    flag: Flag
    reasons: tuple[Reason, ...]
    hold_outs: str
    evaluated: uses.Evaluated


def with_staleness(flags: QuerySet[Flag], days: int | None = None) -> QuerySet[Any]:
    """The flags with `is_unused`, `is_settled`, `is_expired`, `is_stale`; `days` else FLAG_STALE_DAYS.

    A flag is unused when nobody has evaluated it for so long, by its name or with all others, and it is older than
    that; nothing is said while evaluations have not been counted for so long. It is settled when all organizations,
    and all their users, have had the same value for so long. Archived flags are not stale: they are gone already.
    """
    then = Now() - timedelta(days=settings.FLAG_STALE_DAYS if days is None else days)
    total = FlagUseTotal.objects.filter(flag_id__in=[OuterRef("pk"), uses.ALL_FLAGS], last_evaluated_at__gt=then)
    has_been_counted = FlagUseTotal.objects.filter(first_evaluated_at__lte=then)
    unused = Q(created_at__lte=then) & ~Exists(total) & Exists(has_been_counted)
    settled = Q(adoption__same_since__lte=then, updated_at__lte=then, kind__in=SETTLE) & ~TO_SOME
    expired = Q(expires_on__lt=TruncDate(Now()))
    found = {"is_unused": unused, "is_settled": settled, "is_expired": expired}
    found = {name: Q(archived=False) & condition for name, condition in found.items()}
    stale = {"is_stale": found["is_unused"] | found["is_settled"] | found["is_expired"]}
    return flags.annotate(
        **{name: ExpressionWrapper(condition, BooleanField()) for name, condition in (found | stale).items()}
    )


def stale_flags(flags: QuerySet[Flag] | None = None, days: int | None = None) -> list[StaleFlag]:
    """Of these flags, or of all, those that should go, by their keys; three queries however many there are."""
    chosen = with_staleness(Flag.objects.all() if flags is None else flags, days).filter(is_stale=True)
    found = list(chosen.select_related("adoption").order_by("key"))
    evaluated = uses.everywhere([flag.pk for flag in found])
    differences = hold_outs(flag.adoption for flag in found if hasattr(flag, "adoption"))
    return [
        StaleFlag(flag, tuple(reasons_of(flag, evaluated[flag.pk])), differences.get(flag.pk, ""), evaluated[flag.pk])
        for flag in found
    ]


def reasons_of(flag: Flag, evaluated: uses.Evaluated) -> list[Reason]:
    """Why the flag is stale, if it is; it comes from `with_staleness`."""
    reasons = []
    if getattr(flag, "is_unused", False):
        last = evaluated.last
        words = f"Nobody has evaluated it since {last:%Y-%m-%d}." if last else "Nobody has ever evaluated it."
        reasons.append(Reason(Why.UNUSED, words))
    if getattr(flag, "is_settled", False):
        reasons.append(Reason(Why.SETTLED, _settled(flag.adoption)))
    if getattr(flag, "is_expired", False):
        reasons.append(Reason(Why.EXPIRED, f"It was to be gone by {flag.expires_on}."))
    return reasons


def _settled(adoption: FlagAdoption) -> str:
    value = "on" if adoption.same_value else "off"
    return f"It has been {value} for every organization since {adoption.same_since:%Y-%m-%d}."
