"""The editor of a segment in the admin site, and the trial of a segment that is not saved yet."""

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

from flags.definitions.editor import offered
from flags.definitions.models import Flag
from flags.definitions.trial_form import SegmentTryOutForm, errors_of, traced
from flags.evaluation import context_loader
from flags.evaluation.engine import NO_ORGANIZATION_CONTEXT
from flags.segments.fields import FIELDS
from flags.segments.forms import SegmentForm
from flags.segments.loader import evaluated, load_segments
from flags.segments.models import Segment
from flags.segments.selectors import visible_segments
from flags.targeting.segments import keys_named_in
from flags.targeting.traces import SegmentTrace, trace_of_segment
from flagsite.core.db.snapshot import snapshot
from flagsite.core.errors import FlagsiteError
from orgs.access.operator_admin import OperatorAdmin, require_caller

if TYPE_CHECKING:
    Pages = OperatorAdmin
else:
    Pages = object

ABOUT_SAVING = {"reason", "based_on", "plan_hash", NON_FIELD_ERRORS}
"""The fields of the form that say nothing about the segment. Errors of no field are those of who was too late."""


class SegmentEditorPages(Pages):
    """The mixin that adds the editor, and trials of what is not saved yet, to the pages of segments."""

    def editor_urls(self) -> list[URLPattern]:
        """Return the URL patterns of trials: of a new segment, and of a change."""
        view = self.admin_site.admin_view(self.try_unsaved_view)
        name = "flags_segment_try_unsaved"
        return [path("try-unsaved/", view, name=name), path("<int:segment_id>/try-unsaved/", view, name=name)]

    def segment_form(self, request: HttpRequest, segment: Segment | None) -> SegmentForm:
        """Return the form with what the person has sent, for this segment or for a new one."""
        raise NotImplementedError

    def editor_context(self, request: HttpRequest, segment: Segment | None) -> dict[str, Any]:
        """Return what the templates of the editor show: the data for the script, and the form of the trial."""
        found = offered(segment.rules, without=segment.key) if segment else offered([])
        return {
            "editor": json.dumps(found),
            "try_out": SegmentTryOutForm(require_caller(request), Flag(), None),
            "try_out_address": reverse("admin:flags_segment_try_unsaved", args=[segment.pk] if segment else []),
        }

    def try_unsaved_view(self, request: HttpRequest, segment_id: int | None = None) -> HttpResponse:
        """Say whether a context is in the segment of the form, or what is wrong with the form. Nothing is saved."""
        caller = require_caller(request)
        segment = None if segment_id is None else get_object_or_404(visible_segments(caller), pk=segment_id)
        may_write = self.has_change_permission(request, segment) if segment else self.has_add_permission(request)
        if not may_write:
            raise PermissionDenied
        if request.method != "POST":
            return HttpResponse(status=HTTPStatus.NO_CONTENT)
        form, trial = self.segment_form(request, segment), SegmentTryOutForm(caller, Flag(), request.POST)
        errors = [*errors_of(form, left_out=ABOUT_SAVING), *errors_of(trial)]
        context: dict[str, Any] = {"errors": errors}
        if not errors:
            try:
                with snapshot():
                    trace = trace_of_unsaved(form.segment_values(), trial.cleaned_data)
                number = len(trace.rules) if trace.matches else 0
                context |= {"segment": trace, "number": number, **traced(trace.rules)}
            except FlagsiteError as error:  # the organization was deleted meanwhile
                context["refusal"] = error.detail
        return TemplateResponse(request, "admin/flags/try_out_result.html", context)


def trace_of_unsaved(values: Mapping[str, Any], trial: Mapping[str, Any]) -> SegmentTrace:
    """Return whether the context of a trial is in a segment, and why.

    Args:
        values: the checked fields of the segment by the model's names.
        trial: the organization (or None), the user, and the attributes.

    Raises:
        OrganizationNotFound.
    """
    rules = FIELDS["rules"].normalized(values["rules"])
    row = {"id": 0, "key": "", "version": 0, **values, "rules": rules}
    segment = load_segments(keys_named_in(rules)).resolved_segment(evaluated(row))
    place = NO_ORGANIZATION_CONTEXT
    if trial["organization"] is not None:
        place = context_loader.load_context(trial["organization"].pk, segment.reads_of_organization)
    return trace_of_segment(segment, trial["attributes"], trial["user"] or "", place)
