"""Organizations in the admin site: a tree that unfolds, a page for each, and what people do to them."""

from __future__ import annotations

from typing import Any

from django import forms
from django.contrib import admin
from django.contrib.admin.utils import unquote
from django.core.exceptions import PermissionDenied
from django.db.models import QuerySet
from django.http import Http404, HttpRequest, HttpResponse, HttpResponseRedirect
from django.template.response import TemplateResponse
from django.urls import URLPattern, path, reverse

from flagsite.core.errors import FlagsiteError
from flagsite.core.ids import id_in
from orgs.access.caller import Caller
from orgs.access.live_pages import fragment
from orgs.access.models import AccessKey, Role, StaffScope
from orgs.access.operator_admin import NOT_WHAT_WAS_SHOWN, OperatorAdmin, caller_of, fingerprint_of
from orgs.access.organizations import find_visible_organization
from orgs.audit.models import AuditEntry
from orgs.csv_import.admin_page import ImportPage
from orgs.errors import OrganizationNotFound
from orgs.tree import authorized_operations, browser
from orgs.tree.admin_sections import move_previews, sections
from orgs.tree.forms import OPERATIONS, CreateForm, DeleteForm, OrganizationOperation, check_move
from orgs.tree.models import Organization

MOST_NAMED = 20
"""People who are named one by one."""


@admin.register(Organization)
class OrganizationAdmin(ImportPage, OperatorAdmin):
    """The tree; each change goes through `orgs.tree.authorized_operations`."""

    add_role = change_role = delete_role = Role.ADMIN
    organization_field = "pk"
    search_fields = ["name", "key"]  # for the fields of other pages that name an organization
    ordering = ["id"]

    def get_urls(self) -> list[URLPattern]:
        view = self.admin_site.admin_view
        return [
            path("level/", fragment(self.children_view), name="orgs_organization_level"),
            path("<int:object_id>/<slug:operation>/do/", view(self.operation_view), name="orgs_organization_operation"),
            *self.import_urls(),
            *super().get_urls(),
        ]

    def changelist_view(self, request: HttpRequest, extra_context: dict[str, Any] | None = None) -> HttpResponse:
        """The tree, or what was searched for."""
        caller = self._viewer(request)
        term = request.GET.get("q", "").strip()
        shown = {
            "title": "Organizations",
            "term": term,
            "hits": browser.search(caller, term) if term else None,
            "children": None if term else browser.visible_children(caller, parent_id=None),
            "may_change": self.has_add_permission(request),
            "may_add_roots": self.has_add_permission(request) and caller.organization_id is None,
        }
        return self._page(request, "tree.html", shown)

    def children_view(self, request: HttpRequest) -> HttpResponse:
        """The next organizations below one parent, for the tree that unfolds."""
        caller = self._viewer(request)
        parent_id, after_id = id_in(request.GET.get("parent", "")), id_in(request.GET.get("after", ""))
        try:
            after = find_visible_organization(caller, after_id) if after_id else None
        except OrganizationNotFound as error:
            raise Http404 from error
        found = browser.visible_children(caller, parent_id=parent_id, after=after)
        shown = {"children": found, "parent_id": parent_id}
        return TemplateResponse(request, "admin/orgs/organization/children.html", shown)

    def change_view(self, request: HttpRequest, object_id: str, *_: Any, **__: Any) -> HttpResponse:
        """One organization: where it is, what others add to its page, what was done to it."""
        caller = self._viewer(request)
        organization = self._organization(request, unquote(object_id))
        shown: dict[str, Any] = {
            "title": organization.name,
            **browser.path_context(caller, organization),
            "below": organization.descendant_count,
            "is_own_top": organization.pk == caller.organization_id,
            "may_change": self.has_change_permission(request),
            "sections": [(section.template, section.context(organization, caller)) for section in sections],
            "entries": AuditEntry.objects.filter(organization=organization).order_by("-id")[:20],
        }
        return self._page(request, "page.html", shown)

    def add_view(self, request: HttpRequest, *_: Any, **__: Any) -> HttpResponse:
        """A new root; people who are bound to an organization create below what is theirs."""
        caller = self._viewer(request)
        if not self.has_add_permission(request) or caller.organization_id is not None:
            raise PermissionDenied
        form = CreateForm(request.POST or None)
        if request.method == "POST" and form.is_valid():
            try:
                made = authorized_operations.create(caller, **form.cleaned_data)
                return HttpResponseRedirect(reverse("admin:orgs_organization_change", args=[made.pk]))
            except FlagsiteError as error:
                form.add_error(None, error.detail)
        return self._page(request, "operation.html", {"title": "Create the top of a tree", "form": form})

    def operation_view(self, request: HttpRequest, object_id: int, operation: str) -> HttpResponse:
        """Ask for what a change needs, say what it would bring, and make it."""
        caller = self._viewer(request)
        if not self.has_change_permission(request):
            raise PermissionDenied
        if operation not in OPERATIONS:
            raise Http404
        organization = self._organization(request, str(object_id))
        chosen = OPERATIONS[operation]
        form = _form(chosen, organization, request)
        shown: dict[str, Any] = {"title": _title(chosen, organization), "form": form, "operation": chosen}
        if operation == "delete":
            shown["preview"] = _what_goes(caller, organization)
        if request.method == "POST" and form.is_valid():
            try:
                if chosen.asks_twice:
                    shown |= _looked_ahead(caller, organization, form.cleaned_data["parent"])
                if request.POST.get("shown") == shown.get("fingerprint"):
                    return self._act(request, chosen, organization, form.cleaned_data)
                if "shown" in request.POST:
                    form.add_error(None, NOT_WHAT_WAS_SHOWN)
            except FlagsiteError as error:
                form.add_error(None, error.detail)
        return self._page(request, "operation.html", shown | browser.path_context(caller, organization))

    def _act(
        self, request: HttpRequest, operation: OrganizationOperation, organization: Organization, values: dict[str, Any]
    ) -> HttpResponse:
        changed = operation.act(self._viewer(request), organization, values)
        self.message_user(request, f"Done: {_title(operation, organization)}.")
        if changed is None:
            return HttpResponseRedirect(reverse("admin:orgs_organization_changelist"))
        return HttpResponseRedirect(reverse("admin:orgs_organization_change", args=[changed.pk]))

    def _organization(self, request: HttpRequest, object_id: str) -> Organization:
        try:
            return find_visible_organization(self._viewer(request), id_in(object_id) or 0)
        except OrganizationNotFound as error:
            raise Http404 from error

    def _viewer(self, request: HttpRequest) -> Caller:
        caller = caller_of(request)
        if caller is None or not self.has_view_permission(request):
            raise PermissionDenied
        return caller

    def _page(self, request: HttpRequest, template: str, shown: dict[str, Any]) -> HttpResponse:
        request.current_app = self.admin_site.name
        frame = {**self.admin_site.each_context(request), "opts": self.opts}
        return TemplateResponse(request, f"admin/orgs/organization/{template}", frame | shown)

    def delete_view(self, request: HttpRequest, object_id: str, *_: Any, **__: Any) -> HttpResponse:
        """Django's own address for it leads to ours, which says what goes along."""
        return HttpResponseRedirect(
            reverse("admin:orgs_organization_operation", args=[id_in(object_id) or 0, "delete"])
        )


