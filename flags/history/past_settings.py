"""Reading the tree and the settings of a past moment: the path of an organization, and what decided on it.

A look-up finds what held then: the first row of history that ended after the moment, or else the row of now. Each
organization of the path costs two look-ups for its placement and two for each setting.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from django.db import connection

from flags.history.moments import Moment
from flags.states.setting_rules import DecidedValue, PlacedSetting, decide
from orgs.access.caller import Caller
from orgs.errors import OrganizationNotFound


@dataclass(frozen=True, slots=True)
class PastPlace:
    """An organization of a path as it was then. `is_gone` says that it was deleted since."""

    id: int
    key: str
    name: str
    created_at: datetime
    is_gone: bool


@dataclass(frozen=True, slots=True)
class PastSetting:
    """A setting that held then, and who had made it."""

    placed: PlacedSetting
    requested_by: str
    reason: str
    created_at: datetime


@dataclass(frozen=True, slots=True)
class PastPath:
    """The path of an organization as it was then, root first, with the settings on it by flag, root first too.

    `seen` is the number of organizations at its lower end that the caller may see. `is_bound` says whether the caller
    has a scope, and so does not see who has defined flags.
    """

    moment: Moment
    places: Sequence[PastPlace]
    settings: Mapping[int, Sequence[PastSetting]]
    seen: int
    is_bound: bool

    @property
    def organization_id(self) -> int:
        """The organization of the question."""
        return self.places[-1].id

    @property
    def seen_ids(self) -> frozenset[int]:
        """The organizations of the path that the caller may see."""
        return frozenset(place.id for place in self.places[len(self.places) - self.seen :])

    def decided(self, flag_id: int) -> DecidedValue:
        """Return what the settings decided for the organization."""
        return decide(flag_id, [one.placed for one in self.settings.get(flag_id, ())], self.organization_id)

    def decided_on_each(self, flag_id: int) -> list[DecidedValue]:
        """Return what the settings decided for each organization of the path, root first."""
        own = {one.placed.organization_id: one.placed for one in self.settings.get(flag_id, ())}
        on_path: list[PlacedSetting] = []
        values: list[DecidedValue] = []
        decides_anew = True
        for place in self.places:
            on_path += [own[place.id]] if place.id in own else []
            # below a setting, the value may differ once more, if it counts for its organization only
            if decides_anew or place.id in own:
                value = decide(flag_id, on_path, place.id)
            decides_anew = place.id in own
            values.append(value)
        return values


# Of the placements that ended later, the first one held.
PLACE = """
SELECT id, key, name, parent_id, created_at, is_gone
  FROM ((SELECT organization_id AS id, key, name, parent_id, created_at,  -- index former_placement
                NOT EXISTS (SELECT FROM orgs_organization WHERE id = organization_id) AS is_gone, 1 AS place
           FROM flags_formerplacement WHERE organization_id = {id} AND valid_until > %(at)s
          ORDER BY valid_until, flags_formerplacement.id LIMIT 1)
         UNION ALL
        (SELECT id, key, name, parent_id, created_at, FALSE, 2 FROM orgs_organization WHERE id = {id})) either
 ORDER BY place LIMIT 1
"""
PATH_THEN = f"""
path AS (
    SELECT place.*, 0 AS distance FROM ({PLACE.format(id="%(organization)s")}) place
     UNION ALL
    SELECT above.*, path.distance + 1 FROM path, LATERAL ({PLACE.format(id="path.parent_id")}) above)
"""  # noqa: S608 - no input in it
PLACES = f"WITH RECURSIVE {PATH_THEN} SELECT id, key, name, created_at, is_gone FROM path ORDER BY distance DESC"  # noqa: S608
COLUMNS = (
    """kind, enabled, kept_from_id, number, only_here, exempt_from_id, requested_by, reason, created_at, variant"""
)
SETTINGS_THEN = f"""
SELECT decided.flag_id, place.id, setting.kind, setting.enabled, COALESCE(setting.kept_from_id, place.id),
       setting.number, setting.only_here, setting.exempt_from_id, setting.variant, setting.requested_by,
       setting.reason, setting.created_at
  FROM unnest(%(ids)s::bigint[], %(gone)s::boolean[]) WITH ORDINALITY AS place (id, is_gone, level)
 CROSS JOIN LATERAL (  -- an organization that is gone has only rows of history
       SELECT flag_id FROM flags_flagsetting WHERE organization_id = place.id {{of_flags}}
        UNION ALL
       SELECT DISTINCT flag_id FROM flags_replacedsetting
        WHERE place.is_gone AND organization_id = place.id {{of_flags}}) decided
 CROSS JOIN LATERAL (
       SELECT {COLUMNS} FROM (
              (SELECT {COLUMNS}, 1 AS place FROM flags_replacedsetting  -- index former_setting
                WHERE organization_id = place.id AND flag_id = decided.flag_id AND replaced_at > %(at)s
                ORDER BY replaced_at, id LIMIT 1)
               UNION ALL
              (SELECT {COLUMNS}, 2 FROM flags_flagsetting
                WHERE organization_id = place.id AND flag_id = decided.flag_id)) either
        ORDER BY either.place LIMIT 1) setting
 WHERE setting.number > 0 AND setting.created_at <= %(at)s
 ORDER BY decided.flag_id, place.level
"""  # noqa: S608 - no input in it


def past_path(
    caller: Caller, organization_id: int, moment: Moment, *, flag_ids: Iterable[int] | None = None
) -> PastPath:
    """Return the path of an organization at a moment, with the settings on it: of these flags, or of all.

    The caller may see the organization now. A caller with a scope gets an answer only for a moment at which the
    organization was in this scope. Raises OrganizationNotFound otherwise, and if the organization was created later.
    """
    with connection.cursor() as cursor:
        cursor.execute(PLACES, {"organization": organization_id, "at": moment.at})
        places = [PastPlace(*row) for row in cursor.fetchall()]
    if not places or places[-1].created_at > moment.at:
        raise OrganizationNotFound(f"The organization {organization_id} did not exist at {moment}.")
    ids = [place.id for place in places]
    if caller.organization_id is not None and caller.organization_id not in ids:
        raise OrganizationNotFound(f"The organization {organization_id} was not in your part of the tree at {moment}.")
    above = 0 if caller.organization_id is None else ids.index(caller.organization_id)
    return PastPath(
        moment, places, _settings(places, moment, flag_ids), len(places) - above, caller.organization_id is not None
    )


def _settings(
    places: Sequence[PastPlace], moment: Moment, flag_ids: Iterable[int] | None
) -> dict[int, list[PastSetting]]:
    parameters: dict[str, Any] = {
        "ids": [place.id for place in places],
        "gone": [place.is_gone for place in places],
        "at": moment.at,
        "flags": list(flag_ids) if flag_ids is not None else [],
    }
    of_flags = "" if flag_ids is None else "AND flag_id = ANY(%(flags)s)"
    settings: dict[int, list[PastSetting]] = {}
    with connection.cursor() as cursor:
        cursor.execute(SETTINGS_THEN.format(of_flags=of_flags), parameters)
        for row in cursor.fetchall():
            settings.setdefault(row[0], []).append(PastSetting(PlacedSetting(row[0], row[1], *row[2:9]), *row[9:]))
    return settings
