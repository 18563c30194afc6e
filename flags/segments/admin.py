"""The admin site's pages of segments: the list, the form with what uses the segment, the plan, and the deletion."""

from __future__ import annotations

from typing import Any

from django.contrib import admin, messages
from django.contrib.admin.utils import flatten_fieldsets
from django.core.exceptions import PermissionDenied
from django.http import Http404, HttpRequest, HttpResponse, HttpResponseRedirect
from django.template.response import TemplateResponse
from django.urls import URLPattern, path, reverse

from flags.definitions.admin_inputs import inputs_of
from flags.definitions.who_may_define import may_define
from flags.segments import service
from flags.segments.editor_page import SegmentEditorPages
from flags.segments.forms import DeletionForm, SegmentForm
from flags.segments.models import Segment
from flags.segments.plan_words import effect_in_words, fields_in_words
from flags.segments.uses import uses_of
from flags.states.planning import Agreed
from flags.targeting.words import conditions_in_words
from flagsite.core.admin.capped_paginator import CappedPaginator
from flagsite.core.errors import FlagsiteError
from orgs.access.models import Role
from orgs.access.operator_admin import OperatorAdmin, clipped, require_caller

RECORD = ["version", "created_by", "created_at", "updated_by", "updated_at"]
"""Fields that the page shows and nobody can edit."""
REVIEW = "_review"
"""The name of the button that shows the plan of a change."""


