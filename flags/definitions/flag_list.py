"""The list of flags in the admin site: how far each is on, its rollout and owner, and the archiving of many at once."""

from __future__ import annotations

from collections import Counter
from typing import TYPE_CHECKING, Any, ClassVar
from urllib.parse import urlsplit

from django import forms
from django.contrib import admin, messages
from django.contrib.admin import SimpleListFilter
from django.db.models import QuerySet
from django.http import HttpRequest, HttpResponse, HttpResponseRedirect
from django.template.response import TemplateResponse
from django.utils.html import format_html
from django.utils.safestring import SafeString

from flags.definitions import flag_words, service
from flags.definitions.forms import OPERATIONS
from flags.definitions.models import Flag
from flags.insights.list_figures import ListFigures, figures_of
from flags.insights.share_bars import share_bar, share_words
from flags.insights.staleness import with_staleness
from flags.schedules.models import FlagSchedule
from flagsite.core.admin.reason_form import reason_field
from flagsite.core.errors import FlagsiteError
from flagsite.core.words import counted
from orgs.access.operator_admin import OperatorAdmin, SingleCountChangeList, TextInputFilter, require_caller

if TYPE_CHECKING:
    Pages = OperatorAdmin
else:
    Pages = object

MAX_SELECTED = 1_000
"""Flags that a person archives at once."""
MAX_TOLD = 10
"""Refusals that the answer tells one by one."""
KEPT_FILTERS = "filters_of_flags"
"""The name of the filters in the person's session."""


class StaleFilter(SimpleListFilter):
    """Only stale flags, or only others."""

    title = "stale"
    parameter_name = "stale"

    def lookups(self, request: HttpRequest, model_admin: Any) -> list[tuple[str, str]]:
        return [("yes", "Stale"), ("no", "Not stale")]

    def queryset(self, request: HttpRequest, queryset: QuerySet[Flag]) -> QuerySet[Flag]:
        if self.value() not in {"yes", "no"}:
            return queryset
        stale = with_staleness(Flag.objects.all()).filter(is_stale=self.value() == "yes")
        return queryset.filter(pk__in=stale.values("pk"))


class OwnerFilter(TextInputFilter):
    """Only flags whose owner has this text in the name."""

    title = "owner"
    parameter_name = "owned_by"

    def filter_rows(self, request: HttpRequest, queryset: QuerySet[Flag], text: str) -> QuerySet[Flag]:
        return queryset.filter(owner__icontains=text)


class FlagList(SingleCountChangeList):
    """A page of the list, with the figures of each flag."""

    def get_results(self, request: HttpRequest) -> None:
        super().get_results(request)
        flags = list(self.result_list)
        figures = figures_of(require_caller(request), flags)
        for flag in flags:
            flag.figures = figures[flag.pk]
        self.result_list: Any = flags


class ArchiveForm(forms.Form):
    """The reason, and the revisions of the flags that the person has seen."""

    reason = reason_field()


