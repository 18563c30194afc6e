"""The flag file, and what is done with it, in JSON."""

from __future__ import annotations

from collections import Counter
from typing import Any

from drf_spectacular.utils import OpenApiExample, extend_schema_field, extend_schema_serializer
from rest_framework import serializers

from flags.definitions.serializers import FieldChangeSerializer, NewDefinition
from flags.moving.flag_file import FORMAT
from flags.moving.issues import Issue, Remark
from flags.moving.segments_of_file import ACTIONS, SegmentEntry, WrittenSegment
from flags.moving.writing import Action, Entry, Mode, Written, WrittenFlag
from flags.segments.serializers import NewSegment
from flagsite.core import example_names as names
from flagsite.core.api.input import QuerySerializer, Text, WriteInput, printable

MOST_FLAGS = 10_000
MOST_SEGMENTS = 1_000
LONGEST_FILE = 32 * 2**20
"""In bytes, of a file that a request sends."""
FLAG_EXAMPLE = {"name": names.NEW_FLAG, "enabled": False, "owner": "team checkout", "rolloutPercentage": 25.0}
FILE_EXAMPLE = {"format": FORMAT, "flags": [FLAG_EXAMPLE]}
RESULT_EXAMPLE = {
    "mode": "merge",
    "created": 0,
    "changed": 1,
    "archived": 0,
    "unchanged": 0,
    "flags": [
        {
            "name": names.FLAG,
            "action": "change",
            "changes": [{"field": "owner", "before": "", "after": "team checkout"}],
        }
    ],
    "segments": [],
}

FLAGD_EXAMPLE = {
    "$schema": "https://flagd.dev/schema/v0/flags.json",
    "flags": {
        names.FLAG: {
            "state": "ENABLED",
            "variants": {"on": True, "off": False},
            "defaultVariant": "off",
            "targeting": {"if": [{"in": [{"var": "targetingKey"}, [names.USER]]}, "on", "off"]},
        }
    },
    "metadata": {"flagSetId": names.OSLO},
    "notExported": [
        {"flag": names.BASKET_FLAG, "code": "ignore-case", "detail": "flagd cannot ignore the case of texts."}
    ],
}

SOURCES = ["unleash", "flagd", "launchdarkly", "growthbook", "flagsmith"]
FLAGD_FLAG_EXAMPLE = {"state": "ENABLED", "variants": {"on": True, "off": False}, "defaultVariant": "off"}
IMPORT_EXAMPLE = {
    "mode": "merge",
    "created": 1,
    "changed": 0,
    "archived": 0,
    "unchanged": 0,
    "flags": [{"name": names.NEW_FLAG, "action": "create", "changes": []}],
    "segments": [],
    "remarks": [
        {"flag": "old-banner", "code": "strategy", "detail": "Flagsite has nothing like it.", "imported": False}
    ],
}


class FlagOfFile(NewDefinition):
    """One flag of a flag file. It has the fields of a definition."""

    def get_fields(self) -> dict[str, Any]:
        fields = super().get_fields()
        del fields["reason"]  # the file has one reason for all
        return {name: field for name, field in fields.items() if not field.read_only}


@extend_schema_field(FlagOfFile(many=True))
class FlagsOfFile(serializers.Field[list[Entry], Any, Any, Any]):
    """The flags of a flag file. The messages about a flag name it."""

    def to_internal_value(self, data: Any) -> list[Entry]:
        if not isinstance(data, list) or len(data) > MOST_FLAGS:
            raise serializers.ValidationError(f"Not a list of at most {MOST_FLAGS:,} flags.")
        checked = FlagOfFile(data=data, many=True)
        if not checked.is_valid():
            by_place: Any = checked.errors
            wrong = [(data[place], by_place[place]) for place in sorted(by_place)]
            raise serializers.ValidationError([f"{_called(flag)}: {_in_words(errors)}" for flag, errors in wrong[:20]])
        entries = [_entry(values) for values in checked.validated_data]
        twice = sorted(key for key, times in Counter(entry.key for entry in entries).items() if times > 1)
        if twice:
            raise serializers.ValidationError(f"The flag {twice[0]!r} is there twice. Write it once.")
        return entries


class SegmentOfFile(NewSegment):
    """One segment of a flag file."""

    def get_fields(self) -> dict[str, Any]:
        fields = super().get_fields()
        del fields["reason"]  # the file has one reason for all
        return {name: field for name, field in fields.items() if not field.read_only}


