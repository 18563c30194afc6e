"""Stale flags: which flags should be removed from the code, and why.

For lists of flags: `with_staleness(flags, days=None)` annotates a queryset of flags with `is_unused`, `is_settled`,
`is_expired` and `is_stale`, so that `?stale=true` is `with_staleness(flags).filter(is_stale=True)`. The query reads
a few rows for each flag, however many organizations exist. `stale_flags(caller)` also gives the reasons in words.
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
from flags.definitions.visible_flags import visible_flags
from flags.insights import usage_store
from flags.insights.minority import describe_minorities
from flags.insights.models import FlagUseTotal
from flags.insights.usage_store import Usage
from flags.values.types import FlagType
from orgs.access.caller import Caller

SETTLING_KINDS = (Flag.Kind.RELEASE, Flag.Kind.EXPERIMENT)
"""Kinds of flags that end once every organization has the same value; flags of the other kinds are meant to stay."""
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
    """One cause, and the sentence that explains it."""

    cause: StaleCause
    words: str


@dataclass(frozen=True, slots=True)
class StaleFlag:
    """A flag that should be removed from the code.

    `minority` says which organizations still differ; it is empty if none does. `usage` is None for a caller
    who is bound to an organization.
    """

    flag: Flag
    reasons: tuple[StaleReason, ...]
    minority: str
    usage: Usage | None


def with_staleness(flags: QuerySet[Flag], days: int | None = None) -> QuerySet[Any]:
    """The flags with four truth values: `is_unused`, `is_settled`, `is_expired` and `is_stale` (any of the three).

    `days` is the period to look back; None means the setting FLAG_STALE_DAYS. A flag is unused when it is older than
    the period and nobody has evaluated it in the period, by its name or together with all flags; while usage has been
    counted for less than the period, no flag is unused. A flag is settled when every organization, and every user in
    every environment, has had the same value for the whole period. An archived flag is never stale.
    """
    then = Now() - timedelta(days=settings.FLAG_STALE_DAYS if days is None else days)
    total = FlagUseTotal.objects.filter(flag_id__in=[OuterRef("pk"), usage_store.ALL_FLAGS], last_evaluated_at__gt=then)
    has_been_counted = FlagUseTotal.objects.filter(first_evaluated_at__lte=then)
    unused = Q(created_at__lte=then) & ~Exists(total) & Exists(has_been_counted)
    settled = Q(updated_at__lte=then, kind__in=SETTLING_KINDS) & (_off_for_all(then) | _on_for_all(then))
    expired = Q(expires_on__lt=TruncDate(Now()))
    conditions = {"is_unused": unused, "is_settled": settled, "is_expired": expired}
    conditions = {name: Q(archived=False) & condition for name, condition in conditions.items()}
    stale = {"is_stale": conditions["is_unused"] | conditions["is_settled"] | conditions["is_expired"]}
    return flags.annotate(
        **{
            name: Coalesce(ExpressionWrapper(condition, BooleanField()), Value(False))  # noqa: FBT003
            for name, condition in (conditions | stale).items()
        }
    )


def _off_for_all(then: Any) -> Q:
    """The flag has been off for everybody since `then`."""
    off = Q(rollout_percentage=0) | Q(adoption__same_value=False, adoption__same_since__lte=then)
    return Q(killed=True) | (off & Q(whitelist=[], targeting_rules=[]) & ~Q(Forces(enabled=True)))


def _on_for_all(then: Any) -> Q:
    """The flag has been on for everybody since `then`; one with a prerequisite is not: the prerequisite goes first.

    A flag with variants is not either: organizations where it is on may have other variants.
    """
    on = Q(adoption__same_value=True, adoption__same_since__lte=then, killed=False, type=FlagType.BOOLEAN.value)
    in_full = Q(rollout_percentage=None) | Q(rollout_percentage=100)
    return on & in_full & Q(targeting_rules=[]) & ~Q(Forces(enabled=False)) & ~Q(NEEDS_OTHERS)


def stale_flags(caller: Caller, flags: QuerySet[Flag] | None = None, days: int | None = None) -> list[StaleFlag]:
    """Return the stale flags among these flags, or among all flags that the caller may see, in the order of their keys.

    Makes three queries.

    A caller who is bound to an organization gets the reasons, but no figures about all organizations.
    """
    chosen = with_staleness(visible_flags(caller) if flags is None else flags, days).filter(is_stale=True)
    found = list(chosen.select_related("adoption").order_by("key"))
    if caller.organization_id is not None:
        return [StaleFlag(flag, tuple(reasons_of(flag, None)), "", None) for flag in found]
    usage = usage_store.usage_everywhere(found)
    minorities = describe_minorities((flag.adoption for flag in found if hasattr(flag, "adoption")), caller)
    return [
        StaleFlag(flag, tuple(reasons_of(flag, usage[flag.pk])), minorities.get(flag.pk, ""), usage[flag.pk])
        for flag in found
    ]


def reasons_of(flag: Flag, usage: Usage | None) -> list[StaleReason]:
    """Why a flag of `with_staleness` is stale; empty if it is not. Without `usage` the sentences have no dates."""
    reasons = []
    if getattr(flag, "is_unused", False):
        reasons.append(StaleReason(StaleCause.UNUSED, _unused(usage)))
    if getattr(flag, "is_settled", False):
        reasons.append(StaleReason(StaleCause.SETTLED, _settled(flag, usage)))
    if getattr(flag, "is_expired", False):
        reasons.append(StaleReason(StaleCause.EXPIRED, f"The flag expired on {flag.expires_on}."))
    return reasons


def _settled(flag: Flag, usage: Usage | None) -> str:
    stopped = flag.killed or flag.rollout_percentage == 0  # at least since the definition was changed last
    since = flag.updated_at if stopped else flag.adoption.same_since
    value = "on" if not stopped and flag.adoption.same_value else "off"
    return f"The flag has been {value} for every organization {f'since {since:%Y-%m-%d}' if usage else 'for long'}."


def _unused(usage: Usage | None) -> str:
    if usage is None:
        return "Nobody has evaluated the flag for long."
    return (
        f"Nobody has evaluated the flag since {usage.last:%Y-%m-%d}."
        if usage.last
        else "Nobody has ever evaluated the flag."
    )