@admin.register(Segment)
class SegmentAdmin(SegmentEditorPages, OperatorAdmin):
    """The pages of segments. They belong to no organization, so a person with a scope does not see them."""

    add_role = change_role = Role.EDITOR
    empty_hint = "Create a segment, and let the rules of flags ask for it with the operator inSegment."
    form = SegmentForm
    paginator = CappedPaginator
    list_display = ("key", "about", "rule_count", "included_count", "excluded_count", "owner")
    search_fields = ("key", "description", "owner")
    ordering = ("key",)
    change_form_before_template = "admin/flags/segments/uses.html"
    change_form_after_template = "admin/flags/segments/below_segment.html"
    change_form_outer_after_template = "admin/flags/try_out_form.html"

    @admin.display(description="description")
    def about(self, segment: Segment) -> Any:
        """The beginning of the description."""
        return clipped(segment.description)

    @admin.display(description="rules")
    def rule_count(self, segment: Segment) -> int:
        """The number of rules."""
        return len(segment.rules)

    @admin.display(description="included keys")
    def included_count(self, segment: Segment) -> int:
        """The number of included targeting keys."""
        return len(segment.included)

    @admin.display(description="excluded keys")
    def excluded_count(self, segment: Segment) -> int:
        """The number of excluded targeting keys."""
        return len(segment.excluded)

    @admin.display(description="rules")
    def rules_in_words(self, segment: Segment) -> str:
        """The rules for who cannot change them. The theme's JSON needs styles that the CSP forbids."""
        return "; ".join(f"{rule['id']}: {conditions_in_words(rule)}" for rule in segment.rules)

    def has_add_permission(self, request: HttpRequest) -> bool:
        return super().has_add_permission(request) and may_define(require_caller(request))

    def has_change_permission(self, request: HttpRequest, obj: Any = None) -> bool:
        return super().has_change_permission(request, obj) and may_define(require_caller(request))

    def has_delete_permission(self, request: HttpRequest, obj: Any = None) -> bool:
        return False  # Django's page would delete without the checks of the service

    def get_readonly_fields(self, request: HttpRequest, obj: Any = None) -> list[str]:
        return ["key", *RECORD, "rules_in_words"] if obj else RECORD

    def get_fieldsets(self, request: HttpRequest, obj: Any = None) -> Any:
        may_write = self.has_change_permission(request, obj) if obj else self.has_add_permission(request)
        rules = "rules" if may_write else "rules_in_words"
        fieldsets: list[Any] = [
            (None, {"fields": ["key", "description", rules, "included", "excluded"]}),
            ("Owner and search", {"fields": ["owner", "tags"]}),
        ]
        if may_write:
            fieldsets.append(("This change", {"fields": ["reason", "based_on"]}))
        return [*fieldsets, ("Record", {"fields": RECORD, "classes": ["collapse"]})] if obj else fieldsets

    def get_urls(self) -> list[URLPattern]:
        view = self.admin_site.admin_view
        return [
            path("<int:segment_id>/review/", view(self.review_view), name="flags_segment_review"),
            path("<int:segment_id>/remove/", view(self.remove_view), name="flags_segment_remove"),
            *self.editor_urls(),
            *super().get_urls(),
        ]

    def changeform_view(self, request: HttpRequest, *args: Any, **kwargs: Any) -> HttpResponse:
        """Show Django's page. If the write is refused, perhaps because somebody else was faster, show the reason."""
        try:
            response: HttpResponse = super().changeform_view(request, *args, **kwargs)
        except FlagsiteError as error:
            self.message_user(request, error.detail, messages.ERROR)
            return HttpResponseRedirect(request.get_full_path())
        return response

    def render_change_form(self, request: HttpRequest, context: Any, *args: Any, **kwargs: Any) -> HttpResponse:
        segment = context.get("original")
        if segment is not None:
            context["uses"] = uses_of(segment.key)
            context["may_delete"] = self.has_change_permission(request, segment)
        if self.has_change_permission(request, segment) if segment else self.has_add_permission(request):
            context |= self.editor_context(request, segment)
        return super().render_change_form(request, context, *args, **kwargs)

    def save_model(self, request: HttpRequest, obj: Any, form: Any, change: Any) -> None:
        arguments = {"key": obj.key, "values": form.segment_values(), "by": require_caller(request).name}
        arguments["reason"] = form.cleaned_data["reason"]
        if change:
            agreed = Agreed(plan_hash=form.cleaned_data["plan_hash"])
            service.update(expected={form.cleaned_data["based_on"]}, agreed=agreed, **arguments)
        else:
            obj.pk = service.create(**arguments).pk

    def log_change(self, request: HttpRequest, obj: Any, message: Any) -> Any:
        """Do nothing: the audit log has the change already."""

    log_addition = log_change

    def review_view(self, request: HttpRequest, segment_id: int) -> HttpResponse:
        """Show what the form would do, with a button that saves it."""
        segment = self._segment(request, segment_id)
        page = reverse("admin:flags_segment_change", args=[segment_id])
        if request.method != "POST":
            return HttpResponseRedirect(page)
        form = self.segment_form(request, segment)
        if REVIEW not in request.POST or not form.is_valid():
            return self.change_view(request, str(segment_id))  # which saves the form, or shows its errors
        plan = service.plan(key=segment.key, values=form.segment_values())
        context = {
            "opts": self.opts, "title": f"Change {segment.key}", "original": segment, "page": page,
            "effect": effect_in_words(plan), "changed_fields": fields_in_words(plan),
            "inputs": [*inputs_of(request, left_out={REVIEW, "plan_hash"}), ("plan_hash", plan.hash)],
        }  # fmt: skip
        return TemplateResponse(
            request, "admin/flags/segments/review.html", self.admin_site.each_context(request) | context
        )

    def segment_form(self, request: HttpRequest, segment: Segment | None) -> SegmentForm:
        """Return the form with what the person has sent, for this segment or for a new one."""
        fields = flatten_fieldsets(self.get_fieldsets(request, segment))
        made = self.get_form(request, segment, change=segment is not None, fields=fields)
        form: SegmentForm = made(request.POST, instance=segment)
        return form

    def remove_view(self, request: HttpRequest, segment_id: int) -> HttpResponse:
        """Ask for a reason, then delete the segment."""
        segment = self._segment(request, segment_id)
        form = DeletionForm(segment, request.POST if request.method == "POST" else None)
        if request.method == "POST" and form.is_valid():
            values = form.cleaned_data
            try:
                service.delete(
                    key=segment.key, by=require_caller(request).name, reason=values["reason"],
                    expected={values["based_on"]},
                )  # fmt: skip
                self.message_user(request, f"The segment {segment.key} is deleted.")
                return HttpResponseRedirect(reverse("admin:flags_segment_changelist"))
            except FlagsiteError as error:
                form.add_error(None, error.detail)
        context = {"opts": self.opts, "title": f"Delete {segment.key}", "segment": segment, "form": form}
        return TemplateResponse(
            request, "admin/flags/segments/remove.html", self.admin_site.each_context(request) | context
        )

    def _segment(self, request: HttpRequest, segment_id: int) -> Segment:
        """Return a segment that the person may change."""
        segment = self.get_queryset(request).filter(pk=segment_id).first()
        if segment is None:
            raise Http404
        if not self.has_change_permission(request, segment):
            raise PermissionDenied
        found: Segment = segment
        return found
