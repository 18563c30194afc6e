"""The admin site's pages that export all definitions as a file, and that import a file."""

from __future__ import annotations

import json
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

from django import forms
from django.conf import settings
from django.core.exceptions import PermissionDenied
from django.http import Http404, HttpRequest, HttpResponse, HttpResponseRedirect
from django.template.response import TemplateResponse
from django.urls import reverse
from django.utils.decorators import method_decorator
from unfold.decorators import action
from unfold.widgets import UnfoldAdminFileFieldWidget

from flags.definitions.service import ANY
from flags.definitions.who_may_define import may_define
from flags.errors import FlagFileChangedMeanwhile
from flags.moving import flag_file, to_flagd, words, writing
from flags.moving.reading import Reading, Source, read_flag_file, read_import, read_text
from flags.moving.segments_of_file import SegmentEntry
from flags.moving.serializers import LONGEST_FILE
from flags.moving.writing import Action, Entry, Mode, Written
from flagsite.core.admin.reason_form import reason_field
from flagsite.core.errors import FlagsiteError
from flagsite.core.reading_pages import only_reads
from orgs.access.operator_admin import OperatorAdmin, require_caller
from orgs.access.organization_picker import OrganizationPicker
from orgs.access.visible_organizations import find_visible_organization

if TYPE_CHECKING:
    Pages = OperatorAdmin
else:
    Pages = object

MODES = {
    Mode.MERGE: "Define and change the flags of the file; all others stay",
    Mode.MIRROR: "Make all definitions those of the file; archive all other flags",
}
PLAN = "_plan"
"""The name of the button that only shows the plan."""
CHANGED_MEANWHILE = "Somebody has changed a definition since the plan was shown. This is the new plan."


class FlagFileForm(forms.Form):
    """A file, or the content of one whose plan was shown, and how it is written.

    `revision` is that of the definitions for which a plan was shown. `remarks` says what the file has that Flagsite
    cannot say exactly.
    """

    remarks: list[str] = []

    file = forms.FileField(
        required=False,
        help_text="JSON: a flag file, as the page Export flags gives it, or a file of another product.",
        widget=UnfoldAdminFileFieldWidget(attrs={"accept": ".json,application/json"}),
    )
    content = forms.CharField(required=False, strip=False, widget=forms.HiddenInput)
    revision = forms.CharField(required=False, widget=forms.HiddenInput)
    source = forms.ChoiceField(
        choices=[("", "Flagsite: a flag file"), *((source.value, source.value) for source in Source)], required=False,
        label="Product that has written the file",
    )  # fmt: skip
    environment = forms.CharField(
        required=False, max_length=255, help_text="Of another product's file that has several environments."
    )
    mode = forms.ChoiceField(choices=[(mode.value, label) for mode, label in MODES.items()], label="What to do")
    reason = reason_field()

    def clean_mode(self) -> Mode:
        return Mode(self.cleaned_data["mode"])

    def clean_source(self) -> Source | None:
        return Source(self.cleaned_data["source"]) if self.cleaned_data["source"] else None

    def clean(self) -> dict[str, Any]:
        values: dict[str, Any] = super().clean() or self.cleaned_data
        file = values.get("file")
        if file is None and not values.get("content"):
            raise forms.ValidationError({"file": "Choose a file."})
        if file is not None and file.size > LONGEST_FILE:
            raise forms.ValidationError({"file": f"The file is larger than {LONGEST_FILE // 2**20} MB."})
        if values.get("source") and values.get("mode") is Mode.MIRROR:
            raise forms.ValidationError({"mode": "Only a flag file of Flagsite can be mirrored."})
        values["bytes"] = values["content"].encode() if file is None else file.read()
        return values


