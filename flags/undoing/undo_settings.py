"""The undo of a change of settings: the settings that it has replaced or ended are as they were.

Settings that were changed since stay as they are. An undo costs as much as there are settings to restore.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from typing import Any

from django.core.exceptions import ValidationError
from django.db import connection

from flags.definitions.models import Flag
from flags.errors import ChangeNotFound, ChangeNotUndoable
from flags.history.models import HistoryBegin
from flags.states import flag_settings
from flags.states.models import Change, CustomValue
from flags.states.organization_settings import locks_named_for
from flags.states.placed_settings import COLUMNS, PLACE, SettingsOfSubtree, decided_on_paths, settings_of_subtree
from flags.states.planning import ANYTHING, UNREAD, Agreed, Plan, of_settings
from flags.states.set_flag import FlagToSet, check_can_be_set, check_is_not_locked, lock_flag, tell, write_change
from flags.states.setting_rules import LOCK, NONE, SET, PlacedSetting
from flags.states.shown_values import shown
from flags.undoing.undone import (
    MOST_NAMED,
    NOTHING_LEFT,
    SETTING,
    LeftAlone,
    Restored,
    UndoableChange,
    Undone,
    UndoPlan,
)
from flags.values.json_schema import check_values
from flags.values.types import FlagType
from flags.values.variants import BY_ENABLED, is_custom
from flagsite.core import actor
from orgs.access.caller import Caller
from orgs.access.visible_organizations import find_visible_organization, hold_visible_organization
from orgs.audit import audit_log
from orgs.errors import OrganizationNotFound
from orgs.tree.models import Organization
from orgs.tree.subtrees import Subtree, is_in_subtree

UNDOABLE = (SET, LOCK, NONE)
"""The kinds of changes of settings that can be undone. An exemption ends in its own way."""
# A setting that would have ended by now stays ended. A setting is as the change has left it if it still has the
# decision that it had under the number of the change: moves, exemptions and undone changes since do not matter.
# Whatever the statistics promise, each row is looked up by its key, and the update is no nested loop.
CURRENT = f"""
current AS MATERIALIZED (
    SELECT replaced.organization_id, setting.kind, replaced.id AS replaced_id, place.is_inside,
           place.is_inside AND (setting.number = %(undone)s OR EXISTS (
               SELECT FROM (SELECT * FROM flags_replacedsetting  -- index former_setting
                             WHERE organization_id = replaced.organization_id OFFSET 0) left_so
                WHERE left_so.flag_id = replaced.flag_id AND left_so.number = %(undone)s
                  AND left_so.decision = setting.decision)) AS is_as_left
      FROM (SELECT * FROM flags_replacedsetting WHERE replaced_by = %(undone)s OFFSET 0) replaced, LATERAL (
           SELECT number, decision, kind FROM flags_flagsetting
            WHERE organization_id = replaced.organization_id AND flag_id = replaced.flag_id OFFSET 0) setting, LATERAL (
           SELECT {is_in_subtree("organization")} AS is_inside FROM orgs_organization organization
            WHERE id = replaced.organization_id OFFSET 0) place
     WHERE replaced.flag_id = %(flag)s)
"""  # noqa: S608 - no input in it
RESTORE = f"""
SET LOCAL enable_nestloop = off;
WITH {CURRENT},
before AS MATERIALIZED (
    SELECT current.organization_id, current.kind AS current_kind, replaced.kind, replaced.enabled, replaced.only_here,
           replaced.variant, replaced.kept_from_id, replaced.expires_at, replaced.decision, replaced.kind <> 'none'
           AND (replaced.expires_at IS NULL OR replaced.expires_at > now()) AS is_restored
      FROM current, LATERAL (SELECT * FROM flags_replacedsetting WHERE id = current.replaced_id OFFSET 0) replaced
     WHERE is_as_left),
restored AS (
    UPDATE flags_flagsetting setting
       SET number = %(number)s,
           decision = CASE WHEN is_restored OR before.kind = 'none' THEN before.decision ELSE %(number)s END,
           kind = CASE WHEN is_restored THEN before.kind ELSE 'none' END,
           enabled = CASE WHEN is_restored THEN before.enabled END,
           variant = CASE WHEN is_restored THEN before.variant ELSE 0 END,
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
              WHERE current_kind = 'lock' AND NOT (is_restored AND kind = 'lock')) AS unlocked;
