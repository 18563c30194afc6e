"""The endpoints of notifications: what can be told, subscriptions, and deliveries."""

from __future__ import annotations

from typing import ClassVar

from django.urls import reverse
from drf_spectacular.utils import extend_schema
from rest_framework import status
from rest_framework.request import Request
from rest_framework.response import Response

from flagsite.core.api.input import QuerySerializer, ReasonInput
from jobs.notifications import deliveries, replays, subscriptions
from jobs.notifications.channels import push
from jobs.notifications.channels.all_channels import WAYS
from jobs.notifications.events import all_events, concerns_organizations
from jobs.notifications.models import Delivery
from jobs.notifications.replays import Replayed, Selection
from jobs.notifications.serializers import (
    CreatedSubscriptionSerializer,
    DeliveryFilters,
    DeliverySerializer,
    NewSubscription,
    NotificationsSerializer,
    ReplayedSerializer,
    ReplayInput,
    SecretRotation,
    SubscriptionChange,
    SubscriptionFilters,
    SubscriptionSerializer,
    delivery_url,
)
from jobs.notifications.subscriptions import Wish
from orgs.access.endpoints import Endpoint, ListEndpoint
from orgs.access.models import Role
from orgs.idempotency.stored_answers import idempotent, shown_once


class Notifications(Endpoint):
    """What can be told."""

    roles: ClassVar = {"GET": Role.READER}

    @extend_schema(
        operation_id="getNotifications",
        summary="Read what can be told, and by which channels",
        responses=NotificationsSerializer,
        tags=["notifications"],
    )
    def get(self, request: Request) -> Response:
        """The events to which you can subscribe, and the channels. A channel without its setting sends nothing."""
        QuerySerializer.read(request)
        found = {
            "channels": [
                {"name": channel.value, "sends": way.is_set(), "setting": way.setting} for channel, way in WAYS.items()
            ],
            "events": [
                {"name": name, "summary": summary, "ofOrganizations": concerns_organizations(name)}
                for name, summary in all_events().items()
            ],
            "pushKey": push.public_key() or None,
        }
        return Response(NotificationsSerializer(found).data)


class Subscriptions(ListEndpoint):
    """The subscriptions."""

    roles: ClassVar = {"GET": Role.OPERATOR, "POST": Role.OPERATOR}

    @extend_schema(
        operation_id="listSubscriptions",
        summary="List subscriptions",
        parameters=[SubscriptionFilters],
        responses=SubscriptionSerializer(many=True),
        tags=["notifications"],
    )
    def get(self, request: Request) -> Response:
        """The subscriptions that the caller may see, newest first, without secrets."""
        filters = self.filters(request, SubscriptionFilters)
        rows = subscriptions.visible_subscriptions(self.caller).filter(**filters).order_by("-id")
        return self.page(SubscriptionSerializer, self.rows(request, rows))

    @extend_schema(
        operation_id="createSubscription",
        summary="Create a subscription",
        request=NewSubscription,
        responses={201: CreatedSubscriptionSerializer},
        tags=["notifications"],
    )
    @idempotent
    def post(self, request: Request) -> Response:
        """Tell a person or a program of events. The answer shows the secret of a webhook's signatures, once.

        A bound access key creates subscriptions for its own subtree only.
        """
        wish = Wish(**NewSubscription.read(request))
        subscription, secret = subscriptions.create(self.caller, wish, reason=self.reason)
        data = CreatedSubscriptionSerializer(subscription, context={"secret": secret}).data
        headers = {
            "Location": reverse("subscription", args=[subscription.pk]),
            "Cache-Control": "no-store, private",
        }
        return shown_once(Response(data, status=status.HTTP_201_CREATED, headers=headers), "secret")


class OneSubscription(Endpoint):
    """A subscription."""

    roles: ClassVar = {"GET": Role.OPERATOR, "PATCH": Role.OPERATOR, "DELETE": Role.OPERATOR}

    @extend_schema(
        operation_id="getSubscription",
        summary="Read a subscription",
        responses=SubscriptionSerializer,
        tags=["notifications"],
    )
    def get(self, request: Request, subscription_id: int) -> Response:
        """The subscription, without its secret."""
        QuerySerializer.read(request)
        found = subscriptions.subscription_for(self.caller, subscription_id)
        return Response(SubscriptionSerializer(found).data)

    @extend_schema(
        operation_id="changeSubscription",
        summary="Change a subscription",
        request=SubscriptionChange,
        responses=SubscriptionSerializer,
        tags=["notifications"],
    )
    @idempotent
    def patch(self, request: Request, subscription_id: int) -> Response:
        """Change the name, the events or the digest, or stop and start the subscription. The address stays."""
        found = subscriptions.subscription_for(self.caller, subscription_id)
        values = SubscriptionChange.read(request)
        changed = subscriptions.change(self.caller, found, reason=self.reason, **values)
        return Response(SubscriptionSerializer(changed).data)

    @extend_schema(
        operation_id="deleteSubscription",
        summary="Delete a subscription",
        request=ReasonInput,
        responses={204: None},
        tags=["notifications"],
    )
    @idempotent
    def delete(self, request: Request, subscription_id: int) -> Response:
        """Delete the subscription. Its deliveries stay."""
        found = subscriptions.subscription_for(self.caller, subscription_id)
        ReasonInput.read(request)
        subscriptions.delete(self.caller, found, reason=self.reason)
        return Response(status=status.HTTP_204_NO_CONTENT)


