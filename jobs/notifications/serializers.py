"""Input and output of the endpoints of notifications."""

from __future__ import annotations

from datetime import timedelta
from typing import Any

from django.urls import reverse
from drf_spectacular.utils import OpenApiExample, extend_schema_field, extend_schema_serializer
from rest_framework import serializers

from flagsite.core import example_names as names
from flagsite.core.api.input import IdInQuery, QuerySerializer, StrictBoolean, Text, WriteInput
from flagsite.core.api.times import Time
from jobs.api.serializers import tracking_url
from jobs.notifications.models import LONGEST_DIGEST, Channel, Delivery, DeliveryState, Subscription
from jobs.notifications.replays import ENDED, MOST, MOST_IN_REQUEST, Replayed
from jobs.notifications.subscriptions import DEFAULT_OVERLAP, LONGEST_NAME, LONGEST_TARGET, MAX_OVERLAP
from orgs.tree.reference_fields import HOW_TO_NAME, ReferenceInBody, ReferenceInQuery

SECOND = timedelta(seconds=1)
OVERVIEW = {
    "channels": [
        {"name": "email", "sends": False, "setting": "EMAIL_URL"},
        {"name": "webhook", "sends": True, "setting": "SEND_WEBHOOKS"},
    ],
    "events": [
        {
            "name": "job.failed",
            "summary": "A job has failed, and its automatic retries are used up.",
            "ofOrganizations": True,
        }
    ],
    "pushKey": None,
}
SUBSCRIPTION = {
    "id": names.SUBSCRIPTION_ID,
    "name": "On call",
    "channel": "email",
    "to": "oncall@example.com",
    "person": None,
    "organizationId": None,
    "events": ["batch.ended", "job.failed"],
    "digestSeconds": 60,
    "active": True,
    "endedBecause": None,
    "formerSecretUntil": None,
    "createdBy": "command:demo",
    "createdAt": "2026-11-23T09:59:47.723168Z",
}
HOOK = SUBSCRIPTION | {
    "id": names.WEBHOOK_ID,
    "name": "CRM",
    "channel": "webhook",
    "to": "https://hooks.example.com/…",
    "organizationId": names.NORWAY_ID,
    "events": ["flag.changed"],
    "digestSeconds": 0,
    "createdBy": names.KEY_ACTOR,
}
SECRET = "whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw"  # noqa: S105 - of an example
DELIVERY = {
    "id": names.DELIVERY_ID,
    "messageId": "msg_0e6a1f6c1c3a4b6f9d1f6a2b3c4d5e6f",
    "subscriptionId": names.SUBSCRIPTION_ID,
    "organizationId": None,
    "channel": "email",
    "to": "oncall@example.com",
    "status": "OUTBOX",
    "subject": "A test of Flagsite",
    "text": "command:demo has tested the subscription On call. Nothing has happened.",
    "attempts": 0,
    "providerId": None,
    "error": "Nothing was sent, because EMAIL_URL is not set.",
    "jobId": names.SENDING_JOB_ID,
    "requestedBy": "command:demo",
    "createdAt": "2026-11-23T09:59:47.723168Z",
    "sentAt": None,
    "url": f"/v1/notifications/deliveries/{names.DELIVERY_ID}",
}
HOW_TO_ADDRESS = (
    "An e-mail address, an https URL, the JSON of a PushSubscription, a telephone number such as +4712345678, or the "
    "name of a chat; `GET /v1/notifications` lists the channels."
)


@extend_schema_serializer(examples=[OpenApiExample("Two channels", value=OVERVIEW)])
class NotificationsSerializer(serializers.Serializer[dict[str, Any]]):
    """What can be told, and by which channels."""

    channels = serializers.ListField(
        child=serializers.DictField(), help_text="Each with its name, whether messages leave, and its setting."
    )
    events = serializers.ListField(
        child=serializers.DictField(),
        help_text="Each with its name, a sentence, and whether the subscription of an organization is told of it.",
    )
    pushKey = serializers.CharField(
        allow_null=True, help_text="The `applicationServerKey` for browsers; null without VAPID_KEYS."
    )


