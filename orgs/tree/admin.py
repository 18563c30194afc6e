"""The admin site's pages of organizations: the tree, a page for each organization, and the operations."""

from __future__ import annotations

from typing import Any
from urllib.parse import urlencode

from django import forms
from django.contrib import admin
from django.contrib.admin.utils import unquote
from django.core.exceptions import PermissionDenied
from django.db.models import QuerySet
from django.http import Http404, HttpRequest, HttpResponse, HttpResponseRedirect, StreamingHttpResponse
from django.template.response import TemplateResponse
from django.urls import URLPattern, path, reverse

from flagsite.core.admin.reason_form import ReasonForm
from flagsite.core.errors import FlagsiteError
from flagsite.core.ids import id_in
from flagsite.core.reading_pages import only_reads
from flagsite.core.words import counted
from orgs.access import organization_picker
from orgs.access.caller import Caller
from orgs.access.live_pages import fragment
from orgs.access.models import AccessKey, Role, StaffScope
from orgs.access.operator_admin import PREVIEW_OUTDATED, OperatorAdmin, fingerprint_of
from orgs.access.visible_organizations import find_visible_organization
from orgs.attributes.attribute_form import initial_of
from orgs.attributes.attribute_operations import attributes_of, own_attributes
from orgs.attributes.attribute_words import shown
from orgs.audit import words
from orgs.audit.on_pages import by_operation
from orgs.audit.selectors import matching, visible_entries
from orgs.errors import OrganizationNotFound
from orgs.tree import authorized_operations, browser, integrity, large_changes, tree_operations
from orgs.tree.admin_sections import PlannedMove, figures, said_of_deletion, said_of_move, sections
from orgs.tree.api import organizations_file
from orgs.tree.forms import OPERATIONS, CreateForm, DeleteForm, OrganizationOperation
from orgs.tree.models import Organization

MAX_SUGGESTIONS = 20
"""Organizations that a picker offers."""
MAX_SHOWN_PROBLEMS = 100
"""Problems of the tree that the page of its check lists."""
MAX_NAMED_PEOPLE = 20
"""The maximum number of people whose names a page lists."""