def _form(operation: OrganizationOperation, organization: Organization, request: HttpRequest) -> forms.Form:
    data = request.POST if request.method == "POST" else None
    if operation.form is DeleteForm:
        return DeleteForm(organization, data)
    initial = {"name": organization.name} if operation.name == "rename" else {}
    return operation.form(data, initial=initial)


def _title(operation: OrganizationOperation, organization: Organization) -> str:
    return f"{operation.title} {organization.name}"


def _what_goes(caller: Caller, organization: Organization) -> list[str]:
    """What a deletion takes along, and who has to be bound elsewhere first."""
    subtree = Organization.objects.under(organization)
    keys = AccessKey.objects.filter(organization__in=subtree).count()
    count = organization.descendant_count + 1
    go = "1 organization goes" if count == 1 else f"{count:,} organizations go, it and all below it,"
    go_too = "1 access key goes" if keys == 1 else f"{keys:,} access keys go" if keys else "No access key goes"
    who = _who_is_bound(caller, subtree)
    return [f"{go} with {'its' if count == 1 else 'their'} flags' values.", f"{go_too} with it.", *who]


def _who_is_bound(caller: Caller, subtree: QuerySet[Organization]) -> list[str]:
    """Who cannot do without these organizations; by name for those who see people's pages, thus may bind them anew."""
    scopes = StaffScope.objects.filter(organization__in=subtree).select_related("user", "organization")
    count = scopes.count()
    if not count:
        return []
    named = "1 person" if count == 1 else f"{count:,} people"
    if caller.organization_id is None:
        first = scopes.order_by("user__username")[:MOST_NAMED]
        named = ", ".join(f"{scope.user.get_username()} ({scope.organization.name})" for scope in first)
        named += f" and {count - MOST_NAMED:,} more" if count > MOST_NAMED else ""
    return [f"It cannot go yet: without it {named} would see everything. Bind them elsewhere first."]


def _looked_ahead(caller: Caller, organization: Organization, parent: Organization | None) -> dict[str, Any]:
    """What the move would bring, and the mark of it. Raises FlagsiteError where it cannot be."""
    check_move(caller, organization, parent)
    preview = _what_moves(organization, parent)
    parent_id = parent.pk if parent else None
    return {"preview": preview, "fingerprint": fingerprint_of(organization.pk, parent_id, preview)}


def _what_moves(organization: Organization, parent: Organization | None) -> list[str]:
    where = f"below {parent.name} ({parent.key})" if parent else "to the top of a tree of its own"
    count = organization.descendant_count + 1
    moves = "1 organization moves" if count == 1 else f"{count:,} organizations move"
    return [f"{moves} {where}."] + [sentence for preview in move_previews for sentence in preview(organization, parent)]
