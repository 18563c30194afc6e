"""Plans of deletions: the settings, locks and exemptions that go with the organizations.

No organization that stays gets another value, because settings count for the organizations below them only.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, timedelta
from hashlib import sha256

from django.db import connection
from django.utils import timezone

from flags.errors import BlastRadius
from flags.insights.time_limit import rows_in_time
from flags.states.planning import Agreed, parts_of_hash
from orgs.tree.agreed_deletions import AgreedDeletion
from orgs.tree.subtrees import Subtree, is_in_subtree, load_subtree

DAYS = 7
GOING = f"""
SELECT flag.id, flag.key, count(*) FILTER (WHERE setting.kind = 'set'), count(*) FILTER (WHERE setting.kind = 'lock'),
       count(setting.exempt_from_id), max(setting.number)
  FROM flags_flagsetting setting
  JOIN orgs_organization organization ON organization.id = setting.organization_id
  JOIN flags_flag flag ON flag.id = setting.flag_id AND NOT flag.purging
 WHERE {is_in_subtree("organization")} AND (setting.kind <> 'none' OR setting.exempt_from_id IS NOT NULL)
 GROUP BY flag.id ORDER BY flag.key
"""  # noqa: S608 - no input in it
ASKED = f"""
SELECT count(DISTINCT used.organization_id)
  FROM flags_flaguseday used
  JOIN orgs_organization organization ON organization.id = used.organization_id
 WHERE {is_in_subtree("organization")} AND used.day = ANY(%(days)s)
"""  # noqa: S608 - no input in it


@dataclass(frozen=True, slots=True)
class FlagThere:
    """What goes of one flag: the number of sets, of locks and of exemptions."""

    flag_id: int
    key: str
    sets: int
    locks: int
    exemptions: int
    number: int
    """The highest change number of the settings."""


@dataclass(frozen=True, slots=True)
class DeletionPlan:
    """What goes with an organization, and with everything below it: its flags are those with settings there, by key."""

    subtree: Subtree
    flags: Sequence[FlagThere]

    @property
    def changed(self) -> int:
        """The number of organizations that go."""
        return self.subtree.size

    @property
    def hash(self) -> str:
        """The hash by which a later request says that it knows what goes."""
        number = max((each.number for each in self.flags), default=0)
        there = [(each.flag_id, each.sets, each.locks, each.exemptions, each.number) for each in self.flags]
        content = [self.subtree.organization_id, there]
        return f"{number}-{self.subtree.size}-0-{sha256(repr(content).encode()).hexdigest()[:32]}"

    def moved_since(self, known: str) -> list[str]:
        """Say in sentences what has changed since a plan with the hash `known`."""
        number, size, _, _ = parts_of_hash(known)
        moved = [f"{each.key} was set (change {each.number})." for each in self.flags if each.number > number]
        if size != self.subtree.size:
            moved.append(f"The subtree has {self.subtree.size} organizations now, and had {size}.")
        return moved or ["The plan was made for another deletion, or settings have ended since."]


def of_deletion(subtree: Subtree) -> DeletionPlan:
    """Return the plan of deleting an organization with everything below it."""
    with connection.cursor() as cursor:
        cursor.execute(GOING, subtree.parameters())
        return DeletionPlan(subtree, [FlagThere(*row) for row in cursor.fetchall()])


def asked_lately(subtree: Subtree) -> int | None:
    """Return how many organizations of a subtree have asked for any flag in the last DAYS days, today included.

    None: there is too much to count.
    """
    today = timezone.now().astimezone(UTC).date()
    days = [today - timedelta(days=each) for each in range(DAYS)]
    rows = rows_in_time(ASKED, {"days": days, **subtree.parameters()})
    return None if rows is None else int(rows[0][0])


def check_agreed_deletion(organization_id: int, agreed: AgreedDeletion) -> None:
    """Check that a deletion deletes what its caller knows of (`orgs.tree.agreed_deletions.checks`).

    Raises PlanStale, BlastRadius.
    """
    subtree = load_subtree(organization_id)
    if subtree is None:
        return
    if agreed.at_most is not None and subtree.size > agreed.at_most:
        raise BlastRadius(
            f"The request would delete {subtree.size} organizations, and it allows {agreed.at_most}. Make a plan, and "
            "send its hash as planHash, or allow more with atMost."
        )
    Agreed(plan_hash=agreed.plan_hash).check(of_deletion(subtree))