@admin.register(Organization)
class OrganizationAdmin(OperatorAdmin):
    """The pages of organizations. `orgs.tree.authorized_operations` makes all changes."""

    add_role = change_role = delete_role = Role.ADMIN
    organization_field = "pk"
    search_fields = ["name", "key"]  # for the organization fields of other pages
    ordering = ["id"]

    def get_urls(self) -> list[URLPattern]:
        view = self.admin_site.admin_view
        return [
            path("picker/", fragment(self.picker_view), name="orgs_organization_picker"),
            path("csv/", view(only_reads(self.csv_view)), name="orgs_organization_csv"),
            path("tree/", view(self.integrity_view), name="orgs_organization_tree"),
            path("level/", fragment(self.children_view), name="orgs_organization_level"),
            path("<int:object_id>/<slug:operation>/do/", view(self.operation_view), name="orgs_organization_operation"),
            *super().get_urls(),
        ]

    def changelist_view(self, request: HttpRequest, extra_context: dict[str, Any] | None = None) -> HttpResponse:
        """Show the tree, or the organizations that match a search."""
        caller = self.require_viewer(request)
        term = request.GET.get("q", "").strip()
        context = {
            "title": "Organizations",
            "term": term,
            "hits": browser.search(caller, term) if term else None,
            "children": None if term else browser.visible_children(caller, parent_id=None),
            "may_change": self.has_add_permission(request),
            "may_add_roots": self.has_add_permission(request) and caller.organization_id is None,
        }
        return self._page(request, "tree.html", context)

    def csv_view(self, request: HttpRequest) -> StreamingHttpResponse:
        """Answer with the organizations that the person may see, as a file that an import reads."""
        return organizations_file(self.require_viewer(request))

    def children_view(self, request: HttpRequest) -> HttpResponse:
        """Answer with the next organizations below one parent, for a tree that a person expands."""
        caller = self.require_viewer(request)
        parent_id, after_id = id_in(request.GET.get("parent", "")), id_in(request.GET.get("after", ""))
        try:
            after = find_visible_organization(caller, after_id) if after_id else None
        except OrganizationNotFound as error:
            raise Http404 from error
        children = browser.visible_children(caller, parent_id=parent_id, after=after)
        context = {"children": children, "parent_id": parent_id}
        return TemplateResponse(request, "admin/orgs/organization/children.html", context)

    def picker_view(self, request: HttpRequest) -> HttpResponse:
        """Answer with the suggestions of `orgs.access.organization_picker` for what a person has typed."""
        caller = self.require_viewer(request)
        term = request.GET.get(request.GET.get("field", ""), "").strip()[: organization_picker.MAX_LENGTH]
        try:
            chosen = organization_picker.find(caller, term) if term else None
        except FlagsiteError:
            chosen = None
        found = browser.search(caller, term) if term else browser.with_paths(caller, browser.first_visible(caller))
        context = {
            "input": request.GET.get("input", ""),
            "term": term,
            "suggestions": [
                (organization_picker.reference_to(one), path, one.key) for one, path in found[:MAX_SUGGESTIONS]
            ],
            "more": len(found) > MAX_SUGGESTIONS,
            "chosen": browser.with_paths(caller, [chosen])[0][1] if chosen else "",
        }
        return TemplateResponse(request, "admin/orgs/organization_suggestions.html", context)

    def change_view(self, request: HttpRequest, object_id: str, *_: Any, **__: Any) -> HttpResponse:
        """Show one organization: its path, what is below it, what belongs to it, the sections of other apps and its
        audit entries.
        """
        caller = self.require_viewer(request)
        organization = self._organization(request, unquote(object_id))
        context: dict[str, Any] = {
            "title": organization.name,
            **browser.path_context(caller, organization),
            **browser.children_context(caller, organization),
            "is_top_of_scope": organization.pk == caller.organization_id,
            "may_change": self.has_change_permission(request),
            "attributes": shown(attributes_of(organization.pk, top_id=caller.organization_id)),
            "figures": [figure for find in figures for figure in find(organization, caller)],
            "sections": [
                (section.template, section.context(organization, caller, request.GET)) for section in sections
            ],
            **_entries_context(caller, organization),
        }
        return self._page(request, "page.html", context)

    def add_view(self, request: HttpRequest, *_: Any, **__: Any) -> HttpResponse:
        """Create a root. People with a scope cannot create roots."""
        caller = self.require_viewer(request)
        if not self.has_add_permission(request) or caller.organization_id is not None:
            raise PermissionDenied
        form = CreateForm(request.POST or None)
        if request.method == "POST" and form.is_valid():
            try:
                created = authorized_operations.create(caller, **form.cleaned_data)
                return HttpResponseRedirect(reverse("admin:orgs_organization_change", args=[created.pk]))
            except FlagsiteError as error:
                form.add_error(None, error.detail)
        return self._page(request, "operation.html", {"title": "Create a root organization", "form": form})

    def integrity_view(self, request: HttpRequest) -> HttpResponse:
        """Show what a check of the tree finds, and repair it. People with a scope may not: a check reads all rows."""
        caller = self.require_viewer(request)
        if not self.has_change_permission(request) or caller.organization_id is not None:
            raise PermissionDenied
        form = ReasonForm(request.POST if request.method == "POST" else None)
        if request.method == "POST" and form.is_valid():
            try:
                repaired = tree_operations.check_and_repair().repaired
                text = f"The columns of {counted(repaired or 0, 'organization')} are repaired."
                self.message_user(request, text if repaired else "There was nothing to repair.")
                return HttpResponseRedirect(reverse("admin:orgs_organization_tree"))
            except FlagsiteError as error:
                form.add_error(None, error.detail)
        report = tree_operations.check().after
        count = sum(report.counts.values())
        checked, found = counted(report.organizations, "organization"), counted(count, "problem")
        context = {
            "title": "Check of the tree",
            "form": form,
            "report": report,
            "summary": f"The tree has no problems: {checked}." if report.sound else f"{found} in {checked}.",
            "problems": report.problems[:MAX_SHOWN_PROBLEMS],
            "has_more": count > MAX_SHOWN_PROBLEMS,
            "has_circle": integrity.CIRCLE in report.counts,
        }
        return self._page(request, "integrity.html", context)

    def operation_view(self, request: HttpRequest, object_id: int, operation: str) -> HttpResponse:
        """Show the form of an operation and a preview of its effects, and carry out the operation."""
        caller = self.require_viewer(request)
        if not self.has_change_permission(request):
            raise PermissionDenied
        if operation not in OPERATIONS:
            raise Http404
        organization = self._organization(request, str(object_id))
        chosen = OPERATIONS[operation]
        form = _form(chosen, organization, request)
        organization_picker.set_caller(form, caller)
        context: dict[str, Any] = {"title": _title(chosen, organization), "form": form, "operation": chosen}
        if operation == "delete":
            context |= _deletion_preview(caller, organization)
        if request.method == "POST" and form.is_valid():
            try:
                if chosen.has_preview:
                    context |= _move_preview(caller, organization, form.cleaned_data)
                if request.POST.get("shown") == context.get("fingerprint"):
                    return self._act(request, chosen, organization, form.cleaned_data)
                if "shown" in request.POST:
                    form.add_error(None, PREVIEW_OUTDATED)
            except FlagsiteError as error:
                form.add_error(None, error.detail)
        return self._page(request, "operation.html", context | browser.path_context(caller, organization))

    def _act(
        self, request: HttpRequest, operation: OrganizationOperation, organization: Organization, values: dict[str, Any]
    ) -> HttpResponse:
        changed = operation.act(self.require_viewer(request), organization, values)
        if isinstance(changed, large_changes.StartedJob):
            self.message_user(request, f"Job {changed.job_id} does this. This page shows its progress.")
            return HttpResponseRedirect(reverse("admin:jobs_job_change", args=[changed.job_id]))
        self.message_user(request, operation.done(organization, values))
        if changed is None:
            return HttpResponseRedirect(reverse("admin:orgs_organization_changelist"))
        return HttpResponseRedirect(reverse("admin:orgs_organization_change", args=[changed.pk]))

    def _organization(self, request: HttpRequest, object_id: str) -> Organization:
        try:
            return find_visible_organization(self.require_viewer(request), id_in(object_id) or 0)
        except OrganizationNotFound as error:
            raise Http404 from error

    def _page(self, request: HttpRequest, template: str, context: dict[str, Any]) -> HttpResponse:
        request.current_app = self.admin_site.name
        frame = {**self.admin_site.each_context(request), "opts": self.opts}
        return TemplateResponse(request, f"admin/orgs/organization/{template}", frame | context)

    def delete_view(self, request: HttpRequest, object_id: str, *_: Any, **__: Any) -> HttpResponse:
        """Redirect from Django's page to the page of our operation, which has a preview of the deletion."""
        return HttpResponseRedirect(
            reverse("admin:orgs_organization_operation", args=[id_in(object_id) or 0, "delete"])
        )