SET LOCAL enable_nestloop TO DEFAULT;
"""  # noqa: S608 - no input in it
# What RESTORE would do: each setting that the change has replaced or ended, as it is now, and as it would be.
REPLACED = f"""
WITH {CURRENT}
SELECT {COLUMNS}, place.starts_at, place.ends_at, place.size, current.is_inside, current.is_as_left,
       CASE WHEN is_restored THEN replaced.kind ELSE 'none' END, CASE WHEN is_restored THEN replaced.enabled END,
       CASE WHEN is_restored THEN COALESCE(replaced.kept_from_id, setting.organization_id)
            ELSE setting.organization_id END,
       is_restored AND replaced.only_here, CASE WHEN is_restored THEN replaced.variant ELSE 0 END
  FROM current, LATERAL (
       SELECT *, kind <> 'none' AND (expires_at IS NULL OR expires_at > now()) AS is_restored
         FROM flags_replacedsetting WHERE id = current.replaced_id OFFSET 0) replaced, LATERAL (
       SELECT * FROM flags_flagsetting
        WHERE organization_id = current.organization_id AND flag_id = %(flag)s OFFSET 0) setting, LATERAL (
       SELECT {PLACE} FROM orgs_organization organization WHERE id = current.organization_id OFFSET 0) place
 ORDER BY place.starts_at
