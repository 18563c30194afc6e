"""A subscription and a delivery that are in the database, without a job."""

from __future__ import annotations

from flagsite.core import secret_text
from jobs.notifications.models import Delivery, DeliveryState, Subscription


def subscription_and_delivery(
    organization_id: int | None = None, *, words: str = "theirs", state: str = DeliveryState.SENT
) -> tuple[Subscription, Delivery]:
    """Create a subscription by e-mail and a delivery that has ended. `words` are in each of their texts."""
    address = {"target": secret_text.encrypt(f"{words}@example.com"), "target_shown": f"{words}@example.com"}
    subscription = Subscription.objects.create(
        name=words, channel="email", organization_id=organization_id, events=["job.failed"], created_by=words, **address
    )
    delivery = Delivery.objects.create(
        subscription=subscription, organization_id=organization_id, channel="email", subject=words, text=words,
        message_id=f"msg_{words}", state=state, error=words, requested_by=words, **address,
    )  # fmt: skip
    return subscription, delivery
