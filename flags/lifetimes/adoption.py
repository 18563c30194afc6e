"""How far a flag has come: on how many organizations it is on, down the tree, and who asks for it.

What is said of all organizations was counted by beat (`counting`); what is said of a subtree is counted now, by its
organizations' own rows, for at most COUNT_SECONDS.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

from django.db import OperationalError, connection, transaction
from django.utils import timezone
from psycopg.errors import QueryCanceled

from flags.errors import FlagNotFound
from flags.lifetimes import staleness, uses
from flags.lifetimes.counting import BIGGEST
from flags.lifetimes.holdouts import hold_outs
from flags.lifetimes.staleness import Reason
from flags.lifetimes.uses import Asked, Evaluated
from flags.models import Flag, FlagAdoption
from orgs.access import Caller, organization_for
from orgs.models import Organization
from orgs.tree_page import level

COUNT_SECONDS = 4.0
"""A subtree of so many organizations that counting takes longer is not counted while somebody waits."""
SIDES = """
WITH source AS (
    SELECT state.enabled, state.source_id, count(*) AS organizations
      FROM orgs_organization organization
      LEFT JOIN flags_flagstate state ON state.organization_id = organization.id AND state.flag_id = %(flag)s
     WHERE {which} GROUP BY state.enabled, state.source_id)
SELECT enabled, sum(organizations)::bigint, count(*),
       (array_agg(source_id ORDER BY organizations DESC, source_id))[1:%(biggest)s]
  FROM source GROUP BY enabled
"""
SUBTREE = "organization.tree_id = %(tree_id)s AND organization.lft BETWEEN %(lft)s AND %(rght)s"
SHARES = """
SELECT top.id, count(*), count(*) FILTER (WHERE coalesce(state.enabled, %(default)s)),
       coalesce(sum(by_name.evaluations), 0)::bigint, max(by_name.last_evaluated_at),
       coalesce(sum(with_all.evaluations), 0)::bigint, max(with_all.last_evaluated_at)
  FROM orgs_organization top
  JOIN orgs_organization below ON below.tree_id = top.tree_id AND below.lft BETWEEN top.lft AND top.rght
  LEFT JOIN flags_flagstate state ON state.organization_id = below.id AND state.flag_id = %(flag)s
  LEFT JOIN flags_flaguse by_name ON by_name.flag_id = %(flag)s AND by_name.organization_id = below.id
  LEFT JOIN flags_flaguse with_all ON with_all.flag_id = 0 AND with_all.organization_id = below.id
 WHERE top.id = ANY(%(ids)s) GROUP BY top.id
"""


@dataclass(frozen=True, slots=True)
class Share:
    """An organization with all below it: on how many the flag is on and off, and how it was asked for there.

    The numbers are None where there are too many to be counted while somebody waits.
    """

    organization: Organization
    on: int | None = None
    off: int | None = None
    evaluated: Evaluated | None = None


@dataclass(frozen=True, slots=True)
class Adoption:
    """A flag's adoption below an organization, or everywhere; `shares` are those of the organizations directly below.

    `counts` is None where there is too much to count; `more` says whether further organizations follow the last share.
    """

    flag: Flag
    organization: Organization | None
    counts: FlagAdoption | None
    evaluated: Evaluated | None
    reasons: Sequence[Reason]
    hold_outs: str
    shares: Sequence[Share]
    more: bool


def adoption_of(
    caller: Caller, flag_key: str, *, organization_id: int | None = None, after_id: int | None = None
) -> Adoption:
    """How far the flag has come for what the caller may see, or below one organization of that.

    `after_id` is the last share's organization of the page before. Raises FlagNotFound, OrganizationNotFound.
    """
    flag = staleness.with_staleness(Flag.objects.filter(key=flag_key)).first()
    if flag is None:
        raise FlagNotFound(f"There is no flag {flag_key!r}.")
    top_id = organization_id or caller.organization_id
    top = organization_for(caller, top_id) if top_id else None
    after = organization_for(caller, after_id) if after_id else None
    found = level(caller, parent_id=organization_id, after=after)
    counts = counts_below(flag, top) if top else counts_everywhere(flag)
    if top is None:
        evaluated: Evaluated | None = uses.everywhere([flag.pk])[flag.pk]
    else:
        evaluated = shares(flag, [top])[0].evaluated
    return Adoption(
        flag=flag,
        organization=top,
        counts=counts,
        evaluated=evaluated,
        reasons=staleness.reasons_of(flag, None if caller.organization_id else uses.everywhere([flag.pk])[flag.pk]),
        hold_outs=hold_outs([counts], caller).get(flag.pk, "") if counts else "",
        shares=shares(flag, found.organizations),
        more=found.more,
    )


def counts_everywhere(flag: Flag) -> FlagAdoption | None:
    """On how many organizations the flag is on, as counted last; a flag that is newer than that is counted now."""
    return FlagAdoption.objects.select_related("flag").filter(flag=flag).first() or _counted(flag, "TRUE", {})


def counts_below(flag: Flag, top: Organization) -> FlagAdoption | None:
    """On how many organizations of a subtree the flag is on, counted now; None when there are too many.

    The organization is as it was just loaded.
    """
    return _counted(flag, SUBTREE, {"tree_id": top.tree_id, "lft": top.lft, "rght": top.rght})


def shares(flag: Flag, organizations: Sequence[Organization]) -> list[Share]:
    """The flag's numbers for each of these with all below it, counted now, in one query."""
    given = {"flag": flag.pk, "default": flag.enabled, "ids": [organization.pk for organization in organizations]}
    rows = _rows(SHARES, given)
    if rows is None:
        return [Share(organization) for organization in organizations]
    found = {row[0]: row[1:] for row in rows}
    return [_share(organization, *found[organization.pk]) for organization in organizations if organization.pk in found]


def _share(organization: Organization, organizations: int, on: int, *asked: Any) -> Share:
    return Share(organization, on, organizations - on, Evaluated(Asked(*asked[:2]), Asked(*asked[2:])))


def _counted(flag: Flag, which: str, given: dict[str, Any]) -> FlagAdoption | None:
    rows = _rows(SIDES.replace("{which}", which), {"flag": flag.pk, "biggest": BIGGEST, **given})
    if rows is None:
        return None
    sides = {enabled: rest for enabled, *rest in rows}
    on, on_sources, on_biggest = sides.get(True, (0, 0, []))
    off, off_sources, off_biggest = sides.get(False, (0, 0, []))
    unset = sides.get(None, (0,))[0]
    return FlagAdoption(
        flag=flag, organizations_on=on + (unset if flag.enabled else 0),
        organizations_off=off + (0 if flag.enabled else unset), unset=unset,
        on_sources=on_sources, on_biggest=on_biggest, off_sources=off_sources, off_biggest=off_biggest,
        counted_at=timezone.now(),
    )  # fmt: skip


def _rows(sql: str, given: dict[str, Any]) -> list[Any] | None:
    """The rows, None when they took too long."""
    try:
        with _in_time(), connection.cursor() as cursor:
            cursor.execute(sql, given)
            return cursor.fetchall()
    except OperationalError as error:
        if isinstance(error.__cause__, QueryCanceled):
            return None
        raise


@contextmanager
def _in_time() -> Iterator[None]:
    with transaction.atomic():
        with connection.cursor() as cursor:
            cursor.execute("SELECT set_config('statement_timeout', %s, true)", [f"{round(COUNT_SECONDS * 1000)}ms"])
        yield
        with connection.cursor() as cursor:  # a transaction around this one goes on without it
            cursor.execute("SET LOCAL statement_timeout TO DEFAULT")
