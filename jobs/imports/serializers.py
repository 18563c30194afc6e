"""Input and output of the endpoints of imports."""

from __future__ import annotations

from typing import Any

from drf_spectacular.utils import OpenApiExample, extend_schema_field, extend_schema_serializer
from rest_framework import serializers
from rest_framework.exceptions import ValidationError

from flagsite.core import example_names as names
from flagsite.core.api.input import QuerySerializer
from jobs.engine.states import Status
from jobs.imports.models import ImportLine, OrganizationImport
from orgs.access.caller import Caller
from orgs.access.visible_organizations import find_visible_organization
from orgs.errors import InvalidImportOption
from orgs.importing.options import ENCODINGS, ImportOptions, columns_in
from orgs.tree.reference_fields import HOW_TO_NAME, ReferenceInQuery

STARTED = {
    "jobId": names.CHECKED_IMPORT_ID,
    "status": "PENDING",
    "dryRun": True,
    "message": "Import started",
    "trackingUrl": f"/job-status/{names.CHECKED_IMPORT_ID}",
    "importUrl": f"/v1/imports/{names.CHECKED_IMPORT_ID}",
}
CHECKED = {
    "jobId": names.CHECKED_IMPORT_ID,
    "status": "COMPLETED",
    "dryRun": True,
    "fileName": "stores.csv",
    "step": None,
    "stepDone": 0,
    "stepTotal": None,
    "rows": 120,
    "created": 100,
    "renamed": 1,
    "moved": 2,
    "attributes": 0,
    "unchanged": 17,
    "values": {"changed": 2, "flagsAffected": 1, "flags": [{"featureFlag": names.FLAG, "changed": 2}]},
    "problems": 0,
    "refusal": None,
    "placementJobs": [],
    "errorMessage": None,
    "reportUrl": f"/v1/imports/{names.CHECKED_IMPORT_ID}/report",
}
MOVED = {
    "line": 7,
    "change": "move",
    "key": names.OSLO,
    "name": "Oslo",
    "formerName": None,
    "parentKey": names.NORTHERN_EUROPE,
    "formerParentKey": names.NORWAY,
    "problem": None,
}
TRUTH = ["true", "false"]


@extend_schema_field({"type": "string", "enum": list(ENCODINGS)})
class Encoding(serializers.CharField):
    """An encoding. `ImportOptions` also knows other names of the same encodings, such as utf8."""


class ImportPlanQuery(QuerySerializer):
    """The query of POST /v1/imports/plan: the options of the import."""

    below = ReferenceInQuery(
        required=False,
        help_text="An organization. The import changes only its subtree, and places rows without a parent_key "
        f"directly below it. {HOW_TO_NAME}",
    )
    keyPrefix = serializers.CharField(
        required=False,
        max_length=100,
        trim_whitespace=False,
        help_text="Put before each key and parent_key of the file.",
    )
    columns = serializers.CharField(
        required=False,
        max_length=1_000,
        help_text="The names of the file's columns, if they differ: `key=code,name=title,parent_key=parent`.",
    )
    delimiter = serializers.CharField(
        required=False,
        max_length=9,
        trim_whitespace=False,
        help_text="The delimiter of a CSV file: one character, or comma, semicolon, tab or pipe. Default: comma.",
    )
    encoding = Encoding(
        required=False, max_length=40, help_text="The encoding of a CSV file, such as windows-1252. Default: utf-8."
    )
    moveBetweenTrees = serializers.ChoiceField(
        TRUTH, default="false", help_text="Whether organizations may move to another tree."
    )


class ImportQuery(ImportPlanQuery):
    """The query of POST /v1/imports."""

    dryRun = serializers.ChoiceField(
        TRUTH, default="false", help_text="Whether to check the file only, as POST /v1/imports/plan does."
    )


def options_for(caller: Caller, query: dict[str, Any]) -> ImportOptions:
    """Return the options of a query for the caller. Raises ValidationError, and OrganizationNotFound for `below`."""
    names = {"keyPrefix": "key_prefix", "delimiter": "delimiter", "encoding": "encoding"}
    options = {ours: query[theirs] for theirs, ours in names.items() if theirs in query}
    try:
        return ImportOptions(
            **options,
            columns=columns_in(query.get("columns", "")),
            move_between_trees=query["moveBetweenTrees"] == "true",
            scope_id=caller.organization_id,
            below_id=find_visible_organization(caller, query["below"]).pk if "below" in query else None,
        )
    except InvalidImportOption as error:
        field = next((theirs for theirs, ours in names.items() if ours == error.option), error.option)
        raise ValidationError({field: [error.detail]}) from error


@extend_schema_serializer(examples=[OpenApiExample("Started", value=STARTED, status_codes=[202])])
class ImportStartedSerializer(serializers.Serializer[dict[str, Any]]):
    """The answer of POST /v1/imports."""

    jobId = serializers.IntegerField()
    status = serializers.ChoiceField(Status.choices)
    dryRun = serializers.BooleanField()
    message = serializers.CharField()
    trackingUrl = serializers.CharField(help_text="The status of the job.")
    importUrl = serializers.CharField(help_text="The result of the import.")


