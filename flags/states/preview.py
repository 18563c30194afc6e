"""Previews: how many organizations a change of a flag or a move would affect."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from flags.definitions.models import Flag
from flags.definitions.refusals import offer, unknown_flag
from flags.states import exemptions, selectors, set_flag
from flags.states.choices import Choice
from flags.states.deletion_planning import asked_lately, of_deletion
from flags.states.effects import Effect
from flags.states.move_planning import FlagInMove, ids_known_to, known_to, of_move
from flags.states.plan_figures import Figures, figures, jobs_under_way
from flags.states.planning import Plan, of_exemption, of_reset, of_set
from flags.states.setting_rules import Below
from flagsite.core.words import counted
from orgs.access.caller import Caller
from orgs.access.visible_organizations import visible_organizations
from orgs.tree.admin_sections import PlannedMove, Said
from orgs.tree.models import Organization

MAX_NAMED_FLAGS = 5
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

    plan: Plan
    creates: bool
    off_for_everybody: str
    near: str

    @property
    def effect(self) -> Effect:
        """The effect that the plan has counted."""
        return self.plan.effect

    def notes(self, caller: Caller) -> list[str]:
        """Say who has asked for the flag lately, and which jobs are under way."""
        flag = self.plan.flag
        found = figures(caller, self.plan.subtree, self.plan.changes, [flag.pk] if flag.pk else [])
        changed = self.effect.changed
        asked = asked_sentence(found.asked_for(flag.pk), changed, flag.key) if changed and flag.pk else ""
        return [*filter(None, [asked]), *jobs_sentences(found)]


def switch(
    organization: Organization,
    flag_key: str,
    *,
    choice: Choice | None,
    below: Below = Below.OVERWRITE,
    only_here: bool = False,
    may_define: bool = True,
) -> SwitchPreview:
    """Preview setting a flag on an organization, or resetting it if `choice` is None.

    The caller has just loaded the organization, so its tree columns are current. `may_define` is as for `set_flag`.
    Raises FlagNotFound, FlagArchived, FlagPurging, FlagLocked, OutsideOfYourSubtree, InvalidValue.
    """
    flag = set_flag.check_can_be_set(flag_key, organization.pk, may_define=may_define)
    subject = flag or Flag(key=flag_key)
    if choice is None:
        plan = of_reset(organization.subtree, subject, below=below is Below.OVERWRITE)
    else:
        plan = of_set(organization.subtree, choice.of(subject), below=below, only_here=only_here)
    return _preview(flag_key, plan, exists=flag is not None)


def exemption(organization: Organization, flag_key: str, *, is_exempt: bool) -> SwitchPreview:
    """Preview an exemption of an organization from the lock above, or its end. Raises FlagNotFound, FlagNotLocked."""
    flag = Flag.objects.filter(key=flag_key).first()
    if flag is None:
        raise unknown_flag(flag_key)
    if is_exempt:
        exemptions.lock_above(organization.pk, flag)
    plan = of_exemption(organization.subtree, flag, is_exempt=is_exempt)
    return _preview(flag_key, plan, exists=True)


def _preview(flag_key: str, plan: Plan, *, exists: bool) -> SwitchPreview:
    off = selectors.why_off_for_everybody(flag_key)
    near = "" if exists else offer(flag_key)
    return SwitchPreview(plan, not exists, off.detail if off else "", near)


def move(planned: PlannedMove) -> Said:
    """Say what a move does to flags: a sentence for each flag whose values it would change, and for each lock."""
    organization, parent_id = planned.organization, planned.parent.pk if planned.parent else None
    if organization.parent_id == parent_id:
        return Said(["The organization is already there."])
    plan = of_move(organization.subtree, parent_id, keeps_values=planned.keeps_values)
    affected = known_to(planned.caller, plan.affected)
    described, more = affected[:MAX_DESCRIBED_FLAGS], len(affected) - MAX_DESCRIBED_FLAGS
    off = selectors.off_for_everybody_among([each.flag.key for each in described])
    found = figures(planned.caller, organization.subtree, plan.changes, None)
    locks = {each.lock_lost for each in described} | {each.lock_gained for each in described}
    names = _names(planned.caller, locks)
    sentences = []
    for each in described:
        key = each.flag.key
        if each.effect.changed:
            sentences.append(_sentence(key, each.effect, off[key].detail if key in off else ""))
        sentences += _of_locks(each, names) + _of_kept(each, organization)
    if more > 0:
        sentences.append(f"The same happens to {_more_flags(more)}.")
    return Said(sentences or ["No flag gets another value."], _notes(described, found))


def deletion(caller: Caller, organization: Organization) -> Said:
    """Say which settings of flags go with an organization and everything below it, and who has asked there lately."""
    plan = of_deletion(organization.subtree)
    visible = ids_known_to(caller, [each.flag_id for each in plan.flags])
    known = [each for each in plan.flags if each.flag_id in visible]
    effects = []
    if known:
        numbers = {name: sum(getattr(each, f"{name}s") for each in known) for name in ("set", "lock", "exemption")}
        nouns = {"set": "setting"}
        parts = [counted(number, nouns.get(name, name)) for name, number in numbers.items() if number]
        keys = ", ".join(each.key for each in known[:MAX_NAMED_FLAGS])
        more = f" and {_more_flags(len(known) - MAX_NAMED_FLAGS)}" if len(known) > MAX_NAMED_FLAGS else ""
        effects = [f"{' and '.join(parts)} of {keys}{more} will be deleted."]
    asked, days = asked_lately(organization.subtree), "in the last 7 days"
    notes = [f"{asked:,} of these organizations asked for flags {days}."] if asked else []
    if asked is None:
        notes = [f"Nobody has counted in time who has asked for flags {days}."]
    jobs = Figures({}, jobs_under_way(caller, organization.subtree, None))
    return Said(effects, [*notes, *jobs_sentences(jobs)])


def _of_locks(flag: FlagInMove, names: dict[int, str]) -> list[str]:
    key, hidden = flag.flag.key, "an organization above"
    said = []
    if flag.lock_lost is not None:
        said.append(f"The lock of {key} by {names.get(flag.lock_lost, hidden)} does not count there.")
    if flag.lock_gained is not None:
        said.append(f"A lock of {key} by {names.get(flag.lock_gained, hidden)} decides there.")
    return said


def _of_kept(flag: FlagInMove, organization: Organization) -> list[str]:
    kept = flag.kept_value
    if kept is None:
        return []
    sentence = f"{organization.name} keeps {flag.flag.key} {'on' if kept.enabled else 'off'} as a setting of its own"
    return [f"{sentence}." if kept.counts else f"{sentence}, which counts when the lock there is gone."]


def _names(caller: Caller, organization_ids: set[int | None]) -> dict[int, str]:
    found = visible_organizations(caller).filter(pk__in=organization_ids - {None})
    return {organization.pk: f"{organization.name} ({organization.key})" for organization in found}


def _notes(flags: Sequence[FlagInMove], found: Figures) -> list[str]:
    asked = [
        asked_sentence(found.asked_for(each.flag.pk), each.effect.changed, each.flag.key)
        for each in flags
        if each.effect.changed
    ]
    return [*filter(None, asked), *jobs_sentences(found)]


def asked_sentence(asked: int | None, changed: int, flag_key: str) -> str:
    """Say how many of the organizations that get another value have asked for the flag; empty if none has."""
    if asked is None:
        return f"Nobody has counted in time who has asked for {flag_key} in the last 7 days."
    verb = "has" if asked == 1 else "have"
    return f"{asked:,} of these {changed:,} {verb} asked for {flag_key} in the last 7 days." if asked else ""


def jobs_sentences(found: Figures) -> list[str]:
    """Name the open jobs that touch the organizations and flags."""
    if not found.jobs:
        return []
    noun = "job" if len(found.jobs) == 1 else "jobs"
    return [f"Under way for these organizations: {noun} {', '.join(map(str, found.jobs))}."]


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
