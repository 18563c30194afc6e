"""The admin site's pages of flags: the list, the page of a flag with its tree and its definition, and operations."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from django.contrib import admin, messages
from django.contrib.admin.utils import flatten_fieldsets, unquote
from django.core.exceptions import PermissionDenied
from django.db import transaction
from django.db.models import QuerySet
from django.http import Http404, HttpRequest, HttpResponse, HttpResponseRedirect
from django.template.response import TemplateResponse
from django.urls import URLPattern, path, reverse

from flags.definitions import flag_words, service
from flags.definitions.admin_inputs import inputs_of
from flags.definitions.editor_page import EditorPages
from flags.definitions.fields import FIELDS, AdminSection, BoundAccess, values_of
from flags.definitions.flag_list import FlagListPages
from flags.definitions.flag_overview import FlagPages
from flags.definitions.forms import OPERATIONS, DefinitionOperation, FlagForm, operations_for
from flags.definitions.models import Flag
from flags.definitions.open_schedules import WHILE_ARCHIVED, open_schedules, said_of_schedules
from flags.definitions.plan_words import effect_in_words, fields_in_words
from flags.definitions.visible_flags import visible_flags
from flags.definitions.who_may_define import may_define, may_purge
from flags.evaluation.admin_page import EvaluationPages
from flags.evaluation.wants import lines_of
from flags.insights.stale_page import StalePage
from flags.moving.page import MovingPages
from flags.serving.operator_invalidation_page import InvalidationPage
from flags.states import selectors
from flags.states.admin_section import choose_view, switch_view
from flags.states.planning import Agreed
from flags.undoing.undo_page import undo_view
from flagsite.core import actor
from flagsite.core.admin.capped_paginator import CappedPaginator
from flagsite.core.errors import FlagsiteError
from flagsite.core.ids import id_in
from jobs.engine.models import Job
from orgs.access.models import Role
from orgs.access.operator_admin import OperatorAdmin, require_caller

RECORD = ["archived", "version", "created_by", "created_at", "updated_by", "updated_at"]
"""Fields that the page shows and nobody can edit."""
OF_JSON = ("environments", "targeting_rules", "variants", "default_rollout", "value_schema", "prerequisite_wants")
"""The fields that the page shows in words to who cannot change them."""
RARE = {AdminSection.VALUES, AdminSection.TARGETING, AdminSection.BUCKETS}
"""The sections of the form that most flags do not need."""
DEFINITION_TAB = "definition"
"""The value of the query parameter `tab` for the form."""
REVIEW = "_review"
"""The name of the button that shows the plan of a change."""
BESIDE = {"prerequisites": ("prerequisite_wants",)}
"""Inputs that stand after the input of a field, and that the form puts together with it."""
AUTHORS = {"created_by", "updated_by"}
"""Those that a person with a scope does not see: they name people and access keys of other customers."""


@admin.register(Flag)
class FlagAdmin(
    FlagListPages, FlagPages, EditorPages, StalePage, EvaluationPages, InvalidationPage, MovingPages, OperatorAdmin
):
    """The pages of definitions. Only people without a scope may change definitions; values are set on organizations."""

    add_role = change_role = Role.EDITOR
    empty_hint = (
        "Define a flag here, or set a new flag on an organization. Your applications then ask for it by its key."
    )
    for_bound_people = True
    form = FlagForm
    paginator = CappedPaginator
    search_fields = ["key", "description", "owner"]
    autocomplete_fields = ["prerequisites"]
    readonly_fields = RECORD
    ordering = ["key"]
    actions_list = ("stale", "invalidate", "export_flags", "import_flags")
    change_form_before_template = "admin/flags/flag_state.html"
    change_form_after_template = "admin/flags/below_definition.html"
    change_form_outer_after_template = "admin/flags/try_out_form.html"

    @admin.display(description="environments")
    def environments_in_words(self, flag: Flag) -> str:
        """The environment overrides for who cannot change them. The theme's JSON needs styles that the CSP forbids."""
        return flag_words.environments_in_words(flag)

    @admin.display(description="rules")
    def targeting_rules_in_words(self, flag: Flag) -> str:
        """The targeting rules for who cannot change them, for the same reason."""
        return "; ".join(f"{rule_id}: {words}" for rule_id, words in flag_words.targeting_rules_in_words(flag))

    @admin.display(description="variants")
    def variants_in_words(self, flag: Flag) -> str:
        """The variants for who cannot change them, for the same reason."""
        return flag_words.variants_in_words(flag)

    @admin.display(description="default rollout")
    def default_rollout_in_words(self, flag: Flag) -> str:
        """The default rollout for who cannot change it, for the same reason."""
        return flag_words.default_rollout_in_words(flag)

    @admin.display(description="schema")
    def value_schema_in_words(self, flag: Flag) -> str:
        """The JSON Schema for who cannot change it, for the same reason."""
        return flag_words.schema_in_words(flag)

    @admin.display(description="What prerequisites must be")
    def prerequisite_wants_in_words(self, flag: Flag) -> str:
        """What the prerequisites must be, for the same reason."""
        return lines_of(flag.prerequisite_wants).replace("\n", ", ") or "on"

    def has_add_permission(self, request: HttpRequest) -> bool:
        return super().has_add_permission(request) and may_define(require_caller(request))

    def has_change_permission(self, request: HttpRequest, obj: Any = None) -> bool:
        """Return whether the person may change the definition. That of an archived flag only shows what it was."""
        return self._may_operate(request, obj) and not (obj is not None and obj.archived)

    def _may_operate(self, request: HttpRequest, flag: Flag | None) -> bool:
        """Return whether the person may archive, unarchive or change the flag."""
        is_purging = flag is not None and flag.purging
        may_write = super().has_change_permission(request, flag) and may_define(require_caller(request))
        return may_write and not is_purging

    def has_delete_permission(self, request: HttpRequest, obj: Any = None) -> bool:
        return False  # a flag can have millions of flag states, so a job has to delete them

    def get_readonly_fields(self, request: HttpRequest, obj: Any = None) -> list[str]:
        return ["key", "type", *RECORD] if obj else RECORD

    def get_fieldsets(self, request: HttpRequest, obj: Any = None) -> Any:
        may_write = self.has_change_permission(request, obj) if obj else self.has_add_permission(request)
        shown = {} if may_write else {name: f"{name}_in_words" for name in OF_JSON}
        fieldsets: list[Any] = [
            (
                section or None,
                {
                    "fields": [
                        *(["key"] if section is AdminSection.TOP else []),
                        *(shown.get(name, name) for each in names for name in (each, *BESIDE.get(each, ()))),
                    ],
                    "classes": ["collapse"] if _is_folded(section, names, obj) else [],
                },
            )
            for section, names in _sections(is_bound=_is_bound(request)).items()
        ]
        if may_write:
            fieldsets.append(("This change", {"fields": ["reason", "based_on"]}))
        record = [name for name in RECORD if not (name in AUTHORS and _is_bound(request))]
        return [*fieldsets, ("Record", {"fields": record, "classes": ["collapse"]})] if obj else fieldsets

    def get_queryset(self, request: HttpRequest) -> QuerySet[Flag]:
        return super().get_queryset(request) & visible_flags(require_caller(request))

    def get_urls(self) -> list[URLPattern]:
        view = self.admin_site.admin_view
        return [
            path("set/<str:organization_id>/", view(self.switch), name="flags_flag_switch"),
            path("<int:flag_id>/set/", view(self.choose_organization), name="flags_flag_set"),
            path("<int:flag_id>/review/", view(self.review_view), name="flags_flag_review"),
            path("undo/<int:number>/", view(self.undo_change), name="flags_flag_undo"),
            *self.flag_page_urls(),
            *self.editor_urls(),
            *self.evaluation_urls(),
            path("<int:flag_id>/<slug:operation>/do/", view(self.operation_view), name="flags_flag_do"),
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

    def change_view(self, request: HttpRequest, object_id: str, *args: Any, **kwargs: Any) -> HttpResponse:
        """Show the page of a flag, or the form of its definition, which is the second tab of the page."""
        if request.method == "POST" or request.GET.get("tab") == DEFINITION_TAB:
            response: HttpResponse = super().change_view(request, object_id, *args, **kwargs)
            return response
        flag_id = id_in(unquote(object_id))
        if flag_id is None:
            raise Http404
        return self.flag_page(request, flag_id)

    def response_post_save_change(self, request: HttpRequest, obj: Any) -> HttpResponse:
        """Lead to the page of the flag, which shows the change."""
        return HttpResponseRedirect(reverse("admin:flags_flag_change", args=[obj.pk]))

    def save_model(self, request: HttpRequest, obj: Any, form: Any, change: Any) -> None:
        arguments = {"key": obj.key, "values": form.definition_values(), "by": require_caller(request).name}
        arguments["reason"] = form.cleaned_data["reason"]
        if change:
            agreed = Agreed(plan_hash=form.cleaned_data["plan_hash"])
            service.update(expected={form.cleaned_data["based_on"]}, agreed=agreed, **arguments)
        else:
            obj.pk = service.create(**arguments).pk

    def save_related(self, request: HttpRequest, form: Any, formsets: Any, change: Any) -> None:
        """Do nothing: `save_model` has written everything, with the prerequisites."""

    def log_change(self, request: HttpRequest, obj: Any, message: Any) -> Any:
        """Do nothing: the audit log has the change already."""

    log_addition = log_change

    def review_view(self, request: HttpRequest, flag_id: int) -> HttpResponse:
        """Show what the form of the definition would do, with a button that saves it."""
        flag, _ = self.visible_flag(request, flag_id)
        if not self.has_change_permission(request, flag):
            raise PermissionDenied
        if request.method != "POST":
            return HttpResponseRedirect(f"{reverse('admin:flags_flag_change', args=[flag_id])}?tab={DEFINITION_TAB}")
        form = self.definition_form(request, flag)
        if REVIEW not in request.POST or not form.is_valid():
            return self.change_view(request, str(flag_id))  # which saves the form, or shows its errors
        plan = service.plan(key=flag.key, values=form.definition_values())
        context = {
            "opts": self.opts, "title": f"Change {flag.key}", "original": flag, "flag": flag, "tab": DEFINITION_TAB,
            "effect": effect_in_words(plan), "changed_fields": fields_in_words(plan),
            "inputs": [*inputs_of(request, left_out={REVIEW, "plan_hash"}), ("plan_hash", plan.hash)],
        }  # fmt: skip
        return TemplateResponse(request, "admin/flags/review.html", self.admin_site.each_context(request) | context)

    def definition_form(self, request: HttpRequest, flag: Flag | None) -> FlagForm:
        """Return the form with what the person has sent, for this flag or for a new one."""
        fields = flatten_fieldsets(self.get_fieldsets(request, flag))
        form: FlagForm = self.get_form(request, flag, change=flag is not None, fields=fields)(
            request.POST, instance=flag
        )
        return form

    def switch(self, request: HttpRequest, organization_id: str) -> HttpResponse:
        """Set a flag on an organization after a preview."""
        return switch_view(self, request, organization_id)

    def choose_organization(self, request: HttpRequest, flag_id: int) -> HttpResponse:
        """Ask for the organization on which a person wants to set the flag."""
        flag, _ = self.visible_flag(request, flag_id)
        return choose_view(self, request, flag)

    def undo_change(self, request: HttpRequest, number: int) -> HttpResponse:
        """Undo a change of a flag."""
        return undo_view(self, request, number)

    def operation_view(self, request: HttpRequest, flag_id: int, operation: str) -> HttpResponse:
        """Ask for a confirmation and a reason, then archive, unarchive or purge the flag."""
        flag, caller = self.visible_flag(request, flag_id)
        if not self._may_operate(request, flag):
            raise PermissionDenied
        if operation not in OPERATIONS:
            raise Http404
        if operation == "purge" and not may_purge(caller):
            raise PermissionDenied
        chosen = OPERATIONS[operation]
        form = chosen.form(flag, request.POST if request.method == "POST" else None)
        if request.method == "POST" and form.is_valid():
            values = form.cleaned_data
            arguments = {"key": flag.key, "by": caller.name, "reason": values["reason"]}
            arguments["expected"] = {values["based_on"]}
            if operation == "purge":
                arguments["correlation_id"] = actor.current().correlation_id
            try:
                with transaction.atomic():
                    return self._done(request, chosen.act(**arguments))
            except FlagsiteError as error:
                form.add_error(None, error.detail)
        context = {
            "opts": self.opts,
            "title": f"{operation.title()} {flag.key}",
            "flag": flag,
            "operation": chosen,
            "form": form,
            "open_schedules": open_schedules(flag),
            "effect": effect_in_words(service.plan(key=flag.key, values=chosen.values)) if chosen.values else [],
            "while_archived": WHILE_ARCHIVED,
        }
        return TemplateResponse(request, "admin/flags/operation.html", self.admin_site.each_context(request) | context)

    def _done(self, request: HttpRequest, result: Flag | Job) -> HttpResponse:
        if isinstance(result, Job):
            self.message_user(request, f"Job {result.pk} deletes the flag and its flag states.")
            return HttpResponseRedirect(reverse("admin:jobs_job_change", args=[result.pk]))
        self.message_user(request, f"{result.key} is {'archived' if result.archived else 'no longer archived'}.")
        if result.archived and (said := said_of_schedules(result)):
            self.message_user(request, said, messages.WARNING)
        return HttpResponseRedirect(reverse("admin:flags_flag_change", args=[result.pk]))

    def render_change_form(self, request: HttpRequest, context: Any, *args: Any, **kwargs: Any) -> HttpResponse:
        flag = context.get("original")
        if self.has_change_permission(request, flag) if flag else self.has_add_permission(request):
            context |= self.editor_context(request, flag)
        if flag is not None:
            context["tab"] = DEFINITION_TAB
            context["off_for_everybody"] = selectors.why_off_for_everybody(flag.key)
            context["operations"] = self.operations_on(request, flag)
        return super().render_change_form(request, context, *args, **kwargs)

    def may_define_flags(self, request: HttpRequest) -> bool:
        return self._may_operate(request, None)

    def operations_on(self, request: HttpRequest, flag: Flag) -> list[DefinitionOperation]:
        """Return the operations that the person may do with the flag as it is."""
        caller = require_caller(request)
        return operations_for(flag, may_purge=may_purge(caller)) if self._may_operate(request, flag) else []


def _sections(*, is_bound: bool) -> dict[AdminSection, list[str]]:
    """The names of the fields that a person may see on the page, by section."""
    shown = {name: spec for name, spec in FIELDS.items() if not is_bound or spec.bound_access is BoundAccess.VALUE}
    sections = {section: [name for name, spec in shown.items() if spec.section is section] for section in AdminSection}
    return {section: names for section, names in sections.items() if names}


def _is_folded(section: AdminSection, names: Sequence[str], flag: Flag | None) -> bool:
    """Return whether a section of rare fields is folded: in the form of a new flag, and if all its fields are default.

    A salt is different for each flag, so it does not count.
    """
    if section not in RARE:
        return False
    values = values_of(flag) if flag else {}
    return all(values[name] == FIELDS[name].default for name in names if name in values and name != "salt")


def _is_bound(request: HttpRequest) -> bool:
    return require_caller(request).organization_id is not None
