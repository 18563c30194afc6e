"""The tables of notifications: subscriptions, events that are not told yet, and deliveries."""

from __future__ import annotations

from typing import ClassVar

from django.conf import settings
from django.contrib.postgres.fields import ArrayField
from django.core.validators import MaxValueValidator
from django.db import models
from django.db.models.functions import Now

from orgs.tree.models import Organization

LONGEST_DIGEST = 86_400
"""In seconds."""


class Channel(models.TextChoices):
    """The way by which a message leaves Flagsite."""

    EMAIL = "email", "E-mail"
    WEBHOOK = "webhook", "Webhook"
    PUSH = "push", "Web push"
    SMS = "sms", "SMS"
    CHAT = "chat", "Chat"


class DeliveryState(models.TextChoices):
    """How a delivery stands."""

    GATHERING = "GATHERING", "Gathers events for one message"
    PENDING = "PENDING", "Waits or is tried again"
    SENT = "SENT", "Accepted by the receiver"
    FAILED = "FAILED", "Not accepted, and not tried again"
    CANCELLED = "CANCELLED", "Cancelled"
    OUTBOX = "OUTBOX", "Kept here, because the channel has no settings"


class Subscription(models.Model):
    """Who wants to be told of which events, and by which address. Webhooks belong to programs, the others to people."""

    id = models.BigAutoField(primary_key=True)
    name = models.CharField(max_length=100)
    channel = models.CharField(max_length=16, choices=Channel.choices)
    target = models.TextField(help_text="The address, encrypted.")
    target_shown = models.CharField(max_length=300, help_text="The part of the address that people may see.")
    secret = models.TextField(default="", db_default="", help_text="The secret of a webhook's signatures, encrypted.")
    former_secret = models.TextField(
        default="", db_default="", help_text="The secret before the rotation, encrypted, which signs too for a while."
    )
    former_secret_until = models.DateTimeField(null=True)
    person = models.ForeignKey(
        settings.AUTH_USER_MODEL,
        on_delete=models.CASCADE,
        null=True,
        related_name="+",
        help_text="The person who is told. Nothing is sent while the person is not active.",
    )
    organization = models.ForeignKey(
        Organization,
        on_delete=models.CASCADE,
        null=True,
        related_name="+",
        help_text="The subtree whose events are told; empty means all.",
    )
    events = ArrayField(models.CharField(max_length=32))
    digest_seconds = models.PositiveIntegerField(
        default=60,
        db_default=60,
        validators=[MaxValueValidator(LONGEST_DIGEST)],
        help_text="How long a message waits for further events, in seconds. All of them are one message.",
    )
    ended_because = models.TextField(
        default="", db_default="", help_text="Why Flagsite sends nothing any more; empty while it does."
    )
    created_by = models.CharField(max_length=200, default="", db_default="")
    created_at = models.DateTimeField(db_default=Now())

    class Meta:
        constraints: ClassVar = [
            models.CheckConstraint(
                condition=models.Q(channel__in=Channel.values), name="channel_of_subscription_is_known"
            )
        ]

    def __str__(self) -> str:
        return self.name


class Event(models.Model):
    """Something that happened and that is not told yet. The row goes when the deliveries have it."""

    id = models.BigAutoField(primary_key=True)
    name = models.CharField(max_length=32)
    organization_id = models.BigIntegerField(null=True)
    text_below = models.TextField(
        default="",
        db_default="",
        help_text="What those are told who see only organizations below; empty if it does not concern them.",
    )
    subject = models.CharField(max_length=300)
    text = models.TextField()
    page = models.CharField(
        max_length=300, default="", db_default="", help_text="The path of the page of the object in the admin site."
    )
    details = models.JSONField(default=dict, db_default={})
    happened_at = models.DateTimeField(db_default=Now())

    def __str__(self) -> str:
        return f"{self.name} {self.subject}"


class Delivery(models.Model):
    """One message to one recipient by one channel. A chain of jobs sends it; each attempt has the same message id."""

    id = models.BigAutoField(primary_key=True)
    subscription = models.ForeignKey(Subscription, on_delete=models.SET_NULL, null=True, related_name="deliveries")
    organization = models.ForeignKey(
        Organization, on_delete=models.DO_NOTHING, null=True, db_constraint=False, db_index=False, related_name="+"
    )
    channel = models.CharField(max_length=16, choices=Channel.choices)
    target = models.TextField(help_text="The address, encrypted.")
    target_shown = models.CharField(max_length=300)
    subject = models.CharField(max_length=300, default="", db_default="")
    text = models.TextField(default="", db_default="")
    events = models.JSONField(
        default=dict, db_default={}, help_text="The number of events by name, and the first of them."
    )
    message_id = models.CharField(max_length=64, unique=True)
    state = models.CharField(max_length=16, choices=DeliveryState.choices, default=DeliveryState.PENDING)
    attempts = models.PositiveIntegerField(default=0, db_default=0)
    provider_id = models.CharField(
        max_length=300, default="", db_default="", help_text="What the receiver answered, such as its own id."
    )
    error = models.TextField(default="", db_default="", help_text="Why the last attempt failed.")
    job_id = models.BigIntegerField(null=True, help_text="The first job of the chain that sends it.")
    requested_by = models.CharField(max_length=200, default="", db_default="")
    created_at = models.DateTimeField(db_default=Now())
    sent_at = models.DateTimeField(null=True)

    class Meta:
        verbose_name_plural = "deliveries"
        constraints: ClassVar = [
            models.CheckConstraint(condition=models.Q(state__in=DeliveryState.values), name="delivery_state_is_known"),
            models.UniqueConstraint(
                fields=["subscription"],
                condition=models.Q(state=DeliveryState.GATHERING),
                name="one_gathering_delivery_of_a_subscription",
            ),
        ]
        indexes: ClassVar = [
            models.Index(fields=["organization", "-id"], name="delivery_of_organization"),
            models.Index(fields=["state", "-id"], name="delivery_by_state"),
            models.Index(fields=["created_at"], name="delivery_by_time"),
        ]

    def __str__(self) -> str:
        return f"delivery {self.pk}"
