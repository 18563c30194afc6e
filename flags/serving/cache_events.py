"""What a process hears of changes: the one encoder and decoder of PostgreSQL's notifications."""

from __future__ import annotations

import json
from dataclasses import dataclass
from typing import Any

from flags.evaluation.engine import StateValue


@dataclass(frozen=True, slots=True)
class StatesWritten:
    """One flag's new value for the organizations at and below `root_id` with `after` < id <= `last`."""

    root_id: int
    after: int
    last: int
    state: StateValue


@dataclass(frozen=True, slots=True)
class OrganizationMoved:
    """An organization has another parent or another key, or is gone: what is known of it and all below it is void."""

    organization_id: int


@dataclass(frozen=True, slots=True)
class AccessKeyChanged:
    """The access key that begins so was revoked, changed or deleted."""

    prefix: str


CacheEvent = StatesWritten | OrganizationMoved | AccessKeyChanged | str
"""What is heard: written states, a moved organization, a changed key, or the word for all of a kind (definitions, keys,
tree)."""


def decode(payload: str) -> CacheEvent:
    """What a notification says. Raises ValueError for one that makes no sense."""
    message: dict[str, Any] = json.loads(payload)
    if "states" in message:
        root_id, after, last, *state = message["states"]
        return StatesWritten(root_id, after, last, StateValue(*state))
    if "organization" in message:
        return OrganizationMoved(message["organization"])
    if "key" in message:
        return AccessKeyChanged(message["key"])
    return str(next(iter(message)))