@extend_schema_serializer(
    examples=[
        OpenApiExample(
            "A person",
            value={"name": "Night shift", "channel": "email", "to": "night@example.com", "events": ["job.failed"]},
        ),
        OpenApiExample(
            "A webhook of a customer",
            value={
                "name": "CRM",
                "channel": "webhook",
                "to": "https://hooks.example.com/flags/4711",
                "organizationId": names.NORWAY,
                "events": ["flag.changed"],
            },
        ),
    ]
)
class NewSubscription(WriteInput):
    """The body of POST /v1/notifications/subscriptions."""

    name = Text(max_length=LONGEST_NAME, help_text="What the subscription is for.")
    channel = serializers.ChoiceField(Channel.choices)
    to = Text(source="target", max_length=LONGEST_TARGET, help_text=HOW_TO_ADDRESS)
    events = serializers.ListField(child=Text(max_length=32), min_length=1, max_length=50, help_text="Names of events.")
    organizationId = ReferenceInBody(
        source="organization",
        required=False,
        allow_null=True,
        default=None,
        help_text=f"The subtree whose events are told. {HOW_TO_NAME} Null or absent: all that you see.",
    )
    person = Text(
        required=False,
        allow_blank=True,
        max_length=150,
        default="",
        help_text="The username of the person who is told. Then nothing is told that the person may not see.",
    )
    digestSeconds = serializers.IntegerField(
        source="digest_seconds",
        required=False,
        allow_null=True,
        default=None,
        min_value=0,
        max_value=LONGEST_DIGEST,
        help_text="How long a message waits for further events. Null or absent: 60, and 0 for a webhook.",
    )


@extend_schema_serializer(examples=[OpenApiExample("Fewer messages", value={"digestSeconds": 3600})])
class SubscriptionChange(WriteInput):
    """The body of PATCH /v1/notifications/subscriptions/{id}. Absent fields stay as they are."""

    name = Text(max_length=LONGEST_NAME, required=False)
    events = serializers.ListField(child=Text(max_length=32), min_length=1, max_length=50, required=False)
    digestSeconds = serializers.IntegerField(
        source="digest_seconds", required=False, min_value=0, max_value=LONGEST_DIGEST
    )
    active = StrictBoolean(
        source="is_active", required=False, help_text="False: send nothing. True: send again, also if it had ended."
    )


class SubscriptionFilters(QuerySerializer):
    """The query of GET /v1/notifications/subscriptions. A subscription has to match all filters."""

    channel = serializers.ChoiceField(Channel.choices, required=False)
    organizationId = ReferenceInQuery(
        source="organization_id", required=False, help_text=f"Those for exactly this organization. {HOW_TO_NAME}"
    )


@extend_schema_serializer(examples=[OpenApiExample("A person", value=SUBSCRIPTION)])
class SubscriptionSerializer(serializers.Serializer[Subscription]):
    """A subscription, without its secret and with the visible part of its address."""

    id = serializers.IntegerField()
    name = serializers.CharField()
    channel = serializers.ChoiceField(Channel.choices)
    to = serializers.CharField(source="target_shown", help_text="Of a webhook and a browser, the host only.")
    person = serializers.SerializerMethodField(help_text="The username, or null.")
    organizationId = serializers.IntegerField(source="organization_id", allow_null=True)
    events = serializers.ListField(child=serializers.CharField())
    digestSeconds = serializers.IntegerField(source="digest_seconds")
    active = serializers.SerializerMethodField()
    endedBecause = serializers.SerializerMethodField(help_text="Why nothing is sent any more, or null.")
    formerSecretUntil = serializers.DateTimeField(
        source="former_secret_until",
        allow_null=True,
        help_text="Until then, each message also has the signature of the former secret. Null: it has one signature.",
    )
    createdBy = serializers.CharField(source="created_by")
    createdAt = serializers.DateTimeField(source="created_at")

    def get_person(self, subscription: Subscription) -> str | None:
        return subscription.person.get_username() if subscription.person else None

    def get_active(self, subscription: Subscription) -> bool:
        return not subscription.ended_because

    def get_endedBecause(self, subscription: Subscription) -> str | None:  # noqa: N802 - the name in JSON
        return subscription.ended_because or None


