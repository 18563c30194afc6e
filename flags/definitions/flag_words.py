"""What pages say of a definition in a few words: its state, its rollout, its rules and its environment overrides."""

from __future__ import annotations

import json
from typing import Any

from flags.definitions.models import Flag
from flags.targeting.words import rule_in_words, share_in_words

UNITS = {
    Flag.Unit.TARGETING_KEY: "targeting keys",
    Flag.Unit.ORGANIZATION: "organizations",
    Flag.Unit.ANCESTOR: "ancestors at level {level}",
}
EVERYBODY = 100
LIVE = "live"
MAX_TEXT = 120
"""The length of the longest value in a sentence."""


def state_of(flag: Flag) -> str:
    """Return the state that overrides all other rules, or `live`. A flag that is being purged is also archived."""
    return "purging" if flag.purging else "archived" if flag.archived else "killed" if flag.killed else LIVE


def rollout_in_words(flag: Flag) -> str:
    """Return the rollout of a flag, such as "37.5 % of targeting keys"."""
    if flag.rollout_percentage is None or flag.rollout_percentage == EVERYBODY:
        return "everybody"
    unit = UNITS[Flag.Unit(flag.rollout_unit)].format(level=flag.rollout_level)
    return f"{float(flag.rollout_percentage):g} % of {unit}"


def environments_in_words(flag: Flag) -> str:
    """Return the environment overrides of a flag, such as "production: off, staging: on"."""
    return ", ".join(f"{name}: {'on' if value else 'off'}" for name, value in sorted(flag.environments.items()))


def variants_in_words(flag: Flag) -> str:
    """Return the variants of a flag with their values, such as 'blue: "#00f", red: "#f00"'."""
    return ", ".join(f"{key}: {value}" for key, value, _ in variant_lines(flag))


def variant_lines(flag: Flag) -> list[tuple[str, str, str]]:
    """Return the variants of a flag, each with its value and where it is served: "default", "off" or nothing."""
    served = {flag.off_variant: "off", flag.default_variant: "default"}
    if flag.default_variant == flag.off_variant:
        served = {flag.default_variant: "default, off"}
    return [(each["key"], value_in_words(each["value"]), served.get(each["key"], "")) for each in flag.variants]


def default_rollout_in_words(flag: Flag) -> str:
    """Return the default rollout of a flag, such as "blue for 70 %, red for 30 % of users". Empty if it has none."""
    return "" if flag.default_rollout is None else share_in_words(flag.default_rollout)


def schema_in_words(flag: Flag) -> str:
    """Return the JSON Schema of a flag as a short text."""
    return "" if flag.value_schema is None else value_in_words(flag.value_schema)


def value_in_words(value: Any) -> str:
    """Return a value of JSON as a short text."""
    text = json.dumps(value, ensure_ascii=False)
    return text if len(text) <= MAX_TEXT else f"{text[:MAX_TEXT]}…"


def targeting_rules_in_words(flag: Flag) -> list[tuple[str, str]]:
    """Return the targeting rules of a flag in their order, each as its id and a line of words."""
    return [(rule["id"], rule_in_words(rule)) for rule in flag.targeting_rules]
