"""The clients of the event stream that wait for changes, and a wake-up for those whom a change concerns."""

from __future__ import annotations

import asyncio
from collections.abc import Iterator
from contextlib import contextmanager

from flags.serving.attributes_in_use import AttributesInUse
from flags.serving.cache_events import (
    ANY_ORGANIZATION,
    AccessKeyChanged,
    AttributeChanged,
    CacheEvent,
    EverythingOf,
    OrganizationMoved,
    StatesRewritten,
    StatesWritten,
)
from flags.serving.client_flags import ClientFlags


class Subscription:
    """One client that waits, with the access key that has `key_prefix`.

    `path` has the ids from the root down to its organization; an empty path waits for definitions only. `is_client`:
    the key has the role client, so only changes of flags that are available to clients concern it.
    """

    __slots__ = ("_loop", "_woken", "has_changes", "is_client", "key_prefix", "must_recheck", "path")

    def __init__(
        self, path: tuple[int, ...], key_prefix: str, loop: asyncio.AbstractEventLoop, *, is_client: bool = False
    ) -> None:
        self.path = path
        self.key_prefix = key_prefix
        self.is_client = is_client
        self.has_changes = False
        """Something has changed for the client since its last event."""
        self.must_recheck = False
        """The organization may have moved or the key may be revoked: read both from the database."""
        self._loop = loop
        self._woken = asyncio.Event()

    def wake(self, *, changed: bool = True, recheck: bool = False) -> None:
        """Something has changed for the client, or its path or key has to be checked; from any thread."""
        self.has_changes |= changed
        self.must_recheck |= recheck
        self._loop.call_soon_threadsafe(self._woken.set)

    async def wait(self, seconds: float) -> bool:
        """Wait until something wakes it; False when nothing does in so many seconds."""
        try:
            await asyncio.wait_for(self._woken.wait(), seconds)
        except TimeoutError:
            return False
        self._woken.clear()
        return True


class Subscriptions:
    """All subscriptions of this process; those at and below an organization are found by its id."""

    def __init__(self) -> None:
        self._below: dict[int, set[Subscription]] = {}
        self._all: set[Subscription] = set()
        self.client_flags = ClientFlags()
        self._attributes_in_use = AttributesInUse()

    def __len__(self) -> int:
        return len(self._all)

    @contextmanager
    def waiting(self, subscription: Subscription) -> Iterator[None]:
        """Wake the subscription inside of the block."""
        self._add(subscription)
        try:
            yield
        finally:
            self._discard(subscription)

    def move(self, subscription: Subscription, path: tuple[int, ...]) -> None:
        """The subscription's organization has another path."""
        self._discard(subscription)
        subscription.path = path
        self._add(subscription)

    def notify(self, event: CacheEvent) -> None:
        """Wake the subscriptions that the event concerns; from the listener's thread."""
        if isinstance(event, StatesWritten):
            self._notify_of_states(event, event.state.flag_id)
        elif isinstance(event, StatesRewritten):
            self._notify_of_states(event, event.flag_id)
        elif isinstance(event, OrganizationMoved):
            for one in tuple(self._below.get(event.organization_id, ())):
                one.wake(recheck=True)
        elif isinstance(event, AttributeChanged):
            self._notify_of_attribute(event)
        elif isinstance(event, AccessKeyChanged):
            self._notify_of_key(event)
        elif event is EverythingOf.DEFINITIONS:
            self._notify_of_definitions()
        else:
            for one in tuple(self._all):
                one.wake(changed=False, recheck=True)

    def organization_ids(self) -> set[int]:
        """The organizations of the subscriptions that have one."""
        return {one.path[-1] for one in tuple(self._all) if one.path}

    def wake_changed(self, organization_ids: set[int]) -> None:
        """Wake the subscriptions of these organizations: something has changed for them."""
        for one in tuple(self._all):
            if one.path and one.path[-1] in organization_ids:
                one.wake(recheck=True)

    def recheck_all(self) -> None:
        """Organizations may have moved and keys may be revoked; for whom something else has changed is known."""
        for one in tuple(self._all):
            one.wake(changed=False, recheck=True)

    def wake_all(self) -> None:
        """Anything may have been missed."""
        self._reload_client_flags()
        for one in tuple(self._all):
            one.wake(recheck=True)

    def _notify_of_states(self, event: StatesWritten | StatesRewritten, flag_id: int) -> None:
        for_clients = self.client_flags.includes(flag_id)
        for one in tuple(self._below.get(event.root_id, ())):
            if event.after < one.path[-1] <= event.last and (for_clients or not one.is_client):
                one.wake()

    def _notify_of_attribute(self, event: AttributeChanged) -> None:
        concerned = tuple(
            self._all if event.organization_id == ANY_ORGANIZATION else self._below.get(event.organization_id, ())
        )
        if not concerned or not self._attributes_in_use.include(event.name):
            return
        for_clients = self.client_flags.read(event.name)
        for one in concerned:
            if event.concerns(one.path) and (for_clients or not one.is_client):
                one.wake()

    def _notify_of_key(self, event: AccessKeyChanged) -> None:
        for one in tuple(self._all):
            if one.key_prefix == event.prefix:
                one.wake(changed=False, recheck=True)

    def _notify_of_definitions(self) -> None:
        for_clients = self._reload_client_flags()
        for one in tuple(self._all):
            if for_clients or not one.is_client:
                one.wake()

    def _reload_client_flags(self) -> bool:
        """Return whether the definitions of flags that are available to clients may have changed."""
        self._attributes_in_use.forget()
        if any(one.is_client for one in tuple(self._all)):
            return self.client_flags.reload()
        self.client_flags.forget()
        return True

    def _add(self, subscription: Subscription) -> None:
        self._all.add(subscription)
        for organization_id in subscription.path:
            self._below.setdefault(organization_id, set()).add(subscription)

    def _discard(self, subscription: Subscription) -> None:
        self._all.discard(subscription)
        for organization_id in subscription.path:
            waiting = self._below[organization_id]
            waiting.discard(subscription)
            if not waiting:
                del self._below[organization_id]