class FlagListPages(Pages):
    """The mixin with the cells, the filters and the operation of the list."""

    list_display: ClassVar[Any] = ["key", "description", "share", "rollout", "owner", "changed", "asked", "state"]
    list_filter: ClassVar[Any] = ["archived", "killed", StaleFilter, "kind", OwnerFilter]
    list_filter_submit = True
    actions: ClassVar[Any] = ["archive"]

    def may_define_flags(self, request: HttpRequest) -> bool:
        """Return whether the person may archive flags."""
        raise NotImplementedError

    def get_list_display(self, request: HttpRequest) -> list[str]:
        """Return the columns. Nobody with a scope learns when others have asked for a flag."""
        hidden = {"asked"} if require_caller(request).organization_id is not None else set()
        return [name for name in self.list_display if name not in hidden]

    def get_changelist(self, request: HttpRequest, **kwargs: Any) -> type[FlagList]:
        return FlagList

    def has_archive_permission(self, request: HttpRequest) -> bool:
        """Return whether the list offers to archive the selected flags."""
        return self.may_define_flags(request)

    def changelist_view(self, request: HttpRequest, extra_context: dict[str, Any] | None = None) -> HttpResponse:
        """Show the list with the filters that the person has used last, until the person clears them in the list."""
        if request.method == "GET" and self.has_view_permission(request):
            query = request.GET.urlencode()
            kept = request.session.get(KEPT_FILTERS, "")
            if not query and kept and not _comes_from_itself(request):
                return HttpResponseRedirect(f"{request.path}?{kept}")
            if query != kept and "e" not in request.GET:  # Django leads to ?e=1 if it does not know a filter
                request.session[KEPT_FILTERS] = query
        response: HttpResponse = super().changelist_view(request, extra_context)
        return response

    # --- Cells --------------------------------------------------------------------------------------------------------

    @admin.display(description="on and off")
    def share(self, flag: Flag) -> SafeString | str:
        share = _figures(flag).share
        if share is None:
            return "not counted yet"
        counted_at = f"Counted {share.counted_at:%Y-%m-%d %H:%M} UTC" if share.counted_at else ""
        cell = '<span class="fs-measure" title="{}">{} <span>{}</span></span>'
        return format_html(cell, counted_at, share_bar(share), share_words(share))

    @admin.display(description="rollout", ordering="rollout_percentage")
    def rollout(self, flag: Flag) -> str:
        return flag_words.rollout_in_words(flag)

    @admin.display(description="last change (UTC)")
    def changed(self, flag: Flag) -> SafeString:
        change = _figures(flag).changed
        return format_html(
            '<span class="fs-two"><span>{}</span><span class="fs-note">{}</span></span>',
            f"{change.at:%Y-%m-%d %H:%M}",
            change.by,
        )

    @admin.display(description="last asked (UTC)")
    def asked(self, flag: Flag) -> str:
        asked = _figures(flag).asked
        return f"{asked:%Y-%m-%d %H:%M}" if asked else "never"

    @admin.display(description="state")
    def state(self, flag: Flag) -> SafeString:
        """The state that overrides all other rules, and the mark of a stale flag."""
        word, stale = flag_words.state_of(flag), _figures(flag).stale
        state = format_html('<span class="fs-status fs-status-{}">{}</span>', word, word)
        if not stale:
            return state
        mark = format_html('<span class="fs-status fs-status-stale" title="{}">stale</span>', " ".join(stale))
        return mark if word == flag_words.LIVE else format_html("{} {}", state, mark)

    # --- Operation ----------------------------------------------------------------------------------------------------

    @admin.action(description="Archive", permissions=["archive"])
    def archive(self, request: HttpRequest, flags: QuerySet[Flag]) -> HttpResponse | None:
        """Ask for the reason, then archive each selected flag that is still as the person has seen it."""
        chosen = list(flags.filter(archived=False).order_by("key")[:MAX_SELECTED])
        if not chosen:
            self.message_user(request, "The selected flags are archived already.", messages.WARNING)
            return None
        form = ArchiveForm(request.POST if "confirmed" in request.POST else None)
        if not form.is_valid():
            return self._ask(request, chosen, form)
        seen = dict(text.partition(":")[::2] for text in request.POST.getlist("seen"))
        by, reason = require_caller(request).name, form.cleaned_data["reason"]
        refused: Counter[str] = Counter()
        for flag in chosen:
            try:
                service.archive(key=flag.key, by=by, reason=reason, expected={seen.get(str(flag.pk), "")})
            except FlagsiteError as error:
                refused[f"{flag.key}: {error.detail}"] += 1
        if done := len(chosen) - refused.total():
            self.message_user(request, f"{counted(done, 'flag')} {'is' if done == 1 else 'are'} archived.")
        for detail in list(refused)[:MAX_TOLD]:
            self.message_user(request, detail, messages.WARNING)
        if refused.total() > MAX_TOLD:
            self.message_user(request, f"{refused.total():,} flags were skipped.", messages.WARNING)
        return None

    def _ask(self, request: HttpRequest, flags: list[Flag], form: ArchiveForm) -> HttpResponse:
        context = {
            "title": f"Archive {counted(len(flags), 'flag')}",
            "flags": flags,
            "operation": OPERATIONS["archive"],
            "open_schedules": FlagSchedule.objects.filter(flag__in=flags).open().count(),
            "form": form,
            "back": request.get_full_path(),
            "opts": self.opts,
        }
        request.current_app = self.admin_site.name
        frame = self.admin_site.each_context(request)
        return TemplateResponse(request, "admin/flags/archive_many.html", frame | context)


def _figures(flag: Flag) -> ListFigures:
    figures: ListFigures = flag.figures  # type: ignore[attr-defined]
    return figures


def _comes_from_itself(request: HttpRequest) -> bool:
    """Return whether the person follows a link of the list itself, such as the one that clears all filters."""
    return urlsplit(request.headers.get("Referer", "")).path == request.path