@extend_schema_field(SegmentOfFile(many=True))
class SegmentsOfFile(serializers.Field[list[SegmentEntry], Any, Any, Any]):
    """The segments of a flag file. The messages about a segment name it."""

    def to_internal_value(self, data: Any) -> list[SegmentEntry]:
        if not isinstance(data, list) or len(data) > MOST_SEGMENTS:
            raise serializers.ValidationError(f"Not a list of at most {MOST_SEGMENTS:,} segments.")
        checked = SegmentOfFile(data=data, many=True)
        if not checked.is_valid():
            by_place: Any = checked.errors
            wrong = [(data[place], by_place[place]) for place in sorted(by_place)][:20]
            raise serializers.ValidationError(
                [f"{_called(segment, 'segment', 'key')}: {_in_words(errors)}" for segment, errors in wrong]
            )
        entries = {values["key"]: values for values in checked.validated_data}
        if len(entries) < len(data):
            raise serializers.ValidationError("A segment is there twice. Write each segment once.")
        return [
            SegmentEntry(key, {name: value for name, value in values.items() if name != "key"})
            for key, values in entries.items()
        ]


@extend_schema_serializer(component_name="FlagFileToWrite", examples=[OpenApiExample("One flag", value=FILE_EXAMPLE)])
class FlagFileInput(WriteInput):
    """A flag file that is written."""

    format = serializers.ChoiceField([FORMAT], required=False, help_text="The format of the file.")
    flags = FlagsOfFile(help_text=f"At most {MOST_FLAGS:,} flags, each of them once.")
    segments = SegmentsOfFile(required=False, help_text=f"At most {MOST_SEGMENTS:,} segments, each of them once.")


@extend_schema_serializer(
    component_name="FlagFile", examples=[OpenApiExample("One flag", value=FILE_EXAMPLE, status_codes=[200])]
)
class FlagFileSerializer(serializers.Serializer[dict[str, Any]]):
    """A flag file in an answer."""

    format = serializers.ChoiceField([FORMAT])
    flags = FlagOfFile(many=True)
    segments = SegmentOfFile(many=True, required=False, help_text="Missing: there are none.")


class FlagFileOptions(QuerySerializer):
    """The query of GET /v1/flag-file."""

    archived = serializers.ChoiceField(
        ["true", "false"], default="false", help_text="`true`: the file has archived flags too."
    )

    def validate_archived(self, value: str) -> bool:
        return value == "true"


class FlagFilePlanOptions(QuerySerializer):
    """The query of POST /v1/flag-file/plan."""

    mode = serializers.ChoiceField(
        [mode.value for mode in Mode],
        default=Mode.MERGE.value,
        help_text="`mirror` plans PUT, and `merge` plans POST.",
    )

    def validate_mode(self, value: str) -> Mode:
        return Mode(value)


class FlagdOptions(QuerySerializer):
    """The query of GET /v1/organizations/{organization}/flagd."""

    environment = serializers.CharField(
        required=False, allow_blank=True, max_length=64, help_text="The environment whose overrides hold."
    )


class RemarkSerializer(serializers.Serializer[Remark]):
    """What has no equal on the other side."""

    flag = serializers.CharField()
    code = serializers.ChoiceField(
        [issue.value for issue in Issue], source="issue", help_text="docs/moving.md explains the codes."
    )
    detail = serializers.CharField()


class FlagdFlagSerializer(serializers.Serializer[dict[str, Any]]):
    """A flag as flagd reads it."""

    state = serializers.ChoiceField(["ENABLED"])
    variants = serializers.DictField(child=serializers.JSONField(), help_text="The values by the keys of the variants.")
    defaultVariant = serializers.CharField(
        allow_null=True, help_text="The variant without targeting. Null: the default of the code."
    )
    targeting = serializers.DictField(child=serializers.JSONField(), required=False, help_text="JSON Logic.")


class FlagSetSerializer(serializers.Serializer[dict[str, str]]):
    """What the file says of itself."""

    flagSetId = serializers.CharField(help_text="The key of the organization.")


@extend_schema_serializer(
    component_name="FlagdFile", examples=[OpenApiExample("A flag of a whitelist", value=FLAGD_EXAMPLE)]
)
class FlagdFileSerializer(serializers.Serializer[dict[str, Any]]):
    """The flags of an organization as flagd reads them: https://flagd.dev/schema/v0/flags.json."""

    flags = serializers.DictField(child=FlagdFlagSerializer(), help_text="The flags by their names.")
    metadata = FlagSetSerializer()
    notExported = RemarkSerializer(many=True, help_text="The flags that are not in the file, because flagd would err.")

    def get_fields(self) -> dict[str, Any]:
        return {"$schema": serializers.CharField(), **super().get_fields()}


