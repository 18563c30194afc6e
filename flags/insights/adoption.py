"""The adoption of a flag: the organizations with it on and off and with each variant, and its usage, in each subtree.

Figures of all organizations come from the hourly count (`adoption_counts`). Figures of a subtree are counted during the
request, for at most `time_limit.COUNT_SECONDS`.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from django.utils import timezone

from flags.definitions.models import Flag
from flags.definitions.refusals import unknown_flag
from flags.definitions.visible_flags import visible_flags
from flags.evaluation.effective_value import EffectiveValue
from flags.insights import staleness, usage_store
from flags.insights.adoption_counts import BIGGEST
from flags.insights.minority import describe_minorities
from flags.insights.models import FlagAdoption
from flags.insights.staleness import StaleReason
from flags.insights.time_limit import rows_in_time
from flags.insights.usage_store import Usage, UsageCount
from flags.insights.variant_shares import NUMBER, Shares, counted_variants, served_to_all, variant_shares
from flags.states import selectors
from orgs.access.caller import Caller
from orgs.access.visible_organizations import OrganizationName, find_visible_organization
from orgs.tree.browser import visible_children
from orgs.tree.models import Organization
from orgs.tree.subtrees import is_at_or_below, is_in_subtree

# LATERAL with OFFSET 0 makes PostgreSQL look up the flag state of each organization by its primary key. With an
# ordinary join it might read all flag states, perhaps a hundred million, to count a small subtree.
STATE = """
LEFT JOIN LATERAL (SELECT enabled, source_id, variant FROM flags_flagstate
                    WHERE organization_id = below.id AND flag_id = %(flag)s OFFSET 0) state ON TRUE
"""
USE = """
LEFT JOIN LATERAL (SELECT evaluations, last_evaluated_at FROM flags_flaguse
                    WHERE organization_id = below.id AND {which} OFFSET 0) {name} ON TRUE
"""
BY_NAME = USE.format(which="flag_id = %(flag)s", name="by_name")
WITH_ALL = USE.format(which="flag_id = 0 AND last_evaluated_at >= %(beginning)s", name="with_all")
SIDES = f"""
WITH numbered AS (
    SELECT state.enabled, state.source_id, {NUMBER} AS number, count(*) AS organizations
      FROM orgs_organization below {STATE}
     WHERE {{which}} GROUP BY state.enabled, state.source_id, {NUMBER}),
source AS (
    SELECT enabled, source_id, sum(organizations) AS organizations FROM numbered GROUP BY enabled, source_id)
SELECT enabled, sum(organizations)::bigint, count(*),
       (array_agg(source_id ORDER BY organizations DESC, source_id))[1:%(biggest)s],
       (SELECT array_agg(ARRAY[number, organizations]::bigint[])
          FROM (SELECT number, sum(organizations) AS organizations FROM numbered
                 WHERE numbered.enabled AND source.enabled GROUP BY number) each)
  FROM source GROUP BY enabled
"""  # noqa: S608 - no input in it
SHARES = f"""
WITH numbered AS (
    SELECT top.id, {NUMBER} AS number, count(*) AS organizations,
           count(*) FILTER (WHERE coalesce(state.enabled, %(default)s)) AS organizations_on,
           count(*) FILTER (WHERE state.source_id = below.id AND below.id <> top.id) AS set_below,
           sum(by_name.evaluations) AS by_name, max(by_name.last_evaluated_at) AS by_name_at,
           sum(with_all.evaluations) AS with_all, max(with_all.last_evaluated_at) AS with_all_at
      FROM unnest(%(ids)s::bigint[]) AS wanted(id)
      JOIN orgs_organization top ON top.id = wanted.id
      JOIN orgs_organization below ON {is_at_or_below("below", "top")}
      {STATE} {BY_NAME} {WITH_ALL}
     GROUP BY top.id, number)
SELECT id, sum(organizations)::bigint, sum(organizations_on)::bigint, array_agg(ARRAY[number, organizations_on]),
       sum(set_below)::bigint, coalesce(sum(by_name), 0)::bigint, max(by_name_at),
       coalesce(sum(with_all), 0)::bigint, max(with_all_at)
  FROM numbered GROUP BY id