@extend_schema_serializer(
    examples=[
        OpenApiExample("A webhook", value=HOOK | {"secret": SECRET}, status_codes=[201]),
        OpenApiExample(
            "Rotated",
            value=HOOK | {"secret": SECRET, "formerSecretUntil": "2026-11-24T10:00:00Z"},
            status_codes=[200],
        ),
    ]
)
class CreatedSubscriptionSerializer(SubscriptionSerializer):
    """A new subscription. The context needs `secret`."""

    secret = serializers.SerializerMethodField(
        help_text="The secret of a webhook's signatures, shown once; null for other channels and in a repeated answer."
    )

    def get_secret(self, _: Subscription) -> str | None:
        return self.context["secret"] or None


@extend_schema_serializer(examples=[OpenApiExample("Two days for both secrets", value={"overlapSeconds": 172_800})])
class SecretRotation(WriteInput):
    """The body of POST /v1/notifications/subscriptions/{id}/rotate-secret."""

    overlapSeconds = serializers.IntegerField(
        source="overlap",
        min_value=0,
        max_value=MAX_OVERLAP // SECOND,
        default=DEFAULT_OVERLAP // SECOND,
        help_text="For this time both secrets sign each message. 0: the former one ends at once.",
    )

    def validate_overlapSeconds(self, value: int) -> timedelta:  # noqa: N802 - the name in JSON
        return timedelta(seconds=value)


class DeliveryFilters(QuerySerializer):
    """The query of GET /v1/notifications/deliveries. A delivery has to match all filters."""

    status = serializers.ChoiceField(DeliveryState.choices, source="state", required=False)
    channel = serializers.ChoiceField(Channel.choices, required=False)
    subscriptionId = IdInQuery(source="subscription_id", help_text="Those of this subscription.")
    organizationId = ReferenceInQuery(
        source="organization_id", required=False, help_text=f"Those for exactly this organization. {HOW_TO_NAME}"
    )


@extend_schema_serializer(
    examples=[
        OpenApiExample("In the outbox", value=DELIVERY),
        OpenApiExample("Under way", value=DELIVERY | {"status": "PENDING", "error": None}, status_codes=[202]),
    ]
)
class DeliverySerializer(serializers.Serializer[Delivery]):
    """A delivery: one message to one recipient."""

    id = serializers.IntegerField()
    messageId = serializers.CharField(source="message_id", help_text="The same for all attempts and replays.")
    subscriptionId = serializers.IntegerField(source="subscription_id", allow_null=True)
    organizationId = serializers.IntegerField(source="organization_id", allow_null=True)
    channel = serializers.ChoiceField(Channel.choices)
    to = serializers.CharField(source="target_shown", help_text="Of a webhook and a browser, the host only.")
    status = serializers.ChoiceField(DeliveryState.choices, source="state")
    subject = serializers.CharField(help_text="Empty while the delivery gathers events.")
    text = serializers.CharField()
    attempts = serializers.IntegerField(help_text="How often Flagsite has tried to send it.")
    providerId = serializers.SerializerMethodField(help_text="What the receiver answered, such as its own id.")
    error = serializers.SerializerMethodField(help_text="Why the last attempt failed, or null.")
    jobId = serializers.IntegerField(source="job_id", allow_null=True, help_text="The job that sends it.")
    requestedBy = serializers.CharField(source="requested_by")
    createdAt = serializers.DateTimeField(source="created_at")
    sentAt = serializers.DateTimeField(source="sent_at", allow_null=True)
    url = serializers.SerializerMethodField()

    def get_providerId(self, delivery: Delivery) -> str | None:  # noqa: N802 - the name in JSON
        return delivery.provider_id or None

    def get_error(self, delivery: Delivery) -> str | None:
        return delivery.error or None

    @extend_schema_field(serializers.CharField())
    def get_url(self, delivery: Delivery) -> str:
        return delivery_url(delivery)


