"""Change notifications: what PostgreSQL tells every process when something changes, as events and on the wire.

A transaction that changes something sends notifications on `NOTIFICATION_CHANNEL` with `pg_notify`. PostgreSQL
delivers them at the commit. The payload is a JSON object:

| payload               | event                      | sent by                                               |
| --------------------- | -------------------------- | ----------------------------------------------------- |
| `{"states": [7]}`     | `StatesWritten`            | each chunk of a propagation (`flags/states/sql.py`)   |
| `{"rewritten": [4]}`  | `StatesRewritten`          | the same, where the organizations get several values  |
| `{"organization": 1}` | `OrganizationMoved`        | triggers: it moves, gets another key, or is deleted   |
| `{"attribute": [1, "plan"]}` | `AttributeChanged` | triggers: it is set or removed; organization 0 is any  |
| `{"key": "prefix"}`   | `AccessKeyChanged`         | triggers: it is revoked, changed or deleted           |
| `{"definitions": 1}`  | `EverythingOf.DEFINITIONS` | triggers of flags, prerequisites and segments         |
| `{"keys": 1}`         | `EverythingOf.KEYS`        | trigger: all access keys are deleted at once          |
| `{"tree": 1}`         | `EverythingOf.TREE`        | triggers: many organizations or all states are deleted |

The seven values of `states` are root_id, after, last, flag_id, enabled, source_id and change number; the number of a
variant follows if it is not 0. `rewritten` has the first four of them; after `organization` comes its id. Operators
send `organization` and the last three (`flags/serving/operator_invalidation.py`). The triggers are in the migrations
orgs 0006, 0009 and 0025, and flags 0005, 0009 and 0035.

While a new version is deployed, processes of both versions read what both send. So a format stays once it was sent, and
an unknown member means that anything may have changed.
"""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import dataclass
from enum import StrEnum

from flags.evaluation.engine import StateValue
from flags.values.variants import BY_ENABLED

NOTIFICATION_CHANNEL = "flagsite_changes"
"""The channel of NOTIFY and LISTEN."""
HEARTBEAT_CHANNEL = "flagsite_heartbeat"
"""The channel on which listeners hear that they hear (`flags/serving/pg_listener.py`)."""
UNHEARD_SECONDS = 1.0
"""The greatest age of cached data while the process does not hear the heartbeat."""


@dataclass(frozen=True, slots=True)
class StatesWritten:
    """A chunk of a propagation has written one flag's new value.

    It concerns the organizations at and below `root_id` with `after` < id <= `last`.
    """

    root_id: int
    after: int
    last: int
    state: StateValue


@dataclass(frozen=True, slots=True)
class StatesRewritten:
    """A chunk of a propagation has written one flag's values, which differ, are locked, or are none: read them again.

    It concerns the organizations at and below `root_id` with `after` < id <= `last`.
    """

    root_id: int
    after: int
    last: int
    flag_id: int


@dataclass(frozen=True, slots=True)
class OrganizationMoved:
    """An organization has another parent or another key, or is deleted: forget it and everything below it."""

    organization_id: int


ANY_ORGANIZATION = 0
"""In the place of an organization's id: an attribute of many organizations has changed."""


@dataclass(frozen=True, slots=True)
class AttributeChanged:
    """An attribute of an organization was set or removed: what is below it may have inherited it."""

    organization_id: int
    name: str

    def concerns(self, path: Sequence[int]) -> bool:
        """Return whether it may change what holds in the organization with this path; an empty path is none."""
        return self.organization_id in path or (self.organization_id == ANY_ORGANIZATION and len(path) > 0)


@dataclass(frozen=True, slots=True)
class AccessKeyChanged:
    """The access key with this prefix was revoked, changed or deleted."""

    prefix: str


class EverythingOf(StrEnum):
    """Everything of one kind may have changed."""

    DEFINITIONS = "definitions"
    KEYS = "keys"
    TREE = "tree"
    """Organizations and their flag states."""


KINDS = {kind.value: kind for kind in EverythingOf}
CacheEvent = StatesWritten | StatesRewritten | OrganizationMoved | AttributeChanged | AccessKeyChanged | EverythingOf
"""What one change notification says."""


def encode(event: CacheEvent) -> str:
    """The payload of a change notification."""
    if isinstance(event, StatesWritten):
        state = event.state
        values = [event.root_id, event.after, event.last, state.flag_id, state.enabled, state.source_id, state.number]
        return json.dumps({"states": [*values, state.variant] if state.variant else values})
    if isinstance(event, StatesRewritten):
        return json.dumps({"rewritten": [event.root_id, event.after, event.last, event.flag_id]})
    if isinstance(event, OrganizationMoved):
        return json.dumps({"organization": event.organization_id})
    if isinstance(event, AttributeChanged):
        return json.dumps({"attribute": [event.organization_id, event.name]})
    if isinstance(event, AccessKeyChanged):
        return json.dumps({"key": event.prefix})
    return json.dumps({event.value: 1})


def decode(payload: str) -> CacheEvent:
    """The event of a payload. Raises ValueError for a payload that is none of the table's."""
    message = json.loads(payload)
    if not isinstance(message, dict) or not message:
        raise ValueError("A change notification is a JSON object with one member.")
    if "states" in message:
        root_id, after, last, flag_id, enabled, source_id, number, *variant = message["states"]
        state = StateValue(flag_id, enabled, source_id, number, variant=variant[0] if variant else BY_ENABLED)
        return StatesWritten(root_id, after, last, state)
    if "rewritten" in message:
        return StatesRewritten(*message["rewritten"])
    if "organization" in message:
        return OrganizationMoved(message["organization"])
    if "attribute" in message:
        return AttributeChanged(*message["attribute"])
    if "key" in message:
        return AccessKeyChanged(message["key"])
    return KINDS.get(next(iter(message)), EverythingOf.TREE)
