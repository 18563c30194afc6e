"""Input and output of the endpoints of notifications."""

from __future__ import annotations

from typing import Any

from django.urls import reverse
from drf_spectacular.utils import OpenApiExample, extend_schema_field, extend_schema_serializer
from rest_framework import serializers

from flagsite.core import example_names as names
from flagsite.core.api.input import IdInQuery, QuerySerializer, StrictBoolean, Text, WriteInput
from jobs.notifications.models import LONGEST_DIGEST, Channel, Delivery, DeliveryState, Subscription
from jobs.notifications.subscriptions import LONGEST_NAME, LONGEST_TARGET
from orgs.tree.reference_fields import HOW_TO_NAME, ReferenceInBody, ReferenceInQuery

OVERVIEW = {
    "channels": [
        {"name": "email", "sends": False, "setting": "EMAIL_URL"},
        {"name": "webhook", "sends": True, "setting": "SEND_WEBHOOKS"},
    ],
    "events": [{"name": "job.failed", "summary": "A job has failed, and its automatic retries are used up."}],
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
    "createdBy": "command:demo",
    "createdAt": "2026-11-23T09:59:47.723168Z",
}
HOOK = SUBSCRIPTION | {
    "id": 2,
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
    events = serializers.ListField(child=serializers.DictField(), help_text="Each with its name and a sentence.")
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
    createdBy = serializers.CharField(source="created_by")
    createdAt = serializers.DateTimeField(source="created_at")

    def get_person(self, subscription: Subscription) -> str | None:
        return subscription.person.get_username() if subscription.person else None

    def get_active(self, subscription: Subscription) -> bool:
        return not subscription.ended_because

    def get_endedBecause(self, subscription: Subscription) -> str | None:  # noqa: N802 - the name in JSON
        return subscription.ended_because or None


@extend_schema_serializer(examples=[OpenApiExample("A webhook", value=HOOK | {"secret": SECRET}, status_codes=[201])])
class CreatedSubscriptionSerializer(SubscriptionSerializer):
    """A new subscription. The context needs `secret`."""

    secret = serializers.SerializerMethodField(
        help_text="The secret of a webhook's signatures, shown once; null for other channels and in a repeated answer."
    )

    def get_secret(self, _: Subscription) -> str | None:
        return self.context["secret"] or None


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


def delivery_url(delivery: Delivery) -> str:
    """Return the address of a delivery."""
    return reverse("delivery", args=[delivery.pk])