class SubscriptionTest(Endpoint):
    """The test of a subscription."""

    roles: ClassVar = {"POST": Role.OPERATOR}

    @extend_schema(
        operation_id="testSubscription",
        summary="Send a test",
        request=ReasonInput,
        responses={202: DeliverySerializer},
        tags=["notifications"],
    )
    @idempotent
    def post(self, request: Request, subscription_id: int) -> Response:
        """Send a message that says that it is a test, in the way of every other message. The answer is its delivery."""
        found = subscriptions.subscription_for(self.caller, subscription_id)
        ReasonInput.read(request)
        return _accepted(subscriptions.send_test(self.caller, found, reason=self.reason))


class SubscriptionSecret(Endpoint):
    """The rotation of a webhook's secret."""

    roles: ClassVar = {"POST": Role.OPERATOR}

    @extend_schema(
        operation_id="rotateSubscriptionSecret",
        summary="Give a webhook a new secret",
        request=SecretRotation,
        responses=CreatedSubscriptionSerializer,
        tags=["notifications"],
    )
    @idempotent
    def post(self, request: Request, subscription_id: int) -> Response:
        """Create a new secret of the signatures, and show it, once. For a while each message has both signatures."""
        found = subscriptions.subscription_for(self.caller, subscription_id)
        values = SecretRotation.read(request)
        rotated, secret = subscriptions.rotate_secret(self.caller, found, reason=self.reason, **values)
        data = CreatedSubscriptionSerializer(rotated, context={"secret": secret}).data
        return shown_once(Response(data, headers={"Cache-Control": "no-store, private"}), "secret")


class Deliveries(ListEndpoint):
    """The deliveries."""

    roles: ClassVar = {"GET": Role.OPERATOR}

    @extend_schema(
        operation_id="listDeliveries",
        summary="List deliveries",
        parameters=[DeliveryFilters],
        responses=DeliverySerializer(many=True),
        tags=["notifications"],
    )
    def get(self, request: Request) -> Response:
        """The deliveries that the caller may see, newest first. Those with the status OUTBOX were not sent."""
        filters = self.filters(request, DeliveryFilters)
        rows = deliveries.visible_deliveries(self.caller).filter(**filters).order_by("-id")
        return self.page(DeliverySerializer, self.rows(request, rows))


class OneDelivery(Endpoint):
    """A delivery."""

    roles: ClassVar = {"GET": Role.OPERATOR}

    @extend_schema(
        operation_id="getDelivery", summary="Follow a delivery", responses=DeliverySerializer, tags=["notifications"]
    )
    def get(self, request: Request, delivery_id: int) -> Response:
        """The message, its status, its attempts, and what the receiver answered."""
        QuerySerializer.read(request)
        return Response(DeliverySerializer(deliveries.delivery_for(self.caller, delivery_id)).data)


class ReplayDelivery(Endpoint):
    """The replay of a delivery."""

    roles: ClassVar = {"POST": Role.OPERATOR}

    @extend_schema(
        operation_id="replayDelivery",
        summary="Send a delivery once more",
        request=ReasonInput,
        responses={202: DeliverySerializer},
        tags=["notifications"],
    )
    @idempotent
    def post(self, request: Request, delivery_id: int) -> Response:
        """Send a delivery that has ended once more, with the same message id."""
        found = deliveries.delivery_for(self.caller, delivery_id)
        ReasonInput.read(request)
        return _accepted(deliveries.replay(found, by=self.caller.name, reason=self.reason))


class ReplayDeliveries(Endpoint):
    """The replay of many deliveries."""

    roles: ClassVar = {"POST": Role.OPERATOR}

    @extend_schema(
        operation_id="replayDeliveries",
        summary="Send many deliveries once more",
        request=ReplayInput,
        responses={200: ReplayedSerializer, 202: ReplayedSerializer},
        tags=["notifications"],
    )
    @idempotent
    def post(self, request: Request) -> Response:
        """Send the matching deliveries that have ended once more, oldest first, each with its message id.

        For more than 200 deliveries, the status is 202, and a job of its own replays them.
        """
        values = ReplayInput.read(request)
        is_dry_run = values.pop("dry_run")
        rows = replays.selected(self.caller, Selection(**values))
        if is_dry_run:
            context = {"dry_run": True, "would_replay": rows.count()}
            return Response(ReplayedSerializer(Replayed(), context=context).data)
        done = replays.replay_all(self.caller, rows, reason=self.reason)
        data = ReplayedSerializer(done, context={"dry_run": False}).data
        if done.job is None:
            return Response(data)
        return Response(data, status.HTTP_202_ACCEPTED, headers={"Location": data["trackingUrl"]})


def _accepted(delivery: Delivery) -> Response:
    headers = {"Location": delivery_url(delivery)}
    return Response(DeliverySerializer(delivery).data, status=status.HTTP_202_ACCEPTED, headers=headers)
