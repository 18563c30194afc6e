"""The tree of one flag: where people have set it, and how many organizations have it on and off below each branch.

A branch has the organizations directly below one parent, a page at most. It costs a constant number of queries, one of
which counts flag states, for at most `time_limit.COUNT_SECONDS`.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from datetime import datetime
from typing import Any

from flags.definitions.models import Flag
from flags.evaluation.effective_value import EffectiveValue
from flags.insights import adoption
from flags.insights.adoption import Share
from flags.insights.models import FlagAdoption
from flags.insights.time_limit import rows_in_time
from flags.insights.variant_shares import Shares, added_up, counted_variants, served_to_all
from flags.states import selectors
from flags.states.models import FlagSetting, FlagState
from flags.states.setting_words import SettingLabel, label_of
from flags.values.variants import word_of
from flagsite.core.ids import MAX_ID, id_in
from orgs.access.caller import Caller
from orgs.access.visible_organizations import find_visible_organization
from orgs.tree import browser
from orgs.tree.models import Organization
from orgs.tree.subtrees import is_in_subtree, load_subtree

COUNTED_AT_ONCE = 20_000
"""Organizations that a page counts before it answers. Browsers load the figures of more of them later."""
MAX_COUNTED = 500_000
"""Organizations that a branch counts at all: more of them take longer than the time limit."""
MAX_HITS = 20
"""Organizations that a search within the tree shows."""
SETTINGS_SHOWN = 50
"""Settings on one page of the list."""
SETTINGS = """
SELECT setting.organization_id, setting.number FROM flags_flagsetting setting
  JOIN orgs_organization organization ON organization.id = setting.organization_id
 WHERE setting.flag_id = %(flag)s AND (setting.kind <> 'none' OR setting.exempt_from_id IS NOT NULL)
   AND (setting.number, setting.organization_id) < (%(number)s, %(organization)s) AND {which}
 ORDER BY setting.number DESC, setting.organization_id DESC LIMIT %(limit)s
