"""The base class of the admin site's pages: a person's role decides the operations, and the scope decides the rows."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Sequence
from typing import Any, ClassVar
from urllib.parse import urlsplit, urlunsplit

from django.contrib import messages
from django.contrib.admin.filters import FieldListFilter
from django.contrib.admin.utils import flatten_fieldsets, get_fields_from_path
from django.contrib.admin.views.main import ChangeList
from django.core.exceptions import PermissionDenied
from django.db.models import QuerySet
from django.http import HttpRequest
from django.urls import NoReverseMatch, URLPattern
from django.utils.html import format_html
from django.utils.safestring import SafeString
from django.utils.text import capfirst
from unfold.admin import ModelAdmin
from unfold.contrib.filters.admin import TextFilter
from unfold.views import ChangeList as ThemedChangeList

from flagsite.core import actor
from flagsite.core.admin.reason_form import reason_line
from flagsite.core.admin.untouched_fields import UntouchedFieldsKeepTheirValues
from flagsite.core.errors import FlagsiteError
from flagsite.core.reading_pages import only_reads
from orgs.access.caller import Caller
from orgs.access.models import Role
from orgs.access.people import caller_for
from orgs.access.visible_organizations import visible_organizations

PREVIEW_OUTDATED = "The data has changed since this page was shown. Check the page and confirm again."


def caller_of(request: HttpRequest) -> Caller | None:
    """Return the signed-in person as a caller, or None; computed once for each request."""
    if not hasattr(request, "operator"):
        request.operator = caller_for(request.user)  # type: ignore[attr-defined]
    operator: Caller | None = request.operator  # type: ignore[attr-defined]
    return operator


def require_caller(request: HttpRequest) -> Caller:
    """Return the signed-in person as a caller. Raises PermissionDenied if there is none."""
    caller = caller_of(request)
    if caller is None:
        raise PermissionDenied
    return caller


def fingerprint_of(*values: Any) -> str:
    """Return a fingerprint of the data on a page. The form sends it back, so that a person confirms only this data."""
    return hashlib.sha256(json.dumps(values).encode()).hexdigest()


def may(request: HttpRequest, needed: Role | None) -> bool:
    """Return whether the person's role includes `needed`; None means that no role is enough."""
    caller = caller_of(request)
    return needed is not None and caller is not None and caller.may(needed)


def one_click_button(name: str, label: str, subject: str, address: str) -> SafeString:
    """Return the HTML of a button that does an operation at once, without a page that asks for a reason.

    The button sends the form around it to the address of the operation. A list is such a form already. The page of the
    operation takes the value `confirmed` for the answer to its question, and then leads back (`came_from`).

    Args:
        name: the name of the operation, for the button's id.
        label: what people read on the button.
        subject: what the operation is for, such as `job 7`: for screen readers, and for the id.
        address: the address of the operation.
    """
    return format_html(
        '<button type="submit" id="{}" class="fs-button" name="confirmed" value="1" formmethod="post" formnovalidate '
        'formaction="{}">{}<span class="fs-unseen"> {}</span></button>',
        f"{name}-{subject.rpartition(' ')[2]}", address, label, subject,
    )  # fmt: skip


def came_from(request: HttpRequest, otherwise: str) -> str:
    """Return the address of the page of the admin site with the button that the person pressed.

    Args:
        request: the request of the button.
        otherwise: the address to return if the browser does not tell, or if that page was the question itself.
    """
    page = urlsplit(request.headers.get("Referer", ""))
    is_ours = page.netloc == request.get_host() and page.path.startswith("/admin/") and page.path != request.path
    return urlunsplit(("", "", page.path, page.query, "")) if is_ours else otherwise


class TextInputFilter(TextFilter):
    """A filter of a list with a text input. An empty input shows the whole list."""

    def queryset(self, request: HttpRequest, queryset: QuerySet[Any]) -> QuerySet[Any]:
        text = (self.value() or "").strip()
        try:
            return self.filter_rows(request, queryset, text) if text else queryset
        except FlagsiteError as error:
            messages.warning(request, error.detail)
            return queryset.none()

    def filter_rows(self, request: HttpRequest, queryset: QuerySet[Any], text: str) -> QuerySet[Any]:
        """Return the rows that match the text. The person reads the message of a FlagsiteError above an empty list."""
        raise NotImplementedError


class SingleCountChangeList(ThemedChangeList):
    """A list with the name of its rows as its title, such as "Jobs", and with the number of rows below the list only.

    Django's title is "Select job to change", and the theme also shows the number at the head of the page.

    If the rows have neither links nor boxes to select them, the theme names the first cell "Select record" on a phone.
    Here this cell has the name of its column.
    """

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        links: Sequence[str] | None = vars(self)["list_display_links"]
        self.has_links = links is not None
        if links is None and "action_checkbox" not in self.list_display:
            links = []
        self.list_display_links = links
        self.title = capfirst(self.opts.verbose_name_plural)

    def url_for_result(self, result: Any) -> str:
        """Return the address of the page of a row. Raises NoReverseMatch if the rows of the list have no links."""
        if not self.has_links:
            raise NoReverseMatch
        address: str = super().url_for_result(result)
        return address

    def get_results(self, request: HttpRequest) -> None:
        super().get_results(request)
        self.full_result_count = self.result_count


ALWAYS_FITS = 10
"""A text of so many letters fits into each column."""


def clipped(text: str) -> SafeString | str:
    """Return HTML that cuts the text to the width of its column.

    The whole text is a tooltip. It also appears in the column while the text has the focus, by a click, a tap or the
    Tab key. A text that fits anyway is no stop of the Tab key.
    """
    if not text:
        return "–"
    if len(text) <= ALWAYS_FITS:
        return text
    return format_html('<span class="fs-clip" tabindex="0" title="{}">{}</span>', text, text)


