"""Undo: a new change that restores the settings which an earlier change has replaced or ended.

Settings that were changed since stay as they are. An undo costs as much as there are settings to restore, and can be
undone itself.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from django.db import connection

from flags.errors import ChangeNotFound, ChangeNotUndoable
from flags.history.models import HistoryBegin
from flags.states import flag_settings
from flags.states.models import Change
from flags.states.placed_settings import decided_on_paths
from flags.states.set_flag import AcceptedChange, FlagToSet, check_is_not_locked, lock_flag, tell, write_change
from flags.states.setting_rules import LOCK, NONE, SET
from flagsite.core import actor
from orgs.audit import audit_log
from orgs.tree.models import Organization
from orgs.tree.subtrees import is_in_subtree

UNDOABLE = (SET, LOCK, NONE)
"""The kinds of changes that an undo can take back. A move is undone by a move, an exemption by its end."""
# A setting that would have ended by now stays ended. A setting is as the change has left it if it still has the
# decision that it had under the number of the change: moves, exemptions and undone changes since do not matter.
RESTORE = f"""
WITH current AS MATERIALIZED (
    SELECT setting.organization_id, setting.kind, replaced.id AS replaced_id,
           {is_in_subtree("organization")} AS is_inside,
           {is_in_subtree("organization")} AND (setting.number = %(undone)s OR EXISTS (  -- index former_setting
               SELECT FROM flags_replacedsetting left_so
                WHERE left_so.organization_id = setting.organization_id AND left_so.flag_id = setting.flag_id
                  AND left_so.number = %(undone)s AND left_so.decision = setting.decision)) AS is_as_left
      FROM flags_replacedsetting replaced  -- index setting_replaced_by
      JOIN flags_flagsetting setting
        ON setting.organization_id = replaced.organization_id AND setting.flag_id = replaced.flag_id
      JOIN orgs_organization organization ON organization.id = setting.organization_id
     WHERE replaced.replaced_by = %(undone)s AND replaced.flag_id = %(flag)s),
before AS MATERIALIZED (
    SELECT current.organization_id, current.kind AS current_kind, replaced.kind, replaced.enabled, replaced.only_here,
           replaced.kept_from_id, replaced.expires_at, replaced.decision, replaced.kind <> 'none'
           AND (replaced.expires_at IS NULL OR replaced.expires_at > now()) AS is_restored
      FROM current JOIN flags_replacedsetting replaced ON replaced.id = current.replaced_id
     WHERE is_as_left),
restored AS (
    UPDATE flags_flagsetting setting
       SET number = %(number)s,
           decision = CASE WHEN is_restored OR before.kind = 'none' THEN before.decision ELSE %(number)s END,
           kind = CASE WHEN is_restored THEN before.kind ELSE 'none' END,
           enabled = CASE WHEN is_restored THEN before.enabled END,
           only_here = is_restored AND before.only_here,
           kept_from_id = CASE WHEN is_restored THEN before.kept_from_id END,
           expires_at = CASE WHEN is_restored THEN before.expires_at END, created_at = clock_timestamp(),
           requested_by = %(by)s, reason = %(reason)s
      FROM before
     WHERE setting.organization_id = before.organization_id AND setting.flag_id = %(flag)s
    RETURNING TRUE)
SELECT (SELECT count(*) FROM restored),
       ARRAY(SELECT organization_id FROM current WHERE is_inside AND NOT is_as_left ORDER BY 1 LIMIT %(most)s),
       (SELECT count(*) FROM current WHERE NOT is_as_left),
       ARRAY(SELECT organization_id FROM before
              WHERE current_kind = 'lock' AND NOT (is_restored AND kind = 'lock')) AS unlocked
"""  # noqa: S608 - no input in it
MOST_NAMED = 100
NOTHING_LEFT = "Everything that the change has set was changed or moved away since, so there is nothing to undo."
TOO_OLD = (
    "Nothing tells what was set before this change. It was made before history begins, or by an earlier version of "
    "Flagsite."
)


@dataclass(frozen=True, slots=True)
class Undone:
    """An accepted undo: the settings that it has restored, and those that it has left alone.

    `left_alone` has the ids of organizations whose settings were changed since, MOST_NAMED at most; `left_alone_count`
    is their number, together with those that were moved away.
    """

    accepted: AcceptedChange
    restored: int
    left_alone: list[int]
    left_alone_count: int


def find_undoable(number: int) -> Change:
    """Return the change with a number. Raises ChangeNotFound, ChangeNotUndoable."""
    change = Change.objects.select_related("flag").filter(number=number).order_by("pk").first()
    if change is None:
        raise ChangeNotFound
    if HistoryBegin.objects.filter(begins_at__gt=change.created_at).exists():
        raise ChangeNotUndoable(TOO_OLD)
    if change.kind not in UNDOABLE or (change.source_id not in (None, change.organization_id) and change.kind != NONE):
        raise ChangeNotUndoable
    return change


def undo_on(
    organization: Organization,
    undone: Change,
    *,
    requested_by: str = "",
    correlation_id: str = "",
    reason: str = "",
) -> Undone:
    """Undo a change of an organization, in the caller's transaction.

    The caller has found the change with `find_undoable`, and has locked the tree and read the organization as for
    `flags.states.set_flag.set_flag_on`. Raises FlagNotFound, FlagArchived, FlagPurging, FlagLocked, ChangeNotUndoable.
    """
    found = lock_flag(undone.flag.key, organization)
    if found is None or found.flag.pk != undone.flag_id:
        raise ChangeNotFound
    check_is_not_locked(organization.pk, found.flag)
    restored, left_alone, left_alone_count = _restore(organization, found, undone, requested_by, reason)
    if not restored:
        raise ChangeNotUndoable(NOTHING_LEFT if left_alone_count else TOO_OLD)
    (value,) = decided_on_paths([organization.pk], [found.flag.pk]).values()
    change = Change(
        number=found.number, flag=found.flag, organization_id=organization.pk, kind=NONE, enabled=value.enabled,
        source_id=value.source_id, requested_by=requested_by,
    )  # fmt: skip
    write_change(organization, change, value, {"undo": undone.number}, correlation_id)
    audit_log.record(
        "flag.undo", f"flag:{found.flag.key}", by=requested_by, organization_id=organization.pk, reason=reason,
        before=found.before, enabled=value.enabled, changeNumber=change.number, jobId=change.job_id,
        undone=undone.number, restored=restored, leftAlone=left_alone_count,
    )  # fmt: skip
    tell(organization, change, found.flag.key, did=f"undone change {undone.number} of the flag {found.flag.key}")
    accepted = AcceptedChange(
        change, found.flag, change.job, created=False, may_be_off_for_everybody=found.may_be_off_for_everybody
    )
    return Undone(accepted, restored, left_alone, left_alone_count)


def _restore(
    organization: Organization, found: FlagToSet, undone: Change, requested_by: str, reason: str
) -> tuple[int, list[int], int]:
    parameters: dict[str, Any] = {
        "undone": undone.number, "flag": found.flag.pk, "organization": organization.pk, "number": found.number,
        "by": requested_by, "reason": reason or actor.current().reason, "most": MOST_NAMED,
        **organization.subtree.parameters(),
    }  # fmt: skip
    with connection.cursor() as cursor:
        cursor.execute(RESTORE, parameters)
        restored, left_alone, count, unlocked = cursor.fetchone()
    if unlocked:
        flag_settings.end_exemptions_from(unlocked, found.flag.pk)
    return int(restored), list(left_alone), int(count)