class ValuesOfFlagSerializer(serializers.Serializer[dict[str, Any]]):
    """What an import would do to one flag."""

    featureFlag = serializers.CharField()
    changed = serializers.IntegerField(help_text="The organizations that would get another stored value.")


class ValuesSerializer(serializers.Serializer[dict[str, Any]]):
    """What an import would do to values of flags."""

    changed = serializers.IntegerField(help_text="Those that would get another value of at least one flag.")
    flagsAffected = serializers.IntegerField(help_text="The number of flags of which some do.")
    flags = ValuesOfFlagSerializer(many=True, help_text="These flags; at most 100, those with most changes first.")


@extend_schema_serializer(examples=[OpenApiExample("A dry run", value=CHECKED)])
class ImportSerializer(serializers.Serializer[OrganizationImport]):
    """An import in an answer. The context needs `chain` and `report_url`."""

    jobId = serializers.IntegerField(source="job_id")
    status = serializers.SerializerMethodField()
    dryRun = serializers.BooleanField(source="is_dry_run")
    fileName = serializers.SerializerMethodField(help_text="Null if the client has sent none.")
    step = serializers.SerializerMethodField(
        help_text="What the running job does: reading (in bytes), comparing, computing, writing (in organizations) or "
        "taking over (flag states). Null if it does not run."
    )
    stepDone = serializers.IntegerField(source="done")
    stepTotal = serializers.IntegerField(source="step_total", allow_null=True, help_text="Null if it is not known.")
    rows = serializers.IntegerField(allow_null=True, help_text="Null until the file is read, and if it is refused.")
    created = serializers.IntegerField(allow_null=True)
    renamed = serializers.IntegerField(allow_null=True)
    moved = serializers.IntegerField(allow_null=True)
    attributes = serializers.IntegerField(allow_null=True, help_text="How many organizations get other attributes.")
    unchanged = serializers.IntegerField(allow_null=True)
    values = ValuesSerializer(
        allow_null=True,
        help_text="What a dry run would do to values of flags. Null for an import, and if there is too much to count.",
    )
    problems = serializers.IntegerField(
        allow_null=True, help_text="For how many problems the file is refused; null until it is known."
    )
    refusal = serializers.SerializerMethodField(help_text="Why the file is refused, with the likely cause; else null.")
    placementJobs = serializers.ListField(
        child=serializers.IntegerField(), source="placement_jobs", help_text="Jobs that write flag states."
    )
    errorMessage = serializers.SerializerMethodField(help_text="The error of the latest attempt, or null.")
    reportUrl = serializers.SerializerMethodField(help_text="The lines that change something, or the problems.")

    @extend_schema_field(serializers.ChoiceField(Status.choices))
    def get_status(self, _: OrganizationImport) -> str:
        return str(self.context["chain"].status)

    def get_fileName(self, record: OrganizationImport) -> str | None:  # noqa: N802 - the wire's name
        return record.file_name or None

    def get_step(self, record: OrganizationImport) -> str | None:
        return record.step if record.step and self.context["chain"].latest.status == Status.IN_PROGRESS else None

    def get_refusal(self, record: OrganizationImport) -> str | None:
        return record.refusal or None

    def get_errorMessage(self, _: OrganizationImport) -> str | None:  # noqa: N802
        return self.context["chain"].latest.error_message

    def get_reportUrl(self, _: OrganizationImport) -> str:  # noqa: N802
        return str(self.context["report_url"])


class ReportFilters(QuerySerializer):
    """The query of GET /v1/imports/{jobId}/report."""

    change = serializers.ChoiceField(
        ["create", "rename", "move", "move and rename"], required=False, help_text="Only lines with this change."
    )


class OrNull(serializers.CharField):
    """A text, or null instead of an empty text."""

    def __init__(self, **kwargs: Any) -> None:
        super().__init__(allow_null=True, **kwargs)

    def to_representation(self, value: Any) -> Any:
        return super().to_representation(value) or None


@extend_schema_serializer(examples=[OpenApiExample("A move", value=MOVED)])
class ImportLineSerializer(serializers.Serializer[ImportLine]):
    """A line of the file that changes something, or that has a problem."""

    line = serializers.IntegerField(help_text="The number of the line in the file.")
    change = OrNull(help_text="create, rename, move or move and rename; null for a problem.")
    key = OrNull()
    name = OrNull()
    formerName = OrNull(source="former_name", help_text="Null unless it is renamed.")
    parentKey = OrNull(source="parent_key", help_text="Null for a root.")
    formerParentKey = OrNull(source="former_parent_key", help_text="Null unless it is moved from below a parent.")
    problem = OrNull(help_text="Why the line is refused.")
