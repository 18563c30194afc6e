"""The evaluation cache: a process's definitions and organization snapshots, and how it keeps up with changes."""

from __future__ import annotations

import contextlib
import threading
from collections import OrderedDict
from collections.abc import Callable
from time import monotonic
from typing import TypeVar

from django.conf import settings
from django.db import InterfaceError, OperationalError, connection

from flags.evaluation import context_loader
from flags.serving.cache_events import UNHEARD_SECONDS, AttributeChanged, OrganizationMoved, StatesRewritten
from flags.serving.change_log import ChangeLog, LoggedEvent
from flags.serving.definition_set import DefinitionSet
from flags.serving.held_attributes import InternedAttributes
from flags.serving.organization_snapshot import OrganizationSnapshot
from flags.serving.packed_states import InternedStates
from flagsite.core.adapters.django_orm import replace_connection
from flagsite.core.db import never_waits
from orgs.errors import OrganizationNotFound
from orgs.tree.references import Reference

Read = TypeVar("Read")
SAME_SECONDS = 0.1
"""Snapshots that are read within so long share one `read_at`."""
READS_COMMITTED_DATA = """
SELECT pg_current_xact_id_if_assigned() IS NULL AND current_setting('transaction_isolation') = 'read committed'
"""


class EvaluationCache:
    """The definitions, and the snapshots of the organizations that were asked for lately; any thread may ask.

    Who needs both asks for the definitions first: then the snapshot has all attributes that their rules read.

    There are at most `most` snapshots, and fewer where they would take more than two thirds of
    EVALUATION_CACHE_MEGABYTES. Of more, one goes that nobody asked for since its last turn: nearly the one that was
    used least recently, without a list that every read would have to put in order.

    The listener hands events to `notify` and `reload_definitions`, and calls `clear` after it may have missed some. A
    snapshot is read again when it is older than EVALUATION_CACHE_SECONDS, or than UNHEARD_SECONDS while the process
    does not hear of changes; only while the database is away an older one will do. A transaction that sees other data
    than everybody else gets what it sees, which is not kept.
    """

    def __init__(self, most: int | None = None) -> None:
        self._most = most or settings.EVALUATION_CACHE_ORGANIZATIONS
        self._most_bytes = settings.EVALUATION_CACHE_MEGABYTES * 2**20 * 2 // 3  # the rest is for compiled flags
        self.set_listening(hears=True)
        self._log = ChangeLog()
        self._snapshots: OrderedDict[int, OrganizationSnapshot] = OrderedDict()
        self._snapshot_bytes = 0
        self._ids: dict[str, int] = {}
        self._interned = InternedStates()
        self._interned_attributes = InternedAttributes()
        self._attribute_names: frozenset[str] = frozenset()
        """The attributes of organizations that rules read, and that every snapshot has."""
        self._definitions: DefinitionSet | None = None
        self._definitions_read_at = 0.0
        self._read_at = 0.0
        self._epoch = 0
        self._reading = threading.Lock()
        """Held while definitions are read, so that the last to store them has read the newest."""
        self._storing = threading.Lock()
        """Held while something is stored, unless the cache was cleared since it was read."""
        self._advancing = threading.Lock()
        """Held while a snapshot is set to what it has caught up with."""

    # --- reads ------------------------------------------------------------------------------------------------------
    def definitions(self) -> DefinitionSet:
        """Every flag's definition. Raises a database error where none are cached."""
        cached = self._definitions
        if cached is None:
            return self.reload_definitions()
        if monotonic() - self._definitions_read_at > self._oldest and self._reading.acquire(blocking=False):
            try:
                return self._if_database_answers(self._read_definitions) or cached
            finally:
                self._reading.release()
        return cached

    def snapshot(self, organization_id: int) -> OrganizationSnapshot:
        """The organization as it stands now.

        Raises OrganizationNotFound, and a database error for an organization that is not cached.
        """
        snapshot = self._snapshots.get(organization_id)
        if snapshot is None:
            return self._read(organization_id)
        if self.is_current(snapshot):
            return snapshot
        if monotonic() - snapshot.read_at > self._oldest:
            snapshot = self._read_again(snapshot)
        return snapshot if self._catch_up(snapshot) else self._read(organization_id)

    def is_current(self, snapshot: OrganizationSnapshot) -> bool:
        """Whether `self.snapshot` would return this snapshot again; it catches up, as there."""
        if snapshot.epoch != self._epoch or monotonic() - snapshot.read_at > self._oldest:
            return False
        if snapshot.position != self._log.position and not self._catch_up(snapshot):
            return False
        snapshot.used = True
        return True

    def snapshot_by_key(self, key: str) -> OrganizationSnapshot:
        """The organization with this key. Raises as `snapshot`."""
        organization_id = self._ids.get(key)
        if organization_id is not None:
            with contextlib.suppress(OrganizationNotFound):  # another organization may have the key by now
                snapshot = self.snapshot(organization_id)
                if snapshot.keys[-1] == key:
                    return snapshot
        return self.snapshot(context_loader.find_id(key))

    def snapshot_named(self, reference: Reference, scope: int | None = None) -> OrganizationSnapshot:
        """The organization that a reference names (`orgs.tree.references`).

        Only organizations at and below `scope` count where it decides what a number means; that the caller may see the
        snapshot has to be checked all the same. Raises as `snapshot`, and OrganizationAmbiguous.
        """
        if reference.id is None:
            return self.snapshot_by_key(reference.key or "")
        if reference.key is None:
            return self.snapshot(reference.id)
        by_id, by_key = None, None
        with contextlib.suppress(OrganizationNotFound):
            by_id = self.snapshot(reference.id)
            if by_id.is_named_by_id is None:
                is_key = self._if_database_answers(lambda: context_loader.is_key_of_another(by_id.ids[-1]))
                by_id.is_named_by_id = None if is_key is None else not is_key
            if by_id.is_named_by_id is not False:
                return by_id
        with contextlib.suppress(OrganizationNotFound):
            by_key = self.snapshot_by_key(reference.key)
        if by_id is not None and by_key is not None and by_key.organization_id == by_id.organization_id:
            return by_id
        seen = [one if one and (scope is None or scope in one.ids) else None for one in (by_id, by_key)]
        return reference.choose(*seen)

    def refresh(self, snapshot: OrganizationSnapshot) -> tuple[OrganizationSnapshot, DefinitionSet]:
        """The organization and the definitions as they stand in the database; while it is away, the cached ones."""
        definitions = self._if_database_answers(self.reload_definitions) or self.definitions()
        return (self._read_again(snapshot) if snapshot.ids else snapshot), definitions

    def __len__(self) -> int:
        """The number of snapshots."""
        return len(self._snapshots)

    # --- changes ----------------------------------------------------------------------------------------------------
    def notify(self, event: LoggedEvent) -> None:
        """Flag states, an organization's place in the tree, or an attribute have changed."""
        if not isinstance(event, AttributeChanged) or event.name in self._attribute_names:
            self._log.append(event)

    def reload_definitions(self) -> DefinitionSet:
        """Read the definitions, as after a change."""
        never_waits.check()  # another thread may read them from a database that does not answer
        with self._reading:
            return self._read_definitions()

    def set_listening(self, *, hears: bool) -> None:
        """Whether the process hears of changes from now on; a new cache believes that it does."""
        longest = float(settings.EVALUATION_CACHE_SECONDS)
        self._oldest = longest if hears else min(UNHEARD_SECONDS, longest)
        self._not_before = 0.0

    def ask_database_again(self) -> None:
        """Leave the database alone no longer: it was away, and answers again."""
        self._not_before = 0.0

    def clear(self) -> None:
        """Drop everything: events were missed, or so much has changed that to read again is cheaper."""
        with self._storing:
            self._epoch += 1
            self._snapshots.clear()
            self._snapshot_bytes = 0
            self._ids.clear()
            self._definitions = None

    # --- within -----------------------------------------------------------------------------------------------------
    def _read(self, organization_id: int) -> OrganizationSnapshot:
        replace_connection()
        epoch, position = self._epoch, self._log.position  # an event that comes meanwhile is applied again, harmlessly
        names = self._attribute_names
        try:
            ids, keys, columns, custom = context_loader.load_organization(organization_id)
            attributes = self._interned_attributes.of(context_loader.load_attributes(ids, names)[0])
        except OrganizationNotFound:
            with self._storing:
                self._forget(organization_id)
            raise
        states = self._interned.of(columns, custom)
        snapshot = OrganizationSnapshot(
            ids, keys, states, position, epoch=epoch, read_at=self._recently(), attributes=attributes
        )
        may_be_kept = reads_committed_data()
        with self._storing:
            if epoch == self._epoch and may_be_kept:
                self._forget(organization_id)
                while self._snapshots and self._is_full(snapshot):
                    self._take_turn()
                self._snapshots[organization_id] = snapshot
                self._snapshot_bytes += snapshot.size
                self._ids[keys[-1]] = organization_id
        return snapshot

    def _recently(self) -> float:
        """About now: one object for all snapshots of the same moment, so that it stays in the processor's cache."""
        now = monotonic()
        if now - self._read_at > SAME_SECONDS:
            self._read_at = now
        return self._read_at

    def _take_turn(self) -> None:
        organization_id, snapshot = self._snapshots.popitem(last=False)
        if snapshot.used:
            snapshot.used = False
            self._snapshots[organization_id] = snapshot
        else:
            self._snapshot_bytes -= snapshot.size
            self._ids.pop(snapshot.keys[-1], None)

    def _forget(self, organization_id: int) -> None:
        snapshot = self._snapshots.pop(organization_id, None)
        if snapshot is not None:
            self._snapshot_bytes -= snapshot.size

    def _is_full(self, one_more: OrganizationSnapshot) -> bool:
        """Whether there is no room for one more snapshot."""
        size = self._interned.size + self._interned_attributes.size + self._snapshot_bytes + one_more.size
        return len(self._snapshots) >= self._most or size > self._most_bytes

    def _read_again(self, snapshot: OrganizationSnapshot) -> OrganizationSnapshot:
        return self._if_database_answers(lambda: self._read(snapshot.ids[-1])) or snapshot

    def _read_definitions(self) -> DefinitionSet:
        replace_connection()
        epoch, cached = self._epoch, self._definitions
        definitions = DefinitionSet.load()
        if cached is not None and cached.fingerprint == definitions.fingerprint:
            definitions = cached  # and everything that is compiled from them
        may_be_kept = reads_committed_data()
        with self._storing:
            is_same = epoch == self._epoch
            self._read_also(definitions.organization_attributes)
            if is_same and may_be_kept:
                self._definitions = definitions
                self._definitions_read_at = monotonic()
        return definitions

    def _read_also(self, names: frozenset[str]) -> None:
        """Let snapshots have these attributes too, before anybody evaluates with the rules that read them."""
        if not names <= self._attribute_names:
            self._attribute_names |= names
            self._epoch += 1
            self._snapshots.clear()
            self._snapshot_bytes = 0
            self._ids.clear()

    def _if_database_answers(self, read: Callable[[], Read]) -> Read | None:
        """What `read` returns; None while the database is away, which is then left alone for a while."""
        began = monotonic()
        if began < self._not_before:
            return None
        try:
            return read()
        except (OperationalError, InterfaceError):
            if not connection.in_atomic_block:
                connection.close_if_unusable_or_obsolete()
            now = monotonic()
            self._not_before = now + max(UNHEARD_SECONDS, 5 * (now - began))
            return None

    def _catch_up(self, snapshot: OrganizationSnapshot) -> bool:
        """Apply the events that the snapshot has missed; False where it has to be read again."""
        position = snapshot.position
        states = snapshot.states  # perhaps newer than the position; to apply an event twice changes nothing
        events = self._log.since(position)
        if events is None:
            return False
        ids = snapshot.ids
        for number, event in events:
            if isinstance(event, OrganizationMoved):
                if event.organization_id in ids:
                    return False
            elif isinstance(event, AttributeChanged):
                if event.concerns(ids):
                    return False
            elif event.after < ids[-1] <= event.last and event.root_id in ids:
                if isinstance(event, StatesRewritten):
                    return False
                states = self._interned.with_value(states, event.state)
            position = number
        with self._advancing:
            if position > snapshot.position:  # else another thread is further
                snapshot.states = states
                snapshot.position = position
        return True


def reads_committed_data() -> bool:
    """Whether this thread reads exactly what is committed.

    A transaction that has written something does not, since it may be rolled back, nor does one with a fixed snapshot.
    """
    if connection.get_autocommit():
        return True
    with connection.cursor() as cursor:
        cursor.execute(READS_COMMITTED_DATA)
        return bool(cursor.fetchone()[0])
