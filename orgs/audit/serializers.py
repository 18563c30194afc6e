"""Input and output of the endpoints of the audit log."""

from __future__ import annotations

from datetime import UTC
from typing import Any

from drf_spectacular.utils import OpenApiExample, extend_schema_serializer
from rest_framework import serializers

from flagsite.core import example_names as names
from flagsite.core.api.input import QuerySerializer
from flagsite.core.api.times import Time
from orgs.audit.words import ShownEntry
from orgs.tree.reference_fields import HOW_TO_NAME, ReferenceInQuery

CHANNELS = ("api", "admin", "command", "worker", "schedule")
CSV = "text/csv; charset=utf-8"
CSV_COLUMNS = (
    "id", "at", "actor", "action", "subject", "organizationId", "organization", "changes", "reason", "via", "address",
    "correlationId",
)  # fmt: skip
SET = {
    "id": 812,
    "at": "2026-11-23T09:59:47.384019Z",
    "actor": f"user:{names.PERSON}",
    "action": "flag.set",
    "subject": f"flag:{names.FLAG}",
    "sentence": f"{names.PERSON} set {names.FLAG} on for Oslo: Launch in Oslo",
    "organizationId": names.OSLO_ID,
    "organization": names.OSLO_PATH,
    "changes": ["off → on", "change number: 71"],
    "reason": "Launch in Oslo",
    "via": "admin",
    "address": "10.0.0.7",
    "correlationId": "5f0c6a8e",
    "details": {"before": False, "enabled": True, "changeNumber": 71, "jobId": None},
}


def _text(help_text: str, max_length: int = 300, **more: Any) -> serializers.CharField:
    return serializers.CharField(
        required=False, max_length=max_length, trim_whitespace=False, help_text=help_text, **more
    )


class AuditFilters(QuerySerializer):
    """The query of GET /v1/audit-log. An entry has to match all filters."""

    flag = _text("Entries about this flag, its values on organizations and its scheduled changes.", 255)
    organizationId = ReferenceInQuery(
        source="organization_id",
        required=False,
        help_text=f"Entries about exactly this organization. {HOW_TO_NAME} The id also finds a deleted organization.",
    )
    actor = _text(f"Who did it: `user:{names.PERSON}`, `{names.KEY_ACTOR}`, or `{names.PERSON}` for the person.", 200)
    action = _text("What was done, such as `flag.set`.", 64)
    subject = _text(
        f"What it was done to, such as `job:{names.WAITING_JOB_ID}`; for an access key its prefix, as in "
        f"`key:{names.KEY_PREFIX}`."
    )
    via = serializers.ChoiceField(CHANNELS, source="channel", required=False, help_text="The channel.")
    correlationId = _text("The `X-Request-ID` of a request, or the id of a command.", 128, source="correlation_id")
    to = Time(source="until", required=False, help_text="Before this time.")

    def get_fields(self) -> dict[str, Any]:
        since = Time(source="since", required=False, help_text="At this time or later.")
        return {**super().get_fields(), "from": since}  # `from` is a keyword in Python


@extend_schema_serializer(examples=[OpenApiExample("A flag was set", value=SET)])
class AuditEntrySerializer(serializers.Serializer[ShownEntry]):
    """An audit entry."""

    id = serializers.IntegerField(source="entry.id")
    at = serializers.DateTimeField(source="entry.at")
    actor = serializers.CharField(source="entry.actor")
    action = serializers.CharField(source="entry.action")
    subject = serializers.CharField(source="entry.subject")
    sentence = serializers.CharField(help_text="The entry as one plain sentence, for people; its words may change.")
    organizationId = serializers.IntegerField(source="entry.organization_id", allow_null=True)
    organization = serializers.CharField(source="where", help_text="The organization's path as it is now.")
    changes = serializers.ListField(child=serializers.CharField(), help_text="Values before and after, in words.")
    reason = serializers.CharField(source="entry.reason")
    via = serializers.ChoiceField(CHANNELS, source="entry.via", help_text="The channel.")
    address = serializers.CharField(source="entry.address")
    correlationId = serializers.CharField(source="entry.correlation_id")
    details = serializers.DictField(source="entry.details", help_text="Values before and after, as JSON.")


def csv_row(shown: ShownEntry) -> list[Any]:
    """Return the cells of an entry in the order of CSV_COLUMNS."""
    entry = shown.entry
    return [
        entry.pk, f"{entry.at.astimezone(UTC):%Y-%m-%dT%H:%M:%S.%fZ}", entry.actor, entry.action, entry.subject,
        entry.organization_id, shown.where, "; ".join(shown.changes), entry.reason, entry.via, entry.address,
        entry.correlation_id,
    ]  # fmt: skip
