"""The editor of a definition in the admin site, and the trial of a definition that is not saved yet."""

from __future__ import annotations

import json
from collections.abc import Mapping
from http import HTTPStatus
from typing import TYPE_CHECKING, Any

from django.core.exceptions import NON_FIELD_ERRORS, PermissionDenied
from django.http import HttpRequest, HttpResponse
from django.shortcuts import get_object_or_404
from django.template.response import TemplateResponse
from django.urls import URLPattern, path, reverse

from flags.definitions import loader, typed_definitions
from flags.definitions.editor import editor_of
from flags.definitions.fields import FIELDS, values_of
from flags.definitions.forms import FlagForm
from flags.definitions.models import Flag
from flags.definitions.trial_form import TryOutForm, errors_of, traced
from flags.definitions.visible_flags import visible_flags
from flags.evaluation import explain
from flags.evaluation.engine import Definition, EvaluationContext, evaluate
from flags.evaluation.explain import Checked
from flags.evaluation.wants import missing
from flags.segments.loader import load_segments
from flagsite.core.db.snapshot import snapshot
from flagsite.core.errors import FlagsiteError
from orgs.access.operator_admin import OperatorAdmin, require_caller

if TYPE_CHECKING:
    Pages = OperatorAdmin
else:
    Pages = object

ABOUT_SAVING = {"reason", "based_on", "plan_hash", NON_FIELD_ERRORS}
"""The fields of the form that say nothing about the definition. Errors of no field are those of who was too late."""


class EditorPages(Pages):
    """The mixin that adds the editor, and trials of what is not saved yet, to the pages of flags."""

    def editor_urls(self) -> list[URLPattern]:
        """Return the URL patterns of trials: of a new flag, and of a change."""
        view = self.admin_site.admin_view(self.try_unsaved_view)
        name = "flags_flag_try_unsaved"
        return [path("try-unsaved/", view, name=name), path("<int:flag_id>/try-unsaved/", view, name=name)]

    def definition_form(self, request: HttpRequest, flag: Flag | None) -> FlagForm:
        """Return the form with what the person has sent, for this flag or for a new one."""
        raise NotImplementedError

    def editor_context(self, request: HttpRequest, flag: Flag | None) -> dict[str, Any]:
        """Return what the templates of the editor show: the data for the script, and the form of the trial."""
        caller = require_caller(request)
        arguments = [flag.pk] if flag else []
        return {
            "editor": json.dumps(editor_of(flag)),
            "try_out": TryOutForm(caller, flag or Flag(), None),
            "try_out_address": reverse("admin:flags_flag_try_unsaved", args=arguments),
        }

    def try_unsaved_view(self, request: HttpRequest, flag_id: int | None = None) -> HttpResponse:
        """Say what a context gets by the definition in the form, or what is wrong with the form. Nothing is saved."""
        caller = require_caller(request)
        flag = None if flag_id is None else get_object_or_404(visible_flags(caller), pk=flag_id)
        may_write = self.has_change_permission(request, flag) if flag else self.has_add_permission(request)
        if not may_write:
            raise PermissionDenied
        if request.method != "POST":
            return HttpResponse(status=HTTPStatus.NO_CONTENT)
        form, trial = self.definition_form(request, flag), TryOutForm(caller, Flag(), request.POST)
        errors = [*errors_of(form, left_out=ABOUT_SAVING), *errors_of(trial)]
        context: dict[str, Any] = {"errors": errors}
        if not errors:
            try:
                with snapshot():
                    context |= _tried(flag_id, form, trial.cleaned_data)
            except FlagsiteError as error:  # the rollout needs a targeting key, or the flag was deleted meanwhile
                context["refusal"] = error.detail
        return TemplateResponse(request, "admin/flags/try_out_result.html", context)


def _tried(flag_id: int | None, form: FlagForm, trial: Mapping[str, Any]) -> dict[str, Any]:
    """Return what the page says of the definition of a form without errors in the context of the trial.

    Raises FlagsiteError.
    """
    given = form.cleaned_data
    flag = Flag(key=given["key"], type=given["type"]) if flag_id is None else Flag.objects.get(pk=flag_id)
    known = loader.load_definitions()
    unsaved = {flag.key: unsaved_definition(flag, form.definition_values())}
    known |= loader.with_segments(unsaved, load_segments)
    organization = trial["organization"]
    context = EvaluationContext(trial["user"] or None, trial["environment"] or None, trial["attributes"])
    organization_id = organization.pk if organization else None
    checked = explain.check_in(known, key=flag.key, organization_id=organization_id, context=context)
    traces = checked.rule_traces
    return {
        "checked": checked,
        "number": _number_of_rule(checked),
        "needed": [_needed(key, known, checked) for key in checked.definition.prerequisites],
        **traced(traces),
    }


def _needed(key: str, known: Mapping[str, Definition], checked: Checked) -> tuple[str, str, str]:
    """Return a prerequisite, what it serves in the trial, and how that was decided, with the bucket of a rollout."""
    if key not in known:
        return key, "", missing(key)
    try:
        decision = evaluate(known[key], checked.organization, checked.context, known)
    except FlagsiteError as error:
        return key, "", error.detail
    return key, decision.variant or "no value", decision.steps[-1].detail


def unsaved_definition(flag: Flag, values: Mapping[str, Any]) -> Definition:
    """Return a definition as evaluation would read it after a change.

    Args:
        flag: the flag as it is; without an id if it is new.
        values: definition fields by the model's names.

    Raises:
        InvalidDefinition, FlagTypeImmutable.
    """
    if flag.pk:
        before, settle = values_of(flag), typed_definitions.settled
    else:
        before = {name: getattr(flag, name) for name, spec in FIELDS.items() if spec.is_column}
        settle = typed_definitions.settled_new
    row = {**before, **settle(flag, values)}
    return loader.definition_from({**row, "id": flag.pk or 0, "key": flag.key, "version": flag.version})


def _number_of_rule(checked: Checked) -> int:
    """Return the number of the targeting rule that decided; 0 if none did."""
    ids = [rule.id for rule in checked.definition.targeting_rules]
    return ids.index(checked.decision.rule_id) + 1 if checked.decision.rule_id in ids else 0
