"""What all pages of the admin site have in common: a person's role says what they may do, their scope what they see."""

from __future__ import annotations

import hashlib
import json
from typing import Any, ClassVar

from django.contrib.admin.filters import FieldListFilter
from django.contrib.admin.utils import get_fields_from_path
from django.contrib.admin.views.main import ChangeList
from django.core.exceptions import PermissionDenied
from django.db.models import QuerySet
from django.http import HttpRequest
from django.utils.html import format_html
from django.utils.safestring import SafeString
from unfold.admin import ModelAdmin
from unfold.contrib.filters.admin import TextFilter
from unfold.views import ChangeList as ThemedChangeList

from orgs.access.caller import Caller
from orgs.access.models import Role
from orgs.access.organizations import visible_organizations
from orgs.access.people import caller_for

NOT_WHAT_WAS_SHOWN = "This is not what was shown; look at it once more."


def caller_of(request: HttpRequest) -> Caller | None:
    """The person who is signed in, as a caller; found out once for each request."""
    if not hasattr(request, "operator"):
        request.operator = caller_for(request.user)  # type: ignore[attr-defined]
    operator: Caller | None = request.operator  # type: ignore[attr-defined]
    return operator


def known_caller(request: HttpRequest) -> Caller:
    """The same, where somebody has to be signed in. Raises PermissionDenied."""
    caller = caller_of(request)
    if caller is None:
        raise PermissionDenied
    return caller


def fingerprint_of(*shown: Any) -> str:
    """Of what a person was shown: it comes back with their yes, so that they agree to this and to nothing else."""
    return hashlib.sha256(json.dumps(shown).encode()).hexdigest()


def may(request: HttpRequest, needed: Role | None) -> bool:
    """Whether the person's role includes `needed`; None is what nobody may."""
    caller = caller_of(request)
    return needed is not None and caller is not None and caller.may(needed)


class WrittenFilter(TextFilter):
    """A list's filter that one writes in; while nothing is written there it leaves the list as it is."""

    def queryset(self, request: HttpRequest, queryset: QuerySet[Any]) -> QuerySet[Any]:
        written = (self.value() or "").strip()
        return self.narrowed(queryset, written) if written else queryset

    def narrowed(self, queryset: QuerySet[Any], written: str) -> QuerySet[Any]:
        """Those that what is written stands for."""
        raise NotImplementedError


class OneCount(ThemedChangeList):
    """A list that is counted once, below it; the theme repeats the number in the head of the page otherwise."""

    def get_results(self, request: HttpRequest) -> None:
        super().get_results(request)
        self.full_result_count = self.result_count


def clipped(text: str) -> SafeString | str:
    """A text of which a row shows as much as there is room for, and all of it where one points at it."""
    return format_html('<span class="fs-clip" title="{}">{}</span>', text, text) if text else "–"


def _parameters(page: ModelAdmin, chosen: Any, request: HttpRequest) -> list[str | None]:
    """What a filter, as `list_filter` names it, reads from the query."""
    if isinstance(chosen, type):
        return chosen(request, {}, page.model, page).expected_parameters()
    path, make = chosen if isinstance(chosen, tuple) else (chosen, FieldListFilter.create)
    field = get_fields_from_path(page.model, path)[-1]
    return make(field, request, {}, page.model, page, field_path=path).expected_parameters()


class OperatorAdmin(ModelAdmin):
    """A model's pages. Each role says who may do it, None that nobody may.

    `organization_field` is the column that says whose a row is ("organization_id", or "pk" for organizations
    themselves): a person who is bound to an organization sees the rows of its subtree. Where it is None the rows are
    of no organization, and such a person does not see the pages at all, unless `for_bound_people` says so.
    """

    view_role: ClassVar[Role | None] = Role.READER
    add_role: ClassVar[Role | None] = None
    change_role: ClassVar[Role | None] = None
    delete_role: ClassVar[Role | None] = None
    organization_field: ClassVar[str | None] = None
    for_bound_people: ClassVar[bool] = False
    linked_lookups: ClassVar[frozenset[str]] = frozenset()
    """Lookups beside those of `list_filter` that pages of ours link to."""

    rows_called: ClassVar[tuple[str, str] | None] = None
    """One and many, where the model's own names do not count well."""
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

    def lookup_allowed(self, lookup: str, value: str, request: HttpRequest | None = None) -> bool:
        """Whether a list may be asked for it: by what its filters ask only.

        Django lets anybody who sees a list filter it by every column, thus guess at columns that it does not show.
        """
        if lookup in self.linked_lookups:
            return True
        return request is not None and any(lookup in _parameters(self, one, request) for one in self.list_filter)

    def get_changelist(self, request: HttpRequest, **kwargs: Any) -> type[ChangeList]:
        return OneCount

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
