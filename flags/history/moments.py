"""Moments of the past: parsing what a request asks for, and checking that history knows the moment."""

from __future__ import annotations

import re
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any

from django.db import connection

from flags.definitions.visible_flags import is_visible
from flags.errors import BeforeHistory, InvalidMoment
from flags.history.models import FormerDefinition
from flagsite.core.api.times import FIRST_YEAR, LAST_YEAR
from flagsite.core.ids import MAX_ID
from orgs.access.caller import Caller
from orgs.tree.paths import path_ids_of
from orgs.tree.subtrees import Stretch, is_in_subtree, load_subtree

NUMBER_PATTERN = r"[1-9][0-9]{0,18}"
TIME_PATTERN = (
    r"[12][0-9]{3}-(0[1-9]|1[0-2])-(0[1-9]|[12][0-9]|3[01])T([01][0-9]|2[0-3]):[0-5][0-9]"
    r"(:[0-5][0-9](\.[0-9]{1,6})?)?(Z|[+-]([01][0-9]|2[0-3]):[0-5][0-9])?"
)
HOW_TO_ASK = "Write a time such as 2026-03-14T12:00Z, or the number of a change."
LONGEST = 40


@dataclass(frozen=True, slots=True)
class Moment:
    """A moment of the past that history knows. `number` is the change right after which it is, if one was named."""

    at: datetime
    number: int | None = None

    def __str__(self) -> str:
        return f"{self.at:%Y-%m-%dT%H:%M:%S.%fZ}"


def present_moment() -> Moment:
    """Return the moment of now."""
    with connection.cursor() as cursor:
        cursor.execute(CLOCK)
        return Moment(cursor.fetchone()[0])


CLOCK = "SELECT clock_timestamp(), (SELECT min(begins_at) FROM flags_historybegin)"
# A change writes several rows, each a little later than the one before, and holds its locks all the time. A creation
# below its organization writes rows with its number too, and much later (`flags.states.inheritance`).
MOMENT_OF_CHANGE = f"""
SELECT max(moment)
  FROM (SELECT created_at, organization_id FROM flags_change change
         WHERE number = %(number)s AND (kind <> 'move' OR EXISTS (
               SELECT FROM flags_formerplacement moved
                WHERE moved.replaced_by = change.number AND moved.organization_id = change.organization_id))
         UNION ALL
        SELECT replaced_at, organization_id FROM flags_replacedsetting WHERE replaced_by = %(number)s
         UNION ALL
        SELECT valid_until, organization_id FROM flags_formerplacement WHERE replaced_by = %(number)s
         UNION ALL
        SELECT valid_until, NULL FROM flags_formerdefinition WHERE replaced_by = %(number)s AND %(sees_definition)s
         UNION ALL
        SELECT valid_until, NULL FROM flags_formersegment WHERE replaced_by = %(number)s AND %(sees_all)s
       ) written (moment, organization_id)
 WHERE organization_id IS NULL OR %(sees_all)s OR organization_id = ANY(%(above)s)
    OR EXISTS (SELECT FROM orgs_organization organization
                WHERE organization.id = written.organization_id AND {is_in_subtree("organization")})
"""  # noqa: S608 - no input in it


def find_moment(caller: Caller, asked: str) -> Moment:
    """Return the moment that a request names: a time, or a change number for the moment right after this change.

    A caller with a scope can name the changes on the organizations of the scope and above them, and those of the
    definitions that the caller may see. Raises InvalidMoment for a text that is neither, a time in the future, and an
    unknown number. Raises BeforeHistory for a moment before history begins.
    """
    number = int(asked) if re.fullmatch(NUMBER_PATTERN, asked[:LONGEST]) else None
    at = _moment_of_change(caller, number) if number is not None else _parse_time(asked)
    with connection.cursor() as cursor:
        cursor.execute(CLOCK)
        now, begins_at = cursor.fetchone()
    if at > now:
        raise InvalidMoment(f"{asked} is in the future. The time is {now:%Y-%m-%dT%H:%M:%SZ}.")
    if begins_at is None or at < begins_at:
        raise BeforeHistory.beginning(begins_at)
    return Moment(at, number)


def _parse_time(text: str) -> datetime:
    """Return the time in UTC. One without an offset is in UTC already."""
    if len(text) <= LONGEST and re.fullmatch(TIME_PATTERN, text):
        try:
            time = datetime.fromisoformat(text)
        except ValueError:
            raise InvalidMoment(HOW_TO_ASK) from None
        if FIRST_YEAR <= time.year <= LAST_YEAR:
            return time.replace(tzinfo=UTC) if time.tzinfo is None else time.astimezone(UTC)
    raise InvalidMoment(HOW_TO_ASK)


def _moment_of_change(caller: Caller, number: int) -> datetime:
    """Return the moment right after a change. Raises InvalidMoment."""
    unknown = InvalidMoment(f"There is no change {number}, or you may not see it. {HOW_TO_ASK}")
    if number > MAX_ID:
        raise unknown
    with connection.cursor() as cursor:
        cursor.execute(MOMENT_OF_CHANGE, {"number": number, **_what_is_seen(caller, number)})
        moment: datetime | None = cursor.fetchone()[0]
    if moment is None:
        raise unknown
    return moment


def _what_is_seen(caller: Caller, number: int) -> dict[str, Any]:
    if caller.organization_id is None:
        return {"sees_all": True, "above": [], "sees_definition": True, **Stretch(0, 0, 0).parameters()}
    subtree = load_subtree(caller.organization_id)
    flag_id = FormerDefinition.objects.filter(replaced_by=number).values_list("flag_id", flat=True).first()
    return {
        "sees_all": False,
        "above": path_ids_of(caller.organization_id),
        "sees_definition": flag_id is not None and is_visible(caller, flag_id),
        **(subtree.stretch if subtree else Stretch(0, 0, 0)).parameters(),
    }
