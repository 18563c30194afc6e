"""The kind `notification`: one message to many recipients, each with a delivery of its own."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from django.db import transaction

from jobs.engine.kinds import DEFAULT_STALL_SECONDS, job_kind
from jobs.engine.run import Run
from jobs.errors import InvalidJobArguments, InvalidSubscription, PermanentFailure
from jobs.notifications import deliveries
from jobs.notifications.channels.all_channels import way
from jobs.notifications.models import Channel, Delivery, Subscription

KIND = "notification"
BATCH_SIZE = 200
MOST_RECIPIENTS = 10_000
MOST_ERRORS = 20
"""How many wrong recipients one message names."""
DIRECT = (Channel.EMAIL, Channel.SMS, Channel.CHAT)
"""The channels whose address alone is enough. Webhooks and browsers need a subscription."""
ARGUMENTS: dict[str, Any] = {
    "type": "object",
    "properties": {
        "subject": {
            "type": "string",
            "title": "Subject",
            "description": "The title of the message.",
            "minLength": 1,
            "maxLength": 200,
        },
        "text": {
            "type": "string",
            "title": "Text",
            "description": "What the message says.",
            "minLength": 1,
            "maxLength": 20_000,
        },
        "recipients": {
            "type": "array",
            "title": "Recipients",
            "description": 'A list such as [{"channel": "email", "to": "ann@example.com"}, {"subscriptionId": 1}]. The '
            "channels are email, sms and chat. A webhook or a browser needs a subscription.",
            "minItems": 1,
            "maxItems": MOST_RECIPIENTS,
            "items": {
                "type": "object",
                "properties": {
                    "channel": {"enum": [channel.value for channel in DIRECT]},
                    "to": {"type": "string", "minLength": 1, "maxLength": 300},
                    "subscriptionId": {"type": "integer", "minimum": 1},
                },
                "additionalProperties": False,
                "oneOf": [{"required": ["channel", "to"]}, {"required": ["subscriptionId"]}],
            },
        },
    },
    "required": ["subject", "text", "recipients"],
    "additionalProperties": False,
}


def check_arguments(arguments: Mapping[str, Any]) -> None:
    """Check every address and every subscription, which the schema cannot. Raises InvalidJobArguments."""
    errors: dict[str, str] = {}
    ids = {recipient["subscriptionId"] for recipient in arguments["recipients"] if "subscriptionId" in recipient}
    known = set(Subscription.objects.filter(pk__in=ids).values_list("pk", flat=True))
    for number, recipient in enumerate(arguments["recipients"]):
        place = f"arguments.recipients.{number}"
        if "channel" in recipient:
            try:
                way(recipient["channel"]).checked(recipient["to"])
            except InvalidSubscription as error:
                errors[f"{place}.to"] = error.detail
        elif recipient["subscriptionId"] not in known:
            errors[f"{place}.subscriptionId"] = f"There is no subscription {recipient['subscriptionId']}."
    if errors:
        raise InvalidJobArguments(dict(list(errors.items())[:MOST_ERRORS]))


@job_kind(
    KIND,
    queue=deliveries.QUEUE,
    summary="Send one message to several recipients, by e-mail, SMS, chat, web push or webhook.",
    arguments=ARGUMENTS,
    check_arguments=check_arguments,
    stall_seconds=DEFAULT_STALL_SECONDS,
    continues=True,
)
def notify_recipients(run: Run) -> None:
    """Create the deliveries in short transactions. A recipient whose address is not valid is a permanent failure.

    The checkpoint has the number of recipients who have their delivery, so that no retry creates another one.
    """
    arguments = run.job.arguments
    recipients = arguments["recipients"]
    start = (run.job.checkpoint or {}).get("next", 0)
    if start == 0:
        _check_again(run.job.arguments)
    run.record_progress(processed=start - run.job.processed, total=len(recipients))
    while start < len(recipients):
        run.check()
        chosen = recipients[start : start + BATCH_SIZE]
        with transaction.atomic():
            deliveries.create_many(_deliveries(run, chosen))
            start += len(chosen)
            run.record_progress(processed=len(chosen), checkpoint={"next": start})
    run.set_result({"deliveries": len(recipients)})


def _check_again(arguments: Mapping[str, Any]) -> None:
    """Check the recipients before anything is sent: a subscription may be gone. Raises PermanentFailure."""
    try:
        check_arguments(arguments)
    except InvalidJobArguments as error:
        raise PermanentFailure(f"{error.detail} Nothing was sent.") from None


def _deliveries(run: Run, recipients: Sequence[dict[str, Any]]) -> list[Delivery]:
    """Return the deliveries to these recipients, without subscriptions that were deleted meanwhile."""
    arguments, organization_id = run.job.arguments, run.job.organization_id
    words = {"subject": arguments["subject"], "text": arguments["text"], "by": run.job.requested_by}
    ids = [recipient["subscriptionId"] for recipient in recipients if "subscriptionId" in recipient]
    subscriptions = Subscription.objects.in_bulk(ids) if ids else {}
    return [
        deliveries.new(channel=one["channel"], target=one["to"], organization_id=organization_id, **words)
        if "channel" in one
        else deliveries.new_for(subscriptions[one["subscriptionId"]], **words)
        for one in recipients
        if "channel" in one or one["subscriptionId"] in subscriptions
    ]