def _entries_context(caller: Caller, organization: Organization) -> dict[str, Any]:
    """Return the context of the history of an organization."""
    entries = matching(visible_entries(caller), organization_id=organization.pk)[: words.MAX_SHOWN]
    return {"history": by_operation(entries, caller), "history_query": urlencode({"of": f"id:{organization.pk}"})}


def _form(operation: OrganizationOperation, organization: Organization, request: HttpRequest) -> forms.Form:
    data = request.POST if request.method == "POST" else None
    if operation.form is DeleteForm:
        return DeleteForm(organization, data)
    initial = {"name": organization.name} if operation.name == "rename" else {}
    if operation.name == "attribute":
        initial = initial_of(request.GET.get("name", ""), own_attributes(organization.pk))
    return operation.form(data, initial=initial)


def _title(operation: OrganizationOperation, organization: Organization) -> str:
    return f"{operation.title} {organization.name}"


def _deletion_preview(caller: Caller, organization: Organization) -> dict[str, Any]:
    """Return sentences about the effects of a deletion, and about people who have to get another scope first."""
    subtree = Organization.objects.under(organization)
    keys = AccessKey.objects.filter(organization__in=subtree).count()
    count = organization.descendant_count + 1
    organizations = "1 organization" if count == 1 else f"{count:,} organizations, this one and all below it,"
    access_keys = "1 access key" if keys == 1 else f"{keys:,} access keys" if keys else "No access key"
    said = said_of_deletion(caller, organization)
    preview = [
        f"{organizations} will be deleted, with {'its' if count == 1 else 'their'} flag states.",
        *said.effects,
        f"{access_keys} will be deleted.",
        *_job_sentence(organization, "deletes them step by step"),
        *_bound_people(caller, subtree),
    ]
    return {"preview": preview, "notes": said.notes}


def _job_sentence(organization: Organization, does: str) -> list[str]:
    """Return a sentence that says that a job carries out the change, if it does."""
    if not large_changes.is_large(organization):
        return []
    return [f"Because these are many, a job {does}. Its page shows the progress, and there you can cancel the job."]


def _bound_people(caller: Caller, subtree: QuerySet[Organization]) -> list[str]:
    """Return a sentence about people whose scope would be deleted.

    A caller without a scope, who can give these people another scope, sees their names.
    """
    scopes = StaffScope.objects.filter(organization__in=subtree).select_related("user", "organization")
    count = scopes.count()
    if not count:
        return []
    named = "1 person" if count == 1 else f"{count:,} people"
    if caller.organization_id is None:
        first = scopes.order_by("user__username")[:MAX_NAMED_PEOPLE]
        named = ", ".join(f"{scope.user.get_username()} ({scope.organization.name})" for scope in first)
        named += f" and {count - MAX_NAMED_PEOPLE:,} more" if count > MAX_NAMED_PEOPLE else ""
    return [
        f"It cannot be deleted yet: without it {named} would see everything. Bind them to another organization first."
    ]


def _move_preview(caller: Caller, organization: Organization, values: dict[str, Any]) -> dict[str, Any]:
    """Return the preview of a move, and its fingerprint. Raises FlagsiteError if the move is not possible."""
    parent, keeps_values = values["parent"], values["materialise"]
    parent_id = authorized_operations.check_move(caller, organization, parent.pk if parent else None)
    said = said_of_move(PlannedMove(caller, organization, parent, keeps_values))
    job = _job_sentence(organization, "moves them") if organization.parent_id != parent_id else []
    preview = [said.effects[0], *job, *said.effects[1:]]
    shown = fingerprint_of(organization.pk, parent_id, keeps_values, preview)
    return {"preview": preview, "notes": said.notes, "fingerprint": shown}
