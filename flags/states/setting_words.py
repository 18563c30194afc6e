"""The label of a setting on pages, such as "set on": one line for each kind of decision and value."""

from __future__ import annotations

from dataclasses import dataclass, replace


@dataclass(frozen=True, slots=True)
class SettingLabel:
    """What people read of a setting, and the name of its style."""

    words: str
    style: str


LABELS = {
    ("set", True): SettingLabel("set on", "set-on"),
    ("set", False): SettingLabel("set off", "set-off"),
    ("lock", True): SettingLabel("locked on", "set-on"),
    ("lock", False): SettingLabel("locked off", "set-off"),
    ("none", False): SettingLabel("exempt", "exempt"),  # without an exemption, such a setting is not shown
}
VERBS = {"set": "set to", "lock": "locked to"}


def label_of(kind: str, *, enabled: bool | None, variant: str = "") -> SettingLabel | None:
    """Return the label of a setting of this kind with this value; None if nothing is decided.

    `variant` is the word for a variant or a custom value that the setting names; empty if it names none.
    """
    found = LABELS.get((kind, bool(enabled)))
    return replace(found, words=f"{VERBS[kind]} {variant}") if found and variant else found