def _parameters(page: ModelAdmin, list_filter: Any, request: HttpRequest) -> list[str | None]:
    """Return the query parameters that one entry of the admin's `list_filter` reads."""
    if isinstance(list_filter, type):
        return list_filter(request, {}, page.model, page).expected_parameters()
    path, create = list_filter if isinstance(list_filter, tuple) else (list_filter, FieldListFilter.create)
    field = get_fields_from_path(page.model, path)[-1]
    return create(field, request, {}, page.model, page, field_path=path).expected_parameters()


class OperatorAdmin(ModelAdmin):
    """A model's pages. `view_role` and the other roles are the roles that an operation needs; None forbids it to all.

    `organization_field` is the column with a row's organization ("organization_id", or "pk" for organizations
    themselves). A person with a scope sees the rows of this subtree. If `organization_field` is None, the rows belong
    to no organization. Then a person with a scope cannot open the pages, unless `for_bound_people` is true.
    """

    view_role: ClassVar[Role | None] = Role.READER
    add_role: ClassVar[Role | None] = None
    change_role: ClassVar[Role | None] = None
    delete_role: ClassVar[Role | None] = None
    organization_field: ClassVar[str | None] = None
    for_bound_people: ClassVar[bool] = False
    linked_lookups: ClassVar[frozenset[str]] = frozenset()
    """Lookups that are not in `list_filter` but in links of Flagsite's own pages."""

    row_names: ClassVar[tuple[str, str] | None] = None
    """The singular and the plural of the rows' name, if the model's own names do not fit after a number."""
    empty_hint: ClassVar[str] = ""
    """A sentence for an empty list: where its rows come from, or what to do next."""
    show_full_result_count = False
    list_per_page = 50

    def has_module_permission(self, request: HttpRequest) -> bool:
        return self.has_view_permission(request)

    def has_view_permission(self, request: HttpRequest, obj: Any = None) -> bool:
        return self._allows(request, self.view_role)

    def has_add_permission(self, request: HttpRequest) -> bool:
        return self._allows(request, self.add_role)

    def has_change_permission(self, request: HttpRequest, obj: Any = None) -> bool:
        return self._allows(request, self.change_role)

    def has_delete_permission(self, request: HttpRequest, obj: Any = None) -> bool:
        return self._allows(request, self.delete_role)

    def require_viewer(self, request: HttpRequest) -> Caller:
        """Return the signed-in person, who may view these pages. Raises PermissionDenied."""
        caller = caller_of(request)
        if caller is None or not self.has_view_permission(request):
            raise PermissionDenied
        return caller

    def message_user(
        self,
        request: HttpRequest,
        message: Any,
        level: int | str = messages.INFO,
        extra_tags: str = "",
        fail_silently: bool = False,  # noqa: FBT002 - Django's own signature
    ) -> None:
        """Show a message; one about what was done also tells the reason that the person gave for it."""
        reason = actor.current().reason
        if reason and level in {messages.INFO, messages.SUCCESS}:
            message = format_html("{} Reason: {}", message, reason)
        super().message_user(request, message, level, extra_tags, fail_silently)

    def get_urls(self) -> list[URLPattern]:
        """Return the patterns of the pages. Django's page of a row's changes only reads."""
        patterns: list[URLPattern] = super().get_urls()
        for pattern in patterns:
            if (pattern.name or "").endswith("_history"):
                pattern.callback = only_reads(pattern.callback)
        return patterns

    def lookup_allowed(self, lookup: str, value: str, request: HttpRequest | None = None) -> bool:
        """Return whether a list may be filtered by this lookup: only the filters' own lookups are allowed.

        Django allows every column. A person could then find out values of columns that the list does not show.
        """
        if lookup in self.linked_lookups:
            return True
        return request is not None and any(lookup in _parameters(self, entry, request) for entry in self.list_filter)

    def get_fieldsets(self, request: HttpRequest, obj: Any = None) -> Any:
        """Return the page's fieldsets; a page on which the person may write also has the field for the reason."""
        fieldsets = list(super().get_fieldsets(request, obj))
        may_write = self.has_change_permission(request, obj) if obj else self.has_add_permission(request)
        if may_write and "reason" not in flatten_fieldsets(fieldsets):
            fieldsets.append(("This change", {"fields": ["reason"]}))
        return fieldsets

    def get_form(self, request: HttpRequest, obj: Any = None, change: bool = False, **kwargs: Any) -> Any:  # noqa: FBT002
        """Return the class of the page's form, with the field for the reason, which is no column of the model."""
        names = kwargs.pop("fields", ()) or ()
        form = super().get_form(
            request, obj, change=change, fields=[name for name in names if name != "reason"] or None, **kwargs
        )
        reason = {} if "reason" not in names or "reason" in form.base_fields else {"reason": reason_line()}
        return type(form.__name__, (UntouchedFieldsKeepTheirValues, form), reason)

    def get_changelist(self, request: HttpRequest, **kwargs: Any) -> type[ChangeList]:
        return SingleCountChangeList

    def get_queryset(self, request: HttpRequest) -> QuerySet[Any]:
        rows = super().get_queryset(request)
        caller = caller_of(request)
        if caller is None:
            return rows.none()
        if caller.organization_id is None or self.organization_field is None:
            return rows
        return rows.filter(**{f"{self.organization_field}__in": visible_organizations(caller).values("pk")})

    def _allows(self, request: HttpRequest, role: Role | None) -> bool:
        caller = caller_of(request)
        if caller is None:
            return False
        bound = caller.organization_id is not None
        if bound and self.organization_field is None and not self.for_bound_people:
            return False
        return may(request, role)