"""  # noqa: S608 - no input in it
TOO_OLD = (
    "Nothing tells what was set before this change. It was made before history begins, or by an earlier version of "
    "Flagsite."
)
NO_SETTING = "The change cannot be undone: it is no set, lock or reset. End an exemption by its end."


class ChangedSettings(UndoableChange):
    """A set, a lock or a reset of a flag, or an undo of one."""

    kind = SETTING

    def __init__(self, caller: Caller, change: Change, organization: Organization) -> None:
        self.number = change.number
        self.flag: Flag = change.flag
        self.organization: Organization = organization
        self.requested_by = change.requested_by
        self.created_at = change.created_at
        self._caller = caller
        self._change = change

    @property
    def in_words(self) -> str:
        verb = {SET: "set", LOCK: "locked"}.get(self._change.kind)
        value = f" {self._change.value_in_words}" if verb else ""
        return f"{verb or 'reset'} {self._change.flag.key}{value} for {self.organization.name}"

    def plan(self) -> UndoPlan:
        flag = self._change.flag
        with locks_named_for(self._caller), hold_visible_organization(self._caller, self.organization.pk) as held:
            check_can_be_set(flag.key, held.pk)
            pairs, left_alone = _replaced(held.subtree, flag.pk, self.number)
            if not pairs:
                raise ChangeNotUndoable(NOTHING_LEFT if left_alone.count else TOO_OLD)
            _check_restorable(flag, pairs)
            plan = _plan(held.subtree, flag, self.number, pairs)
        restores = [
            Restored(_json(old, flag), _json(new, flag), old.organization_id) for old, new in pairs[:MOST_NAMED]
        ]
        effect = plan.effect
        return UndoPlan(
            self, effect.organizations, effect.changed, is_estimate=False, restored=len(pairs), restores=restores,
            left_alone=left_alone, effect=plan,
        )  # fmt: skip

    def undo(self, *, agreed: Agreed = ANYTHING, correlation_id: str = "", reason: str = "") -> Undone:
        with locks_named_for(self._caller), hold_visible_organization(self._caller, self.organization.pk) as held:
            found = lock_flag(self._change.flag.key, held)
            if found is None or found.flag.pk != self._change.flag_id:
                raise ChangeNotFound
            check_is_not_locked(held.pk, found.flag)
            pairs, _ = _replaced(held.subtree, found.flag.pk, self.number)
            _check_restorable(found.flag, pairs)
            if agreed != ANYTHING:
                agreed.check(_plan(held.subtree, found.flag, self.number, pairs))
            restored, left_alone = _restore(held, found, self.number, self._caller.name, reason)
            if not restored:
                raise ChangeNotUndoable(NOTHING_LEFT if left_alone.count else TOO_OLD)
            change = self._record(held, found, correlation_id, reason, restored=restored, leftAlone=left_alone.count)
            return Undone(self, change.number, restored, left_alone, change.job)

    def _record(self, held: Organization, found: FlagToSet, correlation_id: str, reason: str, **details: Any) -> Change:
        by = self._caller.name
        (value,) = decided_on_paths([held.pk], [found.flag.pk]).values()
        change = Change(
            number=found.number, flag=found.flag, organization_id=held.pk, kind=NONE, enabled=value.enabled,
            variant=value.variant, source_id=value.source_id, requested_by=by,
        )  # fmt: skip
        write_change(held, change, value, {"undo": self.number}, correlation_id)
        audit_log.record(
            "flag.undo", f"flag:{found.flag.key}", by=by, organization_id=held.pk, reason=reason, before=found.before,
            enabled=value.enabled, changeNumber=change.number, jobId=change.job_id, undone=self.number, **details,
        )  # fmt: skip
        tell(held, change, found.flag.key, did=f"undone change {self.number} of the flag {found.flag.key}")
        return change


def find(caller: Caller, number: int) -> ChangedSettings | None:
    """Return the change of settings with a number; None if there is none. Raises ChangeNotFound, ChangeNotUndoable."""
    change = Change.objects.select_related("flag").filter(number=number).order_by("pk").first()
    if change is None:
        return None
    try:
        organization = find_visible_organization(caller, change.organization_id)
    except OrganizationNotFound as error:
        raise ChangeNotFound from error
    if HistoryBegin.objects.filter(begins_at__gt=change.created_at).exists():
        raise ChangeNotUndoable(TOO_OLD)
    if change.kind not in UNDOABLE or (change.source_id not in (None, change.organization_id) and change.kind != NONE):
        raise ChangeNotUndoable(NO_SETTING)
    return ChangedSettings(caller, change, organization)


def _replaced(
    subtree: Subtree, flag_id: int, number: int
) -> tuple[list[tuple[PlacedSetting, PlacedSetting]], LeftAlone]:
    """Return the settings to restore, as they are and as they would be, and what is left alone."""
    with connection.cursor() as cursor:
        cursor.execute(REPLACED, {"undone": number, "flag": flag_id, **subtree.parameters()})
        rows = cursor.fetchall()
    pairs, left_alone, count = [], [], 0
    for row in rows:
        now, (is_inside, is_as_left, kind, enabled, source_id, only_here, variant) = PlacedSetting(*row[:12]), row[12:]
        if is_as_left:
            then = {"kind": kind, "enabled": enabled, "source_id": source_id, "only_here": only_here}
            pairs.append((now, replace(now, **then, variant=variant)))
            continue
        count += 1
        left_alone += [now.organization_id] if is_inside else []
    return pairs, LeftAlone(organization_ids=sorted(left_alone)[:MOST_NAMED], count=count)


def _check_restorable(flag: Flag, pairs: Sequence[tuple[PlacedSetting, PlacedSetting]]) -> None:
    """Check that the flag still has the variants that would come back, and that custom values fit its schema.

    Raises ChangeNotUndoable.
    """
    numbers = {then.variant for _, then in pairs} - {BY_ENABLED}
    known = {each["number"] for each in flag.variants}
    if any(not is_custom(number) and number not in known for number in numbers):
        raise ChangeNotUndoable("The flag no longer has a variant that was set before. Set another one.")
    custom = CustomValue.objects.filter(pk__in=[number for number in numbers if is_custom(number)])
    try:
        check_values(
            flag.value_schema, (("The former value", value) for value in custom.values_list("value", flat=True))
        )
    except ValidationError as error:
        raise ChangeNotUndoable(" ".join(error.messages)) from error


def _plan(subtree: Subtree, flag: Any, number: int, pairs: list[tuple[PlacedSetting, PlacedSetting]]) -> Plan:
    """Return the plan of restoring settings. Ended settings that a change of now would not read belong to it too."""
    settings = settings_of_subtree(subtree, [flag.pk])[flag.pk]
    restored = {now.organization_id: then for now, then in pairs}
    read = {each.organization_id for each in settings.below}
    more = [now for now, _ in pairs if now.organization_id not in {*read, subtree.organization_id}]
    before = SettingsOfSubtree(settings.path, sorted([*settings.below, *more], key=lambda each: each.start))
    after = SettingsOfSubtree(*(_restored(each, restored) for each in (before.path, before.below)))
    ended = sum(
        now.kind != NONE and then.kind == NONE and now.organization_id != subtree.organization_id for now, then in pairs
    )
    return of_settings(subtree, flag, before, after, f"undo {number}", ended=ended)


def _restored(settings: list[PlacedSetting], restored: dict[int, PlacedSetting]) -> list[PlacedSetting]:
    """Return the settings as they would be. A lock that goes takes the exemptions from it along."""
    unlocked = {
        each.organization_id
        for each in settings
        if each.kind == LOCK and restored.get(each.organization_id, each).kind != LOCK
    }
    found = []
    for each in settings:
        then = restored.get(each.organization_id, each)
        is_over = then.exempt_from_id is not None and then.exempt_from_id in unlocked
        found.append(replace(then, exempt_from_id=None) if is_over else then)
    return found


def _json(setting: PlacedSetting, flag: Flag) -> dict[str, Any] | None:
    if setting.kind == NONE:
        return None
    value = shown(flag, setting.enabled, setting.variant, {setting.variant: UNREAD})
    document = {"kind": setting.kind, "value": setting.enabled, "reach": "here" if setting.only_here else "below"}
    return document if flag.type == FlagType.BOOLEAN else document | {"variant": value.variant}


def _restore(
    organization: Organization, found: FlagToSet, number: int, requested_by: str, reason: str
) -> tuple[int, LeftAlone]:
    parameters: dict[str, Any] = {
        "undone": number, "flag": found.flag.pk, "organization": organization.pk, "number": found.number,
        "by": requested_by, "reason": reason or actor.current().reason, "most": MOST_NAMED,
        **organization.subtree.parameters(),
    }  # fmt: skip
    with connection.cursor() as cursor:
        cursor.execute(RESTORE, parameters)
        flag_settings.skip_to_rows(cursor)
        restored, left_alone, count, unlocked = cursor.fetchone()
    if unlocked:
        flag_settings.end_exemptions_from(unlocked, found.flag.pk)
    return int(restored), LeftAlone(organization_ids=list(left_alone), count=int(count))
