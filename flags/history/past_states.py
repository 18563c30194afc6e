"""The values of an organization's flags at a past moment, as reads and evaluations told them then."""

from __future__ import annotations

from collections.abc import Collection, Iterable, Mapping
from dataclasses import dataclass

from flags.evaluation.context_loader import load_custom_values, organization_attributes_read, with_attributes
from flags.evaluation.effective_value import EffectiveValues
from flags.evaluation.engine import Definition, OrganizationContext, StateValue
from flags.history.causes import Cause, causes
from flags.history.moments import Moment
from flags.history.past_definitions import PastDefinition, evaluated, past_definition, past_definitions
from flags.history.past_settings import PastPath, past_path
from flags.states.selectors import EffectiveState, serves_in
from orgs.access.caller import Caller


@dataclass(frozen=True, slots=True)
class PastState(EffectiveState):
    """One flag in one organization at a past moment. `cause` is None if nobody had set the flag here or above.

    `updated_at` is when the value had been written to the organizations below, None while this was still to come.
    """

    moment: Moment | None = None
    cause: Cause | None = None
    version: int = 1
    """The version of the definition that held then."""
    defined_by: str = ""
    """Who had written this version; empty for a caller with a scope."""

    @property
    def past(self) -> PastState:
        """The state itself, for serializers."""
        return self


def flags_with_values(path: PastPath) -> list[int]:
    """Return the ids of the flags that somebody had set on the organization or above it, in ascending order."""
    return [flag_id for flag_id in sorted(path.settings) if path.decided(flag_id).enabled is not None]


def past_state(
    caller: Caller, organization_id: int, flag_key: str, moment: Moment, environment: str | None = None
) -> PastState:
    """Return a flag in an organization at a moment. Raises OrganizationNotFound, FlagNotFound, BeforeHistory."""
    definitions = past_definition(moment, flag_key)
    path = past_path(caller, organization_id, moment, flag_ids=[one.definition.id for one in definitions.values()])
    return _states(path, definitions, [flag_key], environment)[0]


def past_states(path: PastPath, flag_ids: Collection[int], environment: str | None = None) -> list[PastState]:
    """Return these flags in the organization of a path that has all settings. Flags of later are left out."""
    definitions = past_definitions(path.moment, ids=flag_ids)
    asked = frozenset(flag_ids)
    keys = [key for key, one in definitions.items() if one.definition.id in asked]
    return _states(path, definitions, sorted(keys, key=lambda key: definitions[key].definition.id), environment)


def organization_context(path: PastPath, definitions: Iterable[Definition]) -> OrganizationContext:
    """Return what evaluations of these flags knew of the organization of a path.

    Attributes of organizations keep no history: those of now count.
    """
    decided = {flag_id: path.decided(flag_id) for flag_id in path.settings}
    custom = load_custom_values(value.variant for value in decided.values())
    values = {
        flag_id: StateValue(
            flag_id,
            value.enabled,
            value.source_id or 0,
            value.number,
            value.locked,
            value.variant,
            custom.get(value.variant),
        )
        for flag_id, value in decided.items()
        if value.enabled is not None
    }
    ids = tuple(place.id for place in path.places)
    context = OrganizationContext(ids, tuple(place.key for place in path.places), values)
    return with_attributes(context, organization_attributes_read(definitions))


def _states(
    path: PastPath, definitions: Mapping[str, PastDefinition], keys: Collection[str], environment: str | None
) -> list[PastState]:
    context = organization_context(path, [one.definition for one in definitions.values()])
    values = EffectiveValues(context, environment, evaluated(definitions))
    caused = causes(path, [definitions[key].definition.id for key in keys])
    states = []
    for key in keys:
        definition, cause = definitions[key].definition, caused.get(definitions[key].definition.id)
        state = context.states.get(definition.id)
        author = "" if path.is_bound else definitions[key].updated_by
        states.append(
            PastState(
                definition.id, key, path.organization_id, values.of(key),
                definition.enabled if state is None else state.enabled,
                None if state is None else state.source_id,
                cause.job_id if cause and state else None,
                cause.settled_at if cause and state and not cause.settling else None,
                moment=path.moment, cause=cause, version=definition.version, defined_by=author,
                serves=serves_in(definition, values.of(key)),
            )
        )  # fmt: skip
    return states