"""


@dataclass(frozen=True, slots=True)
class Totals:
    """The number of organizations with the flag on and off, and with each variant.

    `counted_at` is the time of the count; None if it was just made.
    """

    on: int
    off: int
    counted_at: datetime | None = None
    variants: Shares = ()
    """Empty for a boolean flag."""


@dataclass(frozen=True, slots=True)
class Node:
    """One organization in the tree of a flag.

    `enabled` is the stored value of the organization, and `setting` the decision on the organization itself; None if
    there is none. `path` is empty in a branch, where the tree shows the path. `branch` has the organizations directly
    below, if the page shows them at once.
    """

    organization: Organization
    share: Share
    enabled: bool
    setting: FlagSetting | None = None
    state: FlagState | None = None
    path: str = ""
    branch: Branch | None = None
    variant: str = ""
    """The word for the variant or custom value that the organization has; empty if its value names none."""

    @property
    def label(self) -> SettingLabel | None:
        """The label of the setting; None if nothing was decided on this organization."""
        setting = self.setting
        if setting is None:
            return None
        return label_of(setting.kind, enabled=setting.enabled, variant=setting.variant_in_words)

    @property
    def is_written(self) -> bool:
        """Whether the flag state of the organization has the setting, or a later decision, already."""
        return self.setting is None or (self.state is not None and self.state.change_number >= self.setting.number)

    @property
    def notes(self) -> list[str]:
        """What people have to know of the setting and of the value beside the label."""
        setting, notes = self.setting, []
        if setting is not None:
            notes += ["here only"] if setting.only_here else []
            notes += [f"until {setting.expires_at:%Y-%m-%d %H:%M} UTC"] if setting.expires_at else []
            notes += ["exempt from a lock above"] if setting.exempt_from_id else []
            notes += [f"exempt until {setting.exempt_until:%Y-%m-%d %H:%M} UTC"] if setting.exempt_until else []
            notes += [] if self.is_written else ["on its way"]
        if self.state is not None and self.state.locked and self.state.source_id != self.organization.pk:
            notes.append("locked above, so it does not count" if self.is_masked else "locked above")
        elif self.is_masked:
            notes.append("decided above")
        return notes

    @property
    def is_masked(self) -> bool:
        """Whether a decision above the organization keeps its setting from taking effect."""
        if self.setting is None or self.setting.enabled is None or self.state is None or not self.is_written:
            return False
        return self.state.source_id not in (self.organization.pk, self.setting.kept_from_id)


@dataclass(frozen=True, slots=True)
class Branch:
    """Organizations directly below one parent, by name; `more` is whether others follow.

    `is_counted` is false if the page is to load the figures later.
    """

    nodes: Sequence[Node]
    more: bool = False
    is_counted: bool = True

    @property
    def totals(self) -> Totals | None:
        """The figures of all organizations of the branch and below; None if some of them are not counted."""
        if self.more or not self.nodes or any(node.share.on is None for node in self.nodes):
            return None
        shares = [node.share for node in self.nodes]
        variants = added_up(share.variants for share in shares)
        return Totals(sum(share.on or 0 for share in shares), sum(share.off or 0 for share in shares), None, variants)


@dataclass(frozen=True, slots=True)
class Settings:
    """One page of the settings of a flag, newest first. `older` is the position of the next page, empty at the end."""

    nodes: Sequence[Node]
    older: str


def branch_below(
    caller: Caller, flag: Flag, parent_id: int | None, *, after_id: int | None = None, at_once: bool = False
) -> Branch:
    """Return the organizations directly below a parent, or the topmost ones that the caller may see.

    `after_id` is the last organization of the previous page. `at_once` leaves the figures out if there are more than
    COUNTED_AT_ONCE organizations to count. If there is a single top organization, it is unfolded. Raises
    OrganizationNotFound.
    """
    if parent_id is not None:
        find_visible_organization(caller, parent_id)
    after = find_visible_organization(caller, after_id) if after_id else None
    children = browser.visible_children(caller, parent_id=parent_id, after=after)
    branch = _branch(flag, children.organizations, more=children.more, at_once=at_once)
    is_single_top = parent_id is None and after is None and len(branch.nodes) == 1
    return _unfolded(caller, flag, branch, at_once=at_once) if is_single_top else branch


def branch_at(caller: Caller, flag: Flag, organization_id: int, *, at_once: bool = False) -> Branch:
    """Return one organization as the top of the tree, with what is directly below it. Raises OrganizationNotFound."""
    top = find_visible_organization(caller, organization_id)
    return _unfolded(caller, flag, _branch(flag, [top], at_once=at_once), at_once=at_once)


def last_totals(flag: Flag) -> Totals | None:
    """Return the figures of all organizations from the last hourly count; None if the flag is newer."""
    count = FlagAdoption.objects.filter(flag=flag).first()
    return totals_of(flag, count, selectors.why_off_for_everybody(flag.key)) if count else None


def totals_of(flag: Flag, count: FlagAdoption, off: EffectiveValue | None) -> Totals:
    """Return the figures of a count. `off` says why the flag is off for everybody; None if it is not."""
    on, off_count = count.organizations_on, count.organizations_off
    if off is not None:
        on, off_count = 0, on + off_count
    return Totals(on, off_count, count.counted_at, counted_variants(flag, count, served_to_all(off)))


def search(caller: Caller, flag: Flag, term: str) -> list[Node]:
    """Return organizations whose name or key contains the term, with their paths; MAX_HITS at most."""
    found = browser.search(caller, term, limit=MAX_HITS)
    return _nodes(flag, [organization for organization, _ in found], [path for _, path in found])


def settings_of(caller: Caller, flag: Flag, *, before: str = "", locks: bool = False) -> Settings | None:
    """Return where people have decided about a flag, newest first; None if there are too many to sort in time.

    `before` is the position of a page, and `locks` leaves out what is no lock. Settings that one change has made have
    the same number, so a position names the organization too.
    """
    number, _, organization = before.partition("-")
    parameters: dict[str, Any] = {
        "flag": flag.pk, "number": id_in(number) or MAX_ID, "organization": id_in(organization) or MAX_ID,
        "limit": SETTINGS_SHOWN + 1,
    }  # fmt: skip
    which = "setting.kind = 'lock'" if locks else "TRUE"
    if caller.organization_id is not None:
        scope = load_subtree(caller.organization_id)
        which += f" AND {is_in_subtree('organization')}" if scope else " AND FALSE"
        parameters |= scope.parameters() if scope else {}
    rows = rows_in_time(SETTINGS.format(which=which), parameters)
    if rows is None:
        return None
    shown = rows[:SETTINGS_SHOWN]
    organizations = Organization.objects.in_bulk([organization_id for organization_id, _ in shown])
    present = [organizations[organization_id] for organization_id, _ in shown if organization_id in organizations]
    paths = [path for _, path in browser.with_paths(caller, present)] if present else []
    older = f"{shown[-1][1]}-{shown[-1][0]}" if len(rows) > SETTINGS_SHOWN else ""
    return Settings(_nodes(flag, present, paths), older)


def _unfolded(caller: Caller, flag: Flag, branch: Branch, *, at_once: bool) -> Branch:
    (top,) = branch.nodes
    if not top.organization.has_children:
        return branch
    children = browser.visible_children(caller, parent_id=top.organization.pk)
    below = _branch(flag, children.organizations, more=children.more, at_once=at_once)
    node = replace(top, path="", branch=below)
    return Branch([node], is_counted=branch.is_counted and below.is_counted)


def _branch(flag: Flag, organizations: Sequence[Organization], *, more: bool = False, at_once: bool = False) -> Branch:
    size = sum(organization.subtree.size for organization in organizations)
    is_counted = not at_once or size <= COUNTED_AT_ONCE
    return Branch(_nodes(flag, organizations, is_counted=is_counted and size <= MAX_COUNTED), more, is_counted)


def _nodes(
    flag: Flag, organizations: Sequence[Organization], paths: Sequence[str] = (), *, is_counted: bool = True
) -> list[Node]:
    ids = [organization.pk for organization in organizations]
    if not ids:
        return []
    settings = {
        setting.organization_id: setting
        for setting in FlagSetting.objects.select_related("flag")
        .filter(flag=flag, organization_id__in=ids)
        .exclude(kind="none", exempt_from=None)
    }
    states = {state.organization_id: state for state in FlagState.objects.filter(flag=flag, organization_id__in=ids)}
    counted = adoption.shares(flag, organizations) if is_counted else []
    share_of = {share.organization.pk: share for share in counted}
    return [
        Node(
            organization,
            share_of.get(organization.pk, Share(organization)),
            _stored_value(flag, states.get(organization.pk)),
            settings.get(organization.pk),
            states.get(organization.pk),
            paths[position] if paths else "",
            variant=_variant(flag, states.get(organization.pk)),
        )
        for position, organization in enumerate(organizations)
    ]


def _stored_value(flag: Flag, state: FlagState | None) -> bool:
    return flag.enabled if state is None or state.enabled is None else state.enabled


def _variant(flag: Flag, state: FlagState | None) -> str:
    return word_of(state.variant, flag.variants) if state is not None and state.enabled else ""
