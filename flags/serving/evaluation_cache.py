"""What a process knows of flags and organizations, and how it keeps up: the only door to the hot path's data."""

from __future__ import annotations

import contextlib
import hashlib
import threading
from collections import OrderedDict
from collections.abc import Callable
from dataclasses import dataclass, field
from time import monotonic
from typing import Any, TypeVar

from django.conf import settings
from django.db import InterfaceError, OperationalError, connection

from flags.definitions import loader as definitions
from flags.evaluation import context_loader
from flags.evaluation.engine import Definition
from flags.serving.cache_events import OrganizationMoved, StatesWritten
from flags.serving.change_log import ChangeLog
from flags.serving.organization_snapshot import SNAPSHOT_BYTES, OrganizationSnapshot
from flags.serving.packed_states import InternedStates
from flagsite.core.ids import id_in
from orgs.errors import OrganizationNotFound

Read = TypeVar("Read")
UNTOLD_SECONDS = 1.0
"""For so long what is known is believed while nobody would hear of a change."""
SAME_SECONDS = 0.1
"""What is read within so long is as old as the first of it."""
COMMITTED = """
SELECT pg_current_xact_id_if_assigned() IS NULL AND current_setting('transaction_isolation') = 'read committed'
"""


@dataclass(frozen=True, slots=True)
class Definitions:
    """All flags, by key in order. `fingerprint` is the same in every process that knows the same definitions."""

    by_key: dict[str, Definition]
    fingerprint: bytes
    environments: frozenset[str]
    """Those that any flag overrides; all others are alike."""
    prepared: dict[str, Any] = field(default_factory=dict)
    """For whoever prepares answers; it goes with the definitions."""

    @classmethod
    def read(cls) -> Definitions:
        """As they stand in the database."""
        by_key = definitions.load_definitions()
        content = repr([_in_order(one) for one in by_key.values()]).encode()
        environments = frozenset(name for one in by_key.values() for name in one.environments)
        return cls(by_key, hashlib.blake2b(content, digest_size=16).digest(), environments)


