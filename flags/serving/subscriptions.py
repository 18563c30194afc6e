"""Who waits for changes: each client's organization, and a wake-up for those whom a change concerns."""

from __future__ import annotations

import asyncio
from collections.abc import Iterator
from contextlib import contextmanager

from flags.serving.cache_events import AccessKeyChanged, CacheEvent, OrganizationMoved, StatesWritten


class Subscription:
    """One client that waits, with the key that begins with `key`.

    `line` has the ids from the root down to its organization; empty: definitions only.
    """

    __slots__ = ("_loop", "_woken", "doubtful", "key", "line", "news")

    def __init__(self, line: tuple[int, ...], key: str, loop: asyncio.AbstractEventLoop) -> None:
        self.line = line
        self.key = key
        self.news = False
        """Something has changed for it that it was not told."""
        self.doubtful = False
        """Its organization may be elsewhere now, or its key be revoked: read both anew."""
        self._loop = loop
        self._woken = asyncio.Event()

    def wake(self, *, news: bool = True, doubtful: bool = False) -> None:
        """Something has changed for it, or perhaps who it is itself; from any thread."""
        self.news |= news
        self.doubtful |= doubtful
        self._loop.call_soon_threadsafe(self._woken.set)

    async def changed(self, within: float) -> bool:
        """Wait until somebody wakes it, or for so many seconds; whether somebody has."""
        try:
            await asyncio.wait_for(self._woken.wait(), within)
        except TimeoutError:
            return False
        self._woken.clear()
        return True


class Subscriptions:
    """All clients of this process; those of one organization and of what is below it are found by its id."""

    def __init__(self) -> None:
        self._below: dict[int, set[Subscription]] = {}
        self._all: set[Subscription] = set()

    def __len__(self) -> int:
        return len(self._all)

    @contextmanager
    def waiting(self, subscription: Subscription) -> Iterator[None]:
        """Have it woken inside."""
        self._add(subscription)
        try:
            yield
        finally:
            self._discard(subscription)

    def place(self, subscription: Subscription, line: tuple[int, ...]) -> None:
        """Its organization has moved."""
        self._discard(subscription)
        subscription.line = line
        self._add(subscription)

    def take(self, news: CacheEvent) -> None:
        """Wake those whom it concerns; from the listener's thread."""
        if isinstance(news, StatesWritten):
            for one in tuple(self._below.get(news.root_id, ())):
                if news.after < one.line[-1] <= news.last:
                    one.wake()
        elif isinstance(news, OrganizationMoved):
            for one in tuple(self._below.get(news.organization_id, ())):
                one.wake(doubtful=True)
        elif isinstance(news, AccessKeyChanged):
            for one in tuple(self._all):
                if one.key == news.prefix:
                    one.wake(news=False, doubtful=True)
        else:
            for one in tuple(self._all):
                one.wake(news=news == "definitions", doubtful=news != "definitions")

    def wake_all(self) -> None:
        """Anything may have been missed."""
        for one in tuple(self._all):
            one.wake(doubtful=True)

    def _add(self, subscription: Subscription) -> None:
        self._all.add(subscription)
        for organization_id in subscription.line:
            self._below.setdefault(organization_id, set()).add(subscription)

    def _discard(self, subscription: Subscription) -> None:
        self._all.discard(subscription)
        for organization_id in subscription.line:
            waiting = self._below[organization_id]
            waiting.discard(subscription)
            if not waiting:
                del self._below[organization_id]