class MovingPages(Pages):
    """The mixin that adds the pages to those of flags. Only people without a scope see all definitions."""

    def has_export_permission(self, request: HttpRequest) -> bool:
        return self.has_view_permission(request) and require_caller(request).organization_id is None

    def has_import_permission(self, request: HttpRequest) -> bool:
        return self.has_view_permission(request) and may_define(require_caller(request))

    @action(description="Export flags", url_path="export", permissions=["export"])
    @method_decorator(only_reads)
    def export_flags(self, request: HttpRequest) -> HttpResponse:
        """Answer with the flag file, which a browser saves, or with the file for flagd of the organization `flagd`."""
        if not self.has_export_permission(request):
            raise PermissionDenied
        if "flagd" not in request.GET:
            text = flag_file.text_of(flag_file.document(with_archived=request.GET.get("archived") == "true"))
            return _saved(text, "flags.json")
        try:
            organization = find_visible_organization(require_caller(request), request.GET["flagd"].strip())
        except FlagsiteError as error:
            raise Http404(error.detail) from error
        exported = to_flagd.export(organization.pk, request.GET.get("environment"))
        return _saved(json.dumps(exported.document, ensure_ascii=False, indent=2) + "\n", "flagd.json")

    @action(description="Import flags", url_path="import", permissions=["import"])
    def import_flags(self, request: HttpRequest) -> HttpResponse:
        """Ask for a file, show what it would change, and then write it."""
        if not self.has_import_permission(request):
            raise PermissionDenied
        is_sent = request.method == "POST"
        form = FlagFileForm(request.POST if is_sent else None, request.FILES if is_sent else None)
        plan = self._carry_out(request, form) if is_sent and form.is_valid() else None
        if isinstance(plan, HttpResponse):
            return plan
        picker = OrganizationPicker().render("flagd", None, {"id": "flagd", "required": True})
        context = {"opts": self.opts, "title": "Import flags", "form": form, "picker": picker}
        context |= _shown(plan) if plan else {}
        request.current_app = self.admin_site.name
        frame = self.admin_site.each_context(request)
        return TemplateResponse(request, "admin/flags/import.html", frame | context)

    def _carry_out(self, request: HttpRequest, form: FlagFileForm) -> HttpResponse | Written | None:
        """Write the file, or return its plan. An error is shown beside the file, and nothing is written.

        If somebody has changed a definition since the plan was shown, the new plan is shown instead of a write.
        """
        values, by = form.cleaned_data, require_caller(request).name
        try:
            reading = _reading(values)
            entries, form.remarks = reading.entries, words.lines_about(reading.remarks)
            if PLAN in request.POST:
                return _plan(form, entries, by=by, segments=reading.segments)
            try:
                written = writing.write(
                    entries, values["mode"], by=by, reason=values["reason"], segments=reading.segments,
                    expected={values["revision"]} if values["revision"] else ANY,
                )  # fmt: skip
            except FlagFileChangedMeanwhile:
                form.add_error(None, CHANGED_MEANWHILE)
                return _plan(form, entries, by=by, segments=reading.segments)
        except FlagsiteError as error:
            form.add_error("file", error.detail)
            return None
        self.message_user(request, " ".join([words.summary(written), *form.remarks]))
        return HttpResponseRedirect(reverse("admin:flags_flag_changelist"))


def _saved(text: str, name: str) -> HttpResponse:
    """Return the answer with a file that a browser saves and never shows."""
    headers = {"Content-Disposition": f'attachment; filename="{name}"', "X-Content-Type-Options": "nosniff"}
    return HttpResponse(text, content_type="application/json", headers=headers)


def _reading(values: dict[str, Any]) -> Reading:
    content = read_text(values["bytes"])
    return (
        read_import(values["source"], content, values["environment"]) if values["source"] else read_flag_file(content)
    )


def _plan(form: FlagFileForm, entries: Sequence[Entry], *, by: str, segments: Sequence[SegmentEntry]) -> Written:
    """Return the plan, and let the page have its revision and the content of the file.

    So a person need not choose the file again, unless it is large.
    """
    plan = writing.plan(entries, form.cleaned_data["mode"], by=by, segments=segments)
    content, sent = form.cleaned_data["bytes"], form.data.dict()  # type: ignore[attr-defined]
    is_kept = len(content) <= settings.DATA_UPLOAD_MAX_MEMORY_SIZE // 2
    form.data = sent | {"content": content.decode("utf-8-sig") if is_kept else "", "revision": plan.revision}
    return plan


def _shown(plan: Written) -> dict[str, Any]:
    """Return what the page shows of a plan."""
    written = [(flag.key, flag.action.value, flag.changes) for flag in plan.flags]
    written += [(f"segment {segment.key}", segment.action, segment.changes) for segment in plan.segments]
    rows = [
        (name, verb, [(each.name, words.value_in_words(each.before), words.value_in_words(each.after))
                      for each in changes])
        for name, verb, changes in written if verb != Action.NONE
    ]  # fmt: skip
    return {"summary": words.summary(plan), "rows": rows, "is_planned": True}