class EvaluationCache:
    """Definitions and the views that were used lately; any thread may ask.

    There are at most `most` views, fewer where they would take more than two thirds of EVALUATION_CACHE_MEGABYTES. Of
    more, one goes that was not used since it was last in question: nearly the one that was used least recently, without
    the list that each read would have to put in order.
    Whoever listens to the database tells it of changes (`take`); after a silence it forgets everything (`forget`).
    A view is read anew when it is older than EVALUATION_CACHE_SECONDS, whatever was heard, and after UNTOLD_SECONDS
    while nobody listens; only while the database is away is an older one good enough. What is asked for within a
    transaction that sees something else than everybody does is answered from what it sees, and not kept.
    """

    def __init__(self, most: int | None = None) -> None:
        self._most = most or settings.EVALUATION_CACHE_ORGANIZATIONS
        self._most_bytes = settings.EVALUATION_CACHE_MEGABYTES * 2**20 * 2 // 3  # the rest is for answers
        self.listening(hears=True)
        self._feed = ChangeLog()
        self._views: OrderedDict[int, OrganizationSnapshot] = OrderedDict()
        self._ids: dict[str, int] = {}
        self._shared = InternedStates()
        self._definitions: Definitions | None = None
        self._definitions_read_at = 0.0
        self._read_at = 0.0
        self._epoch = 0
        self._reading = threading.Lock()
        """Held while definitions are read: who reads later has read what is newer."""
        self._storing = threading.Lock()
        """Held while what was read is stored, unless everything was forgotten while it was read."""
        self._advancing = threading.Lock()
        """Held while a view is set to what it has caught up with."""

    # --- what is asked ---------------------------------------------------------------------------------------------
    def definitions(self) -> Definitions:
        """Every flag's definition."""
        known = self._definitions
        if known is None:
            return self.read_definitions()
        if monotonic() - self._definitions_read_at > self._oldest and self._reading.acquire(blocking=False):
            try:
                return self._if_there(self._read_definitions) or known
            finally:
                self._reading.release()
        return known

    def view(self, organization_id: int) -> OrganizationSnapshot:
        """The organization as it stands now. Raises OrganizationNotFound; a database error on what isn't known."""
        view = self._views.get(organization_id)
        if view is None:
            return self._read(organization_id)
        if self.is_current(view):
            return view
        if monotonic() - view.read_at > self._oldest:
            view = self._again(view)
        return view if self._catch_up(view) else self._read(organization_id)

    def is_current(self, view: OrganizationSnapshot) -> bool:
        """Whether `view` would give this view again; it is brought up to date, as there."""
        if view.epoch != self._epoch or monotonic() - view.read_at > self._oldest:
            return False
        if view.position != self._feed.position and not self._catch_up(view):
            return False
        view.used = True
        return True

    def view_by_key(self, key: str) -> OrganizationSnapshot:
        """The organization with this key, as `view`."""
        organization_id = self._ids.get(key)
        if organization_id is not None:
            with contextlib.suppress(OrganizationNotFound):  # another may have its key by now
                view = self.view(organization_id)
                if view.keys[-1] == key:
                    return view
        return self.view(context_loader.id_of(key))

    def view_called(self, name: str) -> OrganizationSnapshot:
        """The organization of this name, as `view`: digits are an id, and a key only where no organization has it."""
        organization_id = id_in(name)
        if organization_id is not None:
            with contextlib.suppress(OrganizationNotFound):
                return self.view(organization_id)
        return self.view_by_key(name)

    def anew(self, view: OrganizationSnapshot) -> tuple[OrganizationSnapshot, Definitions]:
        """The organization and the definitions as the database has them; while it is away, what is known."""
        fresh = self._again(view) if view.ids else view
        return fresh, self._if_there(self.read_definitions) or self.definitions()

    # --- what is told ----------------------------------------------------------------------------------------------
    def take(self, entry: StatesWritten | OrganizationMoved) -> None:
        """Something has changed."""
        self._feed.append(entry)

    def read_definitions(self) -> Definitions:
        """Read the definitions anew, as after a change."""
        with self._reading:
            return self._read_definitions()

    def listening(self, hears: bool) -> None:
        """Whether it is told of changes from now on, as is believed from the start."""
        longest = float(settings.EVALUATION_CACHE_SECONDS)
        self._oldest = longest if hears else min(UNTOLD_SECONDS, longest)
        self._not_before = 0.0

    def forget(self) -> None:
        """Something was missed, or so much has changed that to read anew is cheaper."""
        with self._storing:
            self._epoch += 1
            self._views.clear()
            self._ids.clear()
            self._definitions = None

    def __len__(self) -> int:
        return len(self._views)

    # --- within ----------------------------------------------------------------------------------------------------
    def _read(self, organization_id: int) -> OrganizationSnapshot:
        epoch, position = self._epoch, self._feed.position  # what comes while this reads is seen again, without harm
        try:
            ids, keys, columns = context_loader.load_columns(organization_id)
        except OrganizationNotFound:
            self._views.pop(organization_id, None)
            raise
        view = OrganizationSnapshot(ids, keys, self._shared.of(columns), position, epoch=epoch, read_at=self._lately())
        may_be_kept = reads_what_everybody_sees()
        with self._storing:
            if epoch == self._epoch and may_be_kept:
                self._views.pop(organization_id, None)
                while self._views and self._is_full():
                    self._let_one_go()
                self._views[organization_id] = view
                self._ids[keys[-1]] = organization_id
        return view

    def _lately(self) -> float:
        """About now: one number for all views that are read at about the same time, so that it is found in a cache."""
        now = monotonic()
        if now - self._read_at > SAME_SECONDS:
            self._read_at = now
        return self._read_at

    def _let_one_go(self) -> None:
        organization_id, view = self._views.popitem(last=False)
        if view.used:
            view.used = False
            self._views[organization_id] = view
        else:
            self._ids.pop(view.keys[-1], None)

    def _again(self, view: OrganizationSnapshot) -> OrganizationSnapshot:
        return self._if_there(lambda: self._read(view.ids[-1])) or view

    def _read_definitions(self) -> Definitions:
        epoch, known = self._epoch, self._definitions
        read = Definitions.read()
        if known is not None and known.fingerprint == read.fingerprint:
            read = known  # and what is prepared for them
        may_be_kept = reads_what_everybody_sees()
        with self._storing:
            if epoch == self._epoch and may_be_kept:
                self._definitions = read
                self._definitions_read_at = monotonic()
        return read

    def _if_there(self, read: Callable[[], Read]) -> Read | None:
        """What it reads; None while the database is away, which is then not asked again for a while."""
        began = monotonic()
        if began < self._not_before:
            return None
        try:
            return read()
        except (OperationalError, InterfaceError):
            if not connection.in_atomic_block:
                connection.close_if_unusable_or_obsolete()
            now = monotonic()
            self._not_before = now + max(UNTOLD_SECONDS, 5 * (now - began))
            return None

    def _is_full(self) -> bool:
        """Whether there is no room for one more."""
        count = len(self._views) + 1
        return count > self._most or self._shared.size + count * SNAPSHOT_BYTES > self._most_bytes

    def _catch_up(self, view: OrganizationSnapshot) -> bool:
        position = view.position
        states = view.states  # perhaps newer, and what is in them already changes nothing
        entries = self._feed.since(position)
        if entries is None:
            return False
        ids = view.ids
        for number, entry in entries:
            if isinstance(entry, OrganizationMoved):
                if entry.organization_id in ids:
                    return False
            elif entry.after < ids[-1] <= entry.last and entry.root_id in ids:
                states = self._shared.after(states, entry.state)
            position = number
        with self._advancing:
            if position > view.position:  # else another thread is further
                view.states = states
                view.position = position
        return True


def reads_what_everybody_sees() -> bool:
    """Whether this thread reads just what is committed.

    Not in a transaction that has written something, which may be rolled back, nor in one that looks at a snapshot.
    """
    if connection.get_autocommit():
        return True
    with connection.cursor() as cursor:
        cursor.execute(COMMITTED)
        return bool(cursor.fetchone()[0])


def _in_order(one: Definition) -> tuple[object, ...]:
    """What evaluation depends on, written alike by every process."""
    return (
        one.id, one.key, one.enabled, one.threshold, one.salt, one.unit, one.level, sorted(one.whitelist),
        sorted(one.environments.items()), one.prerequisites, one.archived, one.killed, one.hash_version,
    )  # fmt: skip
