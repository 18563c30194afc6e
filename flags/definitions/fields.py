"""The parts of a definition that people may change, and how the API and the audit log name and show them."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from flags.definitions.models import Flag

FIELDS = {
    "description": "description",
    "enabled": "enabled",
    "rollout_percentage": "rolloutPercentage",
    "rollout_unit": "rolloutUnit",
    "rollout_level": "rolloutLevel",
    "salt": "salt",
    "hash_version": "hashVersion",
    "whitelist": "userWhitelist",
    "environments": "environments",
    "prerequisites": "prerequisites",
    "owner": "owner",
    "tags": "tags",
    "kind": "kind",
    "expires_on": "expiresOn",
    "killed": "killed",
    "archived": "archived",
}
"""The model's name of each part, and its name on the wire."""


def parts_of(flag: Flag) -> dict[str, Any]:
    """Every part of the definition as Python has it, by the model's names; prerequisites as keys in order."""
    return {name: prerequisites_of(flag) if name == "prerequisites" else getattr(flag, name) for name in FIELDS}


def prerequisites_of(flag: Flag) -> list[str]:
    """The keys of the flags that it needs, in order; no query where they were fetched beforehand."""
    return sorted(needed.key for needed in flag.prerequisites.all())


def as_json(parts: Mapping[str, Any]) -> dict[str, Any]:
    """Parts of a definition by their names on the wire, as the audit log keeps them."""
    return {FIELDS[name]: _plain(name, value) for name, value in parts.items()}


def _plain(name: str, value: Any) -> Any:
    if value is None:
        return None
    if name == "rollout_percentage":
        return float(value)
    return value.isoformat() if name == "expires_on" else value