"""  # noqa: S608 - no input in it


@dataclass(frozen=True, slots=True)
class Share:
    """The figures of one subtree: the number of organizations by stored value and by variant, and the usage.

    `set_below` is the number of organizations below the top that have the value that was set on themselves.

    The figures are None if the subtree has too many organizations to count in a request. If the flag is off for
    everybody, `on` and `off` do not follow the stored values.
    """

    organization: Organization
    stored_on: int | None = None
    stored_off: int | None = None
    set_below: int | None = None
    usage: Usage | None = None
    is_off_for_everybody: bool = False
    variants: Shares = ()
    """Empty for a boolean flag, and if there are no figures."""

    @property
    def on(self) -> int | None:
        """The number of organizations with the flag on."""
        return _on(self.stored_on, is_off_for_everybody=self.is_off_for_everybody)

    @property
    def off(self) -> int | None:
        """The number of organizations with the flag off."""
        return _off(self.stored_on, self.stored_off, is_off_for_everybody=self.is_off_for_everybody)


@dataclass(frozen=True, slots=True)
class Adoption:
    """A flag's adoption in a subtree, or everywhere (`organization` is None).

    `counts` and `usage` are None if the subtree has too many organizations to count in a request. `counts` counts
    stored values. If the flag is off for everybody, `off_for_everybody` says why, and there is no minority.
    """

    flag: Flag
    organization: Organization | None
    counts: FlagAdoption | None
    usage: Usage | None
    reasons: Sequence[StaleReason]
    minority: str
    off_for_everybody: EffectiveValue | None

    @property
    def on(self) -> int | None:
        """The number of organizations with the flag on; None if there are no counts."""
        stored_on = self.counts.organizations_on if self.counts else None
        return _on(stored_on, is_off_for_everybody=self.off_for_everybody is not None)

    @property
    def off(self) -> int | None:
        """The number of organizations with the flag off; None if there are no counts."""
        if self.counts is None:
            return None
        stored = self.counts.organizations_on, self.counts.organizations_off
        return _off(*stored, is_off_for_everybody=self.off_for_everybody is not None)

    @property
    def variants(self) -> Shares | None:
        """The number of organizations with each variant; None if there are no counts. Empty for a boolean flag."""
        return counted_variants(self.flag, self.counts, served_to_all(self.off_for_everybody)) if self.counts else None


def _on(stored_on: int | None, *, is_off_for_everybody: bool) -> int | None:
    return 0 if is_off_for_everybody and stored_on is not None else stored_on


def _off(stored_on: int | None, stored_off: int | None, *, is_off_for_everybody: bool) -> int | None:
    if stored_on is None or stored_off is None:
        return None
    return stored_on + stored_off if is_off_for_everybody else stored_off


def adoption_of(caller: Caller, flag_key: str, organization: OrganizationName | None = None) -> Adoption:
    """Return a flag's adoption in all organizations that the caller may see, or in the subtree of one organization.

    Raises FlagNotFound, OrganizationNotFound, OrganizationAmbiguous.
    """
    flag = staleness.with_staleness(visible_flags(caller).filter(key=flag_key)).first()
    if flag is None:
        raise unknown_flag(flag_key, known_to=caller.organization_id)
    everywhere = usage_store.usage_everywhere([flag])[flag.pk]
    named = organization or caller.organization_id
    top = find_visible_organization(caller, named) if named else None
    counts = counts_below(flag, top) if top else counts_everywhere(flag)
    off = selectors.why_off_for_everybody(flag.key)
    return Adoption(
        flag=flag,
        organization=top,
        counts=counts,
        usage=shares(flag, [top])[0].usage if top else everywhere,
        reasons=staleness.reasons_of(flag, None if caller.organization_id else everywhere),
        minority=describe_minorities([counts], caller).get(flag.pk, "") if counts and off is None else "",
        off_for_everybody=off,
    )


def shares_below(
    caller: Caller, flag: Flag, organization_id: int | None = None, after_id: int | None = None
) -> tuple[list[Share], bool]:
    """Return one page of an organization's children by name, and whether more follow.

    Without `organization_id` the page has the topmost organizations that the caller may see. `after_id` is the last
    organization of the previous page. Raises OrganizationNotFound.
    """
    after = find_visible_organization(caller, after_id) if after_id else None
    children = visible_children(caller, parent_id=organization_id, after=after)
    return shares(flag, children.organizations), children.more


def counts_everywhere(flag: Flag) -> FlagAdoption | None:
    """Return the last hourly count of all organizations. A flag that is newer than this count is counted now."""
    return FlagAdoption.objects.select_related("flag").filter(flag=flag).first() or _count(flag, "TRUE", {})


def counts_below(flag: Flag, top: Organization) -> FlagAdoption | None:
    """Count the organizations of a subtree with the flag on and off. Returns None if there are too many to count.

    The caller has just loaded `top`, so its tree columns are current.
    """
    return _count(flag, is_in_subtree("below"), top.subtree.parameters())


def shares(flag: Flag, organizations: Sequence[Organization]) -> list[Share]:
    """Count the flag's figures in the subtrees of the given organizations, in one query.

    Evaluations of all flags that happened before this flag was created do not count as its usage.
    """
    parameters = {
        "flag": flag.pk, "default": flag.enabled, "beginning": usage_store.beginning_of(flag),
        "ids": [organization.pk for organization in organizations],
    }  # fmt: skip
    rows = rows_in_time(SHARES, parameters)
    off = selectors.why_off_for_everybody(flag.key)
    if rows is None:
        return [Share(organization) for organization in organizations]
    figures = {row[0]: row[1:] for row in rows}
    return [
        _share(flag, organization, *figures[organization.pk], off_for_everybody=off)
        for organization in organizations
        if organization.pk in figures
    ]


def _share(
    flag: Flag,
    organization: Organization,
    size: int,
    on: int,
    *counts: Any,
    off_for_everybody: EffectiveValue | None,
) -> Share:
    numbers_on, set_below, *usage = counts
    counted = Usage(UsageCount(*usage[:2]), UsageCount(*usage[2:]))
    to_all = served_to_all(off_for_everybody)
    variants = variant_shares(flag, on=on, off=size - on, numbers_on=dict(numbers_on), for_everybody=to_all)
    return Share(organization, on, size - on, set_below, counted, off_for_everybody is not None, variants)


def _count(flag: Flag, condition: str, parameters: dict[str, Any]) -> FlagAdoption | None:
    rows = rows_in_time(SIDES.replace("{which}", condition), {"flag": flag.pk, "biggest": BIGGEST, **parameters})
    if rows is None:
        return None
    sides = {enabled: rest for enabled, *rest in rows}
    on, on_sources, on_biggest, on_numbers = sides.get(True, (0, 0, [], []))
    off, off_sources, off_biggest, _ = sides.get(False, (0, 0, [], None))
    unset = sides.get(None, (0,))[0]
    return FlagAdoption(
        flag=flag, organizations_on=on + (unset if flag.enabled else 0),
        organizations_off=off + (0 if flag.enabled else unset), unset=unset,
        on_sources=on_sources, on_biggest=on_biggest, off_sources=off_sources, off_biggest=off_biggest,
        on_numbers=dict(on_numbers), counted_at=timezone.now(),
    )  # fmt: skip
