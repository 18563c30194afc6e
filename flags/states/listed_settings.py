"""Lists of settings: those of one flag, by organization, and those of one organization, by flag."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from django.db.models import F, QuerySet, Value

from flags.definitions.models import Flag
from flags.evaluation.context_loader import load_custom_values
from flags.states.models import FlagSetting
from flags.states.placed_settings import decided_on_paths
from flags.states.setting_rules import LOCK, NONE, SET
from flags.states.setting_words import label_of
from flags.states.shown_values import ShownValue, shown
from orgs.access.caller import Caller
from orgs.access.visible_organizations import MAX_ROWS_TO_SORT, visible_organizations
from orgs.tree.models import Organization

EXEMPT = "exempt"
LISTED_KINDS = [SET, LOCK, EXEMPT]
"""What a list may be asked for: sets, locks, or exemptions from a lock."""


@dataclass(frozen=True, slots=True)
class ListedSetting:
    """A setting with its place. `kind` is `exempt` if the organization has an exemption and no value of its own.

    `decides` says whether its value counts for its organization: a lock above may mask it. `exempt_from` is None, too,
    if the caller may not see the organization with the lock.
    """

    setting: FlagSetting
    shown: ShownValue
    organization: Organization
    flag_key: str
    decides: bool
    exempt_from: int | None

    @property
    def kind(self) -> str:
        """The kind of the setting, in the words of LISTED_KINDS."""
        return EXEMPT if self.setting.kind == NONE else str(self.setting.kind)

    @property
    def in_words(self) -> str:
        """The setting for people, such as "locked off" or "set on, here only, masked by a lock above"."""
        setting = self.setting
        label = label_of(setting.kind, enabled=setting.enabled, variant=setting.variant_in_words)
        words = [label.words if label else ""]
        words += ["here only"] if setting.only_here else []
        words += ["exempt"] if setting.exempt_from_id and self.kind != EXEMPT else []
        words += ["masked by a lock above"] if setting.kind != NONE and not self.decides else []
        return ", ".join(words)


def settings_of_flag(flag: Flag, top: Organization | None, kind: str = "") -> QuerySet[FlagSetting]:
    """Return the settings of a flag at and below an organization, or all if it is None, by organization id.

    Call it inside a `snapshot` in which `top` was read. The order of a small subtree is that of an expression, so that
    PostgreSQL does not walk through the settings of all other organizations (see `subtree_ordered_by_id`).
    """
    settings = _of_kind(FlagSetting.objects.filter(flag=flag), kind)
    if top is None:
        return settings.order_by("organization_id")
    below = settings.filter(organization__in=Organization.objects.under(top))
    if top.subtree.size > MAX_ROWS_TO_SORT:
        return below.order_by("organization_id")
    return below.annotate(sorted_id=F("organization_id") + Value(0)).order_by("sorted_id")


def settings_of_organization(organization: Organization, kind: str = "") -> QuerySet[FlagSetting]:
    """Return the settings of an organization, by flag id. Flags that are being purged are left out."""
    settings = FlagSetting.objects.filter(organization=organization, flag__purging=False)
    return _of_kind(settings, kind).order_by("flag_id")


def with_places(caller: Caller, settings: Sequence[FlagSetting]) -> list[ListedSetting]:
    """Return settings of one page with their organizations, and whether they decide.

    It takes four queries, and one more for custom values.
    """
    organizations = Organization.objects.in_bulk({each.organization_id for each in settings})
    flags = Flag.objects.in_bulk({each.flag_id for each in settings})
    decided = decided_on_paths(list(organizations), list(flags))
    exempt_from = {each.exempt_from_id for each in settings} - {None}
    visible = set(visible_organizations(caller).filter(pk__in=exempt_from).values_list("pk", flat=True))

    custom = load_custom_values(each.variant for each in settings)

    def decides(setting: FlagSetting) -> bool:
        value = decided.get((setting.organization_id, setting.flag_id))
        return value is not None and setting.kind != NONE and value.source_id == (
            setting.kept_from_id or setting.organization_id
        )  # fmt: skip

    return [
        ListedSetting(
            each, shown(flags[each.flag_id], each.enabled, each.variant, custom), organizations[each.organization_id],
            flags[each.flag_id].key, decides(each), each.exempt_from_id if each.exempt_from_id in visible else None,
        )
        for each in settings
        if each.organization_id in organizations and each.flag_id in flags
    ]  # fmt: skip


def _of_kind(settings: QuerySet[FlagSetting], kind: str) -> QuerySet[FlagSetting]:
    if kind == EXEMPT:
        return settings.exclude(exempt_from=None)
    return settings.filter(kind=kind) if kind else settings.exclude(kind=NONE, exempt_from=None)
