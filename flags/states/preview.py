"""Previews: how many organizations a change of a flag or a move would affect."""

from __future__ import annotations

from dataclasses import dataclass

from flags.definitions.models import Flag
from flags.definitions.refusals import offer, unknown_flag
from flags.states import exemptions, selectors, set_flag
from flags.states.effects import Effect
from flags.states.planning import of_exemption, of_move, of_reset, of_set
from flags.states.setting_rules import Below
from orgs.tree.models import Organization

MAX_DESCRIBED_FLAGS = 20
"""Flags that the preview of a move describes with a sentence each."""


@dataclass(frozen=True, slots=True)
class SwitchPreview:
    """What setting or resetting a flag on an organization would do in its subtree.

    `creates` is true if the flag does not exist yet; until then it is off. All figures of the effect count stored
    values. `off_for_everybody` says why the flag is off whatever its stored values are; it is empty if the stored
    values take effect. `near` is a sentence with the names of flags that are written nearly like the one that would be
    created.
    """

    effect: Effect
    creates: bool
    off_for_everybody: str
    near: str


def switch(
    organization: Organization,
    flag_key: str,
    *,
    enabled: bool | None,
    below: Below = Below.OVERWRITE,
    may_define: bool = True,
) -> SwitchPreview:
    """Preview setting a flag on an organization, or resetting it if `enabled` is None.

    The caller has just loaded the organization, so its tree columns are current. `may_define` is as for `set_flag`.
    Raises FlagNotFound, FlagArchived, FlagPurging, FlagLocked, OutsideOfYourSubtree.
    """
    flag = set_flag.check_can_be_set(flag_key, organization.pk, may_define=may_define)
    subject = flag or Flag(key=flag_key)
    if enabled is None:
        plan = of_reset(organization.subtree, subject, below=below is Below.OVERWRITE)
    else:
        plan = of_set(organization.subtree, subject, enabled=enabled, below=below)
    return _preview(flag_key, plan.effect, exists=flag is not None)


def exemption(organization: Organization, flag_key: str, *, is_exempt: bool) -> SwitchPreview:
    """Preview an exemption of an organization from the lock above, or its end. Raises FlagNotFound, FlagNotLocked."""
    flag = Flag.objects.filter(key=flag_key).first()
    if flag is None:
        raise unknown_flag(flag_key)
    if is_exempt:
        exemptions.lock_above(organization.pk, flag)
    plan = of_exemption(organization.subtree, flag, is_exempt=is_exempt)
    return _preview(flag_key, plan.effect, exists=True)


def _preview(flag_key: str, effect: Effect, *, exists: bool) -> SwitchPreview:
    off = selectors.why_off_for_everybody(flag_key)
    near = "" if exists else offer(flag_key)
    return SwitchPreview(effect, not exists, off.detail if off else "", near)


def move(organization: Organization, parent: Organization | None) -> list[str]:
    """Preview a move below `parent`, or to a root: one sentence for each flag whose values the move would change."""
    if organization.parent_id == (parent.pk if parent else None):
        return ["The organization is already there."]
    effects = of_move(organization.subtree, parent.pk if parent else None)
    changes = {flag.key: effect for flag, effect in effects.items() if effect.changed}
    described = list(changes)[:MAX_DESCRIBED_FLAGS]
    off = selectors.off_for_everybody_among(described)
    sentences = [_sentence(key, changes[key], off[key].detail if key in off else "") for key in described]
    if len(changes) > MAX_DESCRIBED_FLAGS:
        sentences.append(f"The same happens to {_more_flags(len(changes) - MAX_DESCRIBED_FLAGS)}.")
    return sentences or ["No flag gets another value."]


def _sentence(flag_key: str, effect: Effect, off_for_everybody: str) -> str:
    organizations = "1 organization gets" if effect.changed == 1 else f"{effect.changed:,} organizations get"
    sentence = f"{organizations} another stored value of {flag_key}"
    if effect.own:
        values = "1 organization keeps its" if effect.own == 1 else f"{effect.own:,} organizations keep their"
        sentence += f"; {values} own setting"
    if effect.masked:
        values = "1 setting does" if effect.masked == 1 else f"{effect.masked:,} settings do"
        sentence += f"; {values} not count there, because of a lock"
    return f"{sentence}. It stays off for everybody: {off_for_everybody}" if off_for_everybody else f"{sentence}."


def _more_flags(count: int) -> str:
    return "1 more flag" if count == 1 else f"{count:,} more flags"
