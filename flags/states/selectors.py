"""Reading the flags of an organization: the effective values, and the stored values beside them.

All channels read flags here. A read makes a constant number of queries, and finds flag states by primary key.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime

from django.db import connection
from django.db.models import Q, QuerySet

from flags.definitions import loader
from flags.definitions.models import check_flag_key
from flags.definitions.refusals import unknown_flag
from flags.evaluation.context_loader import (
    INHERITED_STATES,
    load_custom_values,
    organization_attributes_read,
    with_attributes,
)
from flags.evaluation.effective_value import EffectiveValue, EffectiveValues, off_for_everybody
from flags.evaluation.engine import Definition, OrganizationContext, StateValue
from flags.evaluation.reasons import Rule
from flags.states.models import FlagState
from flags.values.served import Served
from flags.values.types import FlagType
from orgs.tree.models import Organization
from orgs.tree.paths import path_keys_of, path_parameters

PLACES_OF_INHERITED_STATES = f"""
WITH RECURSIVE {INHERITED_STATES}
SELECT organization_id, array_agg(flag_id) FROM inherited GROUP BY organization_id
"""  # noqa: S608 - no input in it


@dataclass(frozen=True, slots=True)
class EffectiveState:
    """One flag in one organization: its effective value, its stored value, and where the stored value comes from.

    If nobody set the flag on the organization or on an ancestor, `source_organization_id` is None and the stored value
    is the flag's default.
    """

    flag_id: int
    flag_key: str
    organization_id: int
    value: EffectiveValue
    stored_value: bool
    source_organization_id: int | None = None
    job_id: int | None = None
    updated_at: datetime | None = None
    serves: Served | None = None
    """The variant and the value, for a user as `EffectiveValue` describes; None for a boolean flag."""

    @property
    def enabled(self) -> bool:
        """The effective value."""
        return self.value.enabled

    @property
    def inherited(self) -> bool:
        """Whether the stored value was set on an ancestor of the organization."""
        return self.source_organization_id not in (None, self.organization_id)

    @property
    def in_words(self) -> str:
        """The effective value for people, such as "on", "off" or "on for 25 % of users"."""
        if self.value.rollout_percentage is not None and self.enabled:
            return f"on for {self.value.rollout_percentage:g} % of users"
        if self.value.depends_on_user:
            return "depends on the user" if self.enabled else "off, except for some users"
        if self.serves is not None and self.serves.variant:
            return self.serves.variant
        return "on" if self.enabled else "off"

    @property
    def why(self) -> str:
        """A sentence for people on the effective value; empty if it is the stored value for every user."""
        if self.value.rule in (Rule.ORGANIZATION, Rule.DEFAULT):
            return "Some users are on the whitelist." if self.value.depends_on_user else ""
        return self.value.detail

    @property
    def note(self) -> str:
        """As `why`, with the stored value."""
        return f"{self.why} The stored value is {'on' if self.stored_value else 'off'}." if self.why else ""


def effective_state(*, organization: Organization, flag_key: str, environment: str | None = None) -> EffectiveState:
    """Return a flag in an organization. Raises FlagNotFound, InvalidFlagKey.

    An organization that was just imported may not have its flag states yet. Then it has the stored value of its nearest
    ancestor that has a flag state.
    """
    check_flag_key(flag_key)
    definitions = loader.load_needed(keys=[flag_key])
    if flag_key not in definitions:
        raise unknown_flag(flag_key, known_to=organization.pk)
    return _effective(organization, [flag_key], definitions, {}, environment)[0]


def effective_states(organization: Organization) -> QuerySet[FlagState]:
    """Return the organization's flag states in the order of the flags' ids: a query, after another query.

    If the organization does not have its own state of a flag yet, the state of its nearest ancestor takes its place.
    """
    with connection.cursor() as cursor:
        cursor.execute(PLACES_OF_INHERITED_STATES, path_parameters([organization.pk]))
        places = cursor.fetchall()
    rows = Q(organization_id=organization.pk)
    for ancestor_id, flag_ids in places:
        rows |= Q(organization_id=ancestor_id, flag_id__in=flag_ids)
    return FlagState.objects.filter(rows, enabled__isnull=False).order_by("flag_id")


def as_effective(
    organization: Organization, states: Iterable[FlagState], environment: str | None = None
) -> list[EffectiveState]:
    """Return the flags of rows of `effective_states`, in the same order, with three queries at most."""
    state_of = {state.flag_id: state for state in states}
    definitions = loader.load_needed(ids=state_of) if state_of else {}
    key_of = {definition.id: key for key, definition in definitions.items()}
    keys = [key_of[flag_id] for flag_id in state_of if flag_id in key_of]  # without flags that were purged meanwhile
    return _effective(organization, keys, definitions, state_of, environment)


def effective_among(organization: Organization, flag_ids: Iterable[int]) -> dict[int, EffectiveState]:
    """Return some flags in the organization by their ids, also those that nobody set, with five queries at most."""
    ids = list(flag_ids)
    definitions = loader.load_needed(ids=ids) if ids else {}
    keys = [key for key, definition in definitions.items() if definition.id in set(ids)]
    return {state.flag_id: state for state in _effective(organization, keys, definitions, {}, None)} if keys else {}


def why_off_for_everybody(flag_key: str) -> EffectiveValue | None:
    """Return why a flag is off in every organization, whatever its stored values are; None if it is not.

    Also returns None if the flag does not exist.
    """
    return off_for_everybody_among([flag_key]).get(flag_key)


def off_for_everybody_among(flag_keys: Iterable[str]) -> dict[str, EffectiveValue]:
    """Return why flags are off in every organization, by key, for those of these flags that are, with one query."""
    keys = list(flag_keys)
    definitions = loader.load_needed(keys=keys) if keys else {}
    causes = {key: off_for_everybody(key, definitions) for key in keys if key in definitions}
    return {key: cause for key, cause in causes.items() if cause is not None}


def _effective(
    organization: Organization,
    keys: Iterable[str],
    definitions: Mapping[str, Definition],
    known: Mapping[int, FlagState],
    environment: str | None,
) -> list[EffectiveState]:
    """Return the flags in the organization. `known` has flag states that the caller has read."""
    missing = [definition.id for definition in definitions.values() if definition.id not in known]
    own = FlagState.objects.filter(organization_id=organization.pk, flag_id__in=missing) if missing else ()
    state_of = {**known, **{state.flag_id: state for state in own}}
    missing = [flag_id for flag_id in missing if flag_id not in state_of]
    path = {organization.pk: organization.key}
    if missing or any(definition.asks_for_path for definition in definitions.values()):
        path = path_keys_of(organization.pk) or path
    if len(path) > 1:
        state_of |= _nearest_states(list(path)[:-1], missing)
    context = with_attributes(_context(path, state_of.values()), organization_attributes_read(definitions.values()))
    values = EffectiveValues(context, environment, definitions)
    return [
        _effective_state(
            organization.pk,
            definitions[key],
            state_of.get(definitions[key].id),
            values.of(key),
        )
        for key in keys
    ]


NEAREST_STATES = """
SELECT DISTINCT ON (state.flag_id) {columns}
  FROM unnest(%(path)s) WITH ORDINALITY AS place (organization_id, level), LATERAL (
       SELECT * FROM flags_flagstate
        WHERE organization_id = place.organization_id AND flag_id = ANY(%(flags)s) OFFSET 0) state
 WHERE NOT EXISTS (SELECT FROM flags_flagsetting setting
                    WHERE setting.organization_id = state.organization_id AND setting.flag_id = state.flag_id
                      AND only_here)
 ORDER BY state.flag_id, place.level DESC