class WrittenFlagSerializer(serializers.Serializer[WrittenFlag]):
    """What was done with a flag, or would be."""

    name = serializers.CharField(source="key")
    action = serializers.ChoiceField([action.value for action in Action])
    changes = FieldChangeSerializer(many=True, help_text="The fields of an existing flag that change.")


class WrittenSegmentSerializer(serializers.Serializer[WrittenSegment]):
    """What was done with a segment, or would be."""

    key = serializers.CharField()
    action = serializers.ChoiceField(ACTIONS)
    changes = FieldChangeSerializer(many=True, help_text="The fields of an existing segment that change.")


@extend_schema_serializer(
    component_name="WrittenFlags",
    examples=[OpenApiExample("An owner", value=RESULT_EXAMPLE, response_only=True, status_codes=[200])],
)
class WrittenSerializer(serializers.Serializer[Written]):
    """What was done with the flags of a file, or would be."""

    mode = serializers.ChoiceField([mode.value for mode in Mode])
    created = serializers.SerializerMethodField()
    changed = serializers.SerializerMethodField()
    archived = serializers.SerializerMethodField()
    unchanged = serializers.SerializerMethodField()
    flags = WrittenFlagSerializer(many=True, help_text="All flags of the file and all that it archives, by name.")
    segments = WrittenSegmentSerializer(
        many=True, help_text="All segments of the file and all that it deletes, by key."
    )

    def get_created(self, written: Written) -> int:
        return written.count(Action.CREATE)

    def get_changed(self, written: Written) -> int:
        return written.count(Action.CHANGE)

    def get_archived(self, written: Written) -> int:
        return written.count(Action.ARCHIVE)

    def get_unchanged(self, written: Written) -> int:
        return written.count(Action.NONE)


class ImportRemarkSerializer(RemarkSerializer):
    """What an import could not say exactly."""

    imported = serializers.BooleanField(source="is_imported", help_text="False: the flag is left out.")


@extend_schema_serializer(
    component_name="ImportedFlags",
    examples=[OpenApiExample("A flag", value=IMPORT_EXAMPLE, response_only=True, status_codes=[200])],
)
class ImportedSerializer(WrittenSerializer):
    """What was done with the flags of another product's file, or would be. The context has the `remarks`."""

    remarks = serializers.SerializerMethodField(help_text="What Flagsite cannot say exactly, by flag.")

    @extend_schema_field(ImportRemarkSerializer(many=True))
    def get_remarks(self, _: Written) -> Any:
        return ImportRemarkSerializer(self.context["remarks"], many=True).data


@extend_schema_serializer(
    examples=[
        OpenApiExample(
            "A file for flagd", value={"source": "flagd", "file": {"flags": {names.NEW_FLAG: FLAGD_FLAG_EXAMPLE}}}
        )
    ]
)
class ForeignFileInput(WriteInput):
    """A file of another product."""

    source = serializers.ChoiceField(SOURCES, help_text="The product that has written the file.")
    environment = Text(
        required=False,
        allow_blank=True,
        max_length=255,
        help_text="The environment whose rules count, if the file has several.",
    )
    file = serializers.DictField(child=serializers.JSONField(allow_null=True), help_text="The JSON of the file.")


def entries_of(flags: Any) -> list[Entry]:
    """Return the flags of a file that was read from JSON, checked. Raises `serializers.ValidationError`."""
    entries: list[Entry] = FlagsOfFile().run_validation(flags)
    return entries


def segment_entries_of(segments: Any) -> list[SegmentEntry]:
    """Return the segments of a file that was read from JSON, checked. Raises `serializers.ValidationError`."""
    entries: list[SegmentEntry] = SegmentsOfFile().run_validation(segments)
    return entries


def _entry(values: dict[str, Any]) -> Entry:
    return Entry(values["name"], {name: value for name, value in values.items() if name != "name"})


def _called(written: Any, noun: str = "flag", member: str = "name") -> str:
    name = written.get(member) if isinstance(written, dict) else None
    return f"The {noun} {printable(str(name))!r}" if name else f"A {noun} without a {member}"


def _in_words(errors: Any) -> str:
    if isinstance(errors, dict):
        return " ".join(f"{name}: {_in_words(inner)}" for name, inner in errors.items())
    return " ".join(map(_in_words, errors)) if isinstance(errors, list) else str(errors)
