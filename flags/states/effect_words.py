"""The effect of a change of settings in words, for pages and commands."""

from __future__ import annotations

from flags.states.effects import Effect
from flagsite.core.words import counted


def sentences(effect: Effect) -> list[str]:
    """Return sentences on what the change would do."""
    get = "gets" if effect.changed == 1 else "get"
    return [
        f"{effect.changed:,} of {counted(effect.organizations, 'organization')} {get} another value.",
        *of_settings_below(effect),
    ]


def of_settings_below(effect: Effect) -> list[str]:
    """Return sentences on what happens to the settings below."""
    found = []
    if effect.own:
        found.append(f"{counted(effect.own, 'organization')} below with an own setting that counts.")
    if effect.masked:
        found.append(f"{counted(effect.masked, 'organization')} below with an own setting that a lock masks.")
    if effect.ended:
        found.append(f"{counted(effect.ended, 'setting')} below would end.")
    return found