"""


def _nearest_states(ancestor_ids: Sequence[int], flag_ids: Sequence[int]) -> dict[int, FlagState]:
    """Return the flag states of the nearest ancestor that has one, by flag id. `ancestor_ids` begins with the root."""
    if not ancestor_ids or not flag_ids:
        return {}
    columns = [column.attname for column in FlagState._meta.concrete_fields]
    statement = NEAREST_STATES.format(columns=", ".join(f"state.{column}" for column in columns))
    with connection.cursor() as cursor:
        cursor.execute(statement, {"path": list(ancestor_ids), "flags": list(flag_ids)})
        states = [FlagState.from_db(connection.alias, columns, row) for row in cursor.fetchall()]
    return {state.flag_id: state for state in states}


def _context(path: Mapping[int, str], states: Iterable[FlagState]) -> OrganizationContext:
    states = list(states)
    custom = load_custom_values(state.variant for state in states)
    values = {
        state.flag_id: StateValue(
            state.flag_id,
            state.enabled,
            state.source_id or 0,
            state.change_number,
            state.locked,
            state.variant,
            custom.get(state.variant),
        )
        for state in states
        if state.enabled is not None
    }
    return OrganizationContext(tuple(path), tuple(path.values()), values)


def _effective_state(
    organization_id: int,
    definition: Definition,
    state: FlagState | None,
    value: EffectiveValue,
) -> EffectiveState:
    serves = serves_in(definition, value)
    if state is None or state.enabled is None:
        return EffectiveState(definition.id, definition.key, organization_id, value, definition.enabled, serves=serves)
    return EffectiveState(
        definition.id, definition.key, organization_id, value, state.enabled,
        state.source_id, state.job_id, state.updated_at, serves,
    )  # fmt: skip


def serves_in(definition: Definition, value: EffectiveValue) -> Served | None:
    """Return the variant and the value of an effective value. None for a boolean flag."""
    return None if definition.type == FlagType.BOOLEAN else value.serves