@extend_schema_serializer(
    examples=[
        OpenApiExample("The outbox", value={"status": "OUTBOX", "reason": "E-mail is set up."}),
        OpenApiExample(
            "A receiver that has lost its data",
            value={"status": "SENT", "subscriptionId": names.SUBSCRIPTION_ID, "since": "2026-11-23T09:00:00Z"},
        ),
        OpenApiExample("Only count", value={"dryRun": True}),
    ]
)
class ReplayInput(WriteInput):
    """The body of POST /v1/notifications/deliveries/replay. A delivery has to match all fields."""

    status = serializers.ChoiceField(
        [(state.value, state.label) for state in ENDED],
        default=DeliveryState.FAILED.value,
        help_text="Default: FAILED.",
    )
    channel = serializers.ChoiceField(Channel.choices, required=False)
    subscriptionId = serializers.IntegerField(
        source="subscription_id",
        required=False,
        min_value=1,
        max_value=2**63 - 1,
        help_text="Those of this subscription.",
    )
    organizationId = ReferenceInBody(
        source="organization", required=False, help_text=f"Those of the subtree of this organization. {HOW_TO_NAME}"
    )
    since = Time(required=False, help_text="Those that were created then or later.")
    dryRun = StrictBoolean(source="dry_run", default=False, help_text="Only count; change nothing.")


REPLAYED = {
    "dryRun": False,
    "wouldReplay": None,
    "replayed": 12,
    "skipped": 0,
    "left": 0,
    "jobId": None,
    "trackingUrl": None,
}


@extend_schema_serializer(
    examples=[
        OpenApiExample("Replayed", value=REPLAYED, status_codes=[200]),
        OpenApiExample(
            "Only counted", value=REPLAYED | {"dryRun": True, "wouldReplay": 12, "replayed": 0}, status_codes=[200]
        ),
        OpenApiExample(
            "A job replays them",
            value=REPLAYED | {"wouldReplay": 4100, "replayed": 0, "jobId": 41, "trackingUrl": "/job-status/41"},
            status_codes=[202],
        ),
    ]
)
class ReplayedSerializer(serializers.Serializer[Replayed]):
    """What POST /v1/notifications/deliveries/replay has done. The context needs `dry_run` and `would_replay`."""

    dryRun = serializers.SerializerMethodField()
    wouldReplay = serializers.SerializerMethodField(
        help_text="The deliveries that a dry run has found, or that the job replays. Null if they are replayed."
    )
    replayed = serializers.IntegerField(source="count")
    skipped = serializers.IntegerField(help_text="Those that somebody else has replayed meanwhile.")
    left = serializers.IntegerField(
        help_text=f"Those that match beyond {MOST:,}, the most of one request. Send it again when the job has ended."
    )
    jobId = serializers.SerializerMethodField(help_text=f"The job that replays more than {MOST_IN_REQUEST} deliveries.")
    trackingUrl = serializers.SerializerMethodField()

    def get_dryRun(self, _: Replayed) -> bool:  # noqa: N802 - the name in JSON
        return bool(self.context["dry_run"])

    def get_wouldReplay(self, done: Replayed) -> int | None:  # noqa: N802
        return done.job.total if done.job else self.context.get("would_replay")

    def get_jobId(self, done: Replayed) -> int | None:  # noqa: N802
        return done.job.pk if done.job else None

    def get_trackingUrl(self, done: Replayed) -> str | None:  # noqa: N802
        return tracking_url(done.job.pk) if done.job else None


def delivery_url(delivery: Delivery) -> str:
    """Return the address of a delivery."""
    return reverse("delivery", args=[delivery.pk])
