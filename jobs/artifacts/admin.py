"""The admin site's pages of artifacts: the list, the download, and the upload of a file for a job."""

from __future__ import annotations

from typing import Any

from django import forms
from django.conf import settings
from django.contrib import admin
from django.core.exceptions import PermissionDenied
from django.db.models.functions import Now
from django.http import Http404, HttpRequest, HttpResponse, HttpResponseRedirect
from django.template.defaultfilters import filesizeformat
from django.template.response import TemplateResponse
from django.urls import URLPattern, path, reverse
from django.utils.html import format_html
from django.utils.safestring import SafeString
from unfold.widgets import UnfoldAdminFileFieldWidget

from flagsite.core.admin.capped_paginator import CappedPaginator
from flagsite.core.admin.reason_form import reason_field
from flagsite.core.ids import id_in
from flagsite.core.reading_pages import only_reads
from jobs.artifacts import uploads
from jobs.artifacts.download import download
from jobs.artifacts.models import Artifact
from jobs.artifacts.upload_parsers import uploaded
from jobs.errors import ArtifactNotFound, TooManyUploads
from orgs.access.models import Role
from orgs.access.operator_admin import OperatorAdmin, clipped, require_caller


class UploadForm(forms.Form):
    """A file for a job, and the reason of the upload."""

    file = forms.FileField(
        label="File",
        help_text="Any file. The arguments of a job name it by its number.",
        widget=UnfoldAdminFileFieldWidget(),
    )
    reason = reason_field()

    def clean_file(self) -> Any:
        file = self.cleaned_data["file"]
        if file.size > settings.MAX_IMPORT_BYTES:
            raise forms.ValidationError(f"The file is larger than {settings.MAX_IMPORT_BYTES // 2**20} MB.")
        return file


@admin.register(Artifact)
class ArtifactAdmin(OperatorAdmin):
    """The pages of artifacts. The page of a row is the download of its file."""

    view_role = Role.OPERATOR
    add_role = Role.OPERATOR
    organization_field = "organization_id"
    paginator = CappedPaginator
    empty_hint = "An artifact is a file that a job has made, or that somebody has uploaded for a job."
    list_display = ["number", "file", "size_cell", "job_cell", "media_type_cell", "author", "expiry"]
    list_display_links = None
    ordering = ["-id"]
    sortable_by: list[str] = []

    def get_queryset(self, request: HttpRequest) -> Any:
        rows: Any = super().get_queryset(request).filter(expires_at__gt=Now())
        return rows.readable_with(require_caller(request).role)

    def get_urls(self) -> list[URLPattern]:
        view = self.admin_site.admin_view
        return [
            path("<int:artifact_id>/file/", view(only_reads(self.file_view)), name="jobs_artifact_file"),
            *super().get_urls(),
        ]

    def add_view(self, request: HttpRequest, *_: Any, **__: Any) -> HttpResponse:
        """Show the form. A POST stores the file, and shows the list with its number."""
        if not self.has_add_permission(request):
            raise PermissionDenied
        form = UploadForm(request.POST or None, request.FILES or None)
        if request.method == "POST" and form.is_valid():
            file, reason = uploaded(form.cleaned_data["file"]), form.cleaned_data["reason"]
            try:
                artifact = uploads.upload(
                    require_caller(request), file.content, name=file.name, media_type=file.media_type, reason=reason
                )
            except TooManyUploads as error:
                form.add_error("file", error.detail)
            else:
                text = f"The file is artifact {artifact.pk}. Name this number in the arguments of a job."
                self.message_user(request, text)
                return HttpResponseRedirect(reverse("admin:jobs_artifact_changelist"))
        request.current_app = self.admin_site.name
        frame = {**self.admin_site.each_context(request), "opts": self.opts}
        context = {"title": "Upload a file for a job", "form": form}
        return TemplateResponse(request, "admin/jobs/artifact/add.html", frame | context)

    def change_view(self, request: HttpRequest, object_id: str, *_: Any, **__: Any) -> Any:
        """Answer with the file."""
        return self.file_view(request, id_in(object_id) or 0)

    def file_view(self, request: HttpRequest, artifact_id: int) -> Any:
        """Answer with the file of an artifact, whether a job has made it or somebody has uploaded it."""
        try:
            return download(request, uploads.find_upload(self.require_viewer(request), artifact_id))
        except ArtifactNotFound as error:
            raise Http404 from error

    # --- Cells --------------------------------------------------------------------------------------------------------

    @admin.display(description="artifact")
    def number(self, artifact: Artifact) -> SafeString:
        created = f"{artifact.created_at:%Y-%m-%d %H:%M:%S}"
        return format_html('{} <span class="fs-note">{}</span>', artifact.pk, created)

    @admin.display(description="file")
    def file(self, artifact: Artifact) -> SafeString:
        address = reverse("admin:jobs_artifact_file", args=[artifact.pk])
        return format_html('<a class="fs-link fs-change" href="{}">{}</a>', address, artifact.name)

    @admin.display(description="size")
    def size_cell(self, artifact: Artifact) -> str:
        return str(filesizeformat(artifact.size))

    @admin.display(description="job")
    def job_cell(self, artifact: Artifact) -> SafeString | str:
        if artifact.job_id is None:
            return "uploaded"
        address = reverse("admin:jobs_job_change", args=[artifact.job_id])
        return format_html('<a class="fs-link" href="{}">{}</a>', address, artifact.job_id)

    @admin.display(description="type")
    def media_type_cell(self, artifact: Artifact) -> str:
        return clipped(artifact.media_type)

    @admin.display(description="by")
    def author(self, artifact: Artifact) -> str:
        return clipped(artifact.created_by)

    @admin.display(description="until")
    def expiry(self, artifact: Artifact) -> str:
        return f"{artifact.expires_at:%Y-%m-%d %H:%M}"
