"""The tree locks: in each tree one transaction at a time changes the tree, or any number of transactions rely on it.

Each tree has a lock of its own. A change of a tree takes the locks of all trees that it changes exclusively, by one
call. Every chunk of a propagation and every accepted flag change takes the lock of its tree shared. This is always the
first statement of the transaction, so that later reads stay true until the commit. Above the locks of the trees is the
lock of all trees, which all of these transactions take shared. A repair takes it exclusively. `docs/locking.md` has the
order of all locks.

Workers and commands wait without a limit. A request waits until REQUEST_SECONDS after it came in, so that its client
hears within a second that it has to send the request again.
"""

from __future__ import annotations

import itertools
import math
import time
from collections.abc import Callable, Iterable

from django.db import OperationalError, connection, transaction

from flagsite.core import actor
from flagsite.core.db.transient_errors import is_wait_for_lock
from orgs.errors import OutsideTransaction, TreeBusy
from orgs.tree.references import Reference

TREE_LOCK = 7_260_142
"""The key of the PostgreSQL advisory lock of all trees, and the first key of the lock of each tree, whose second key is
the tree_id. The functions of migration 0020 use the same number."""
ALL_TREES_FOR_WRITING = (
    f"SELECT pg_advisory_xact_lock({TREE_LOCK}), set_config('flagsite.locked_trees', '{{(,)}}', TRUE)"
)
TREE_FOR_READING = "SELECT orgs_lock_trees(ARRAY[%s::bigint])"
"""The statements, for code that sends other statements in the same round trip. Other code calls the functions."""
REQUEST_SECONDS = 0.9
"""A request waits for the tree lock until so long after it came in. The wait for a thread counts too."""
SHORTEST_WAIT_SECONDS = 0.2
"""A request that has waited long for a thread waits so long for the tree lock nevertheless."""
FIRST_TRY_SECONDS, LONGEST_TRY_SECONDS = 0.1, 5.0
"""Everybody else waits behind a transaction that waits for the lock of all trees. So it waits in short tries. They
grow, so that it gets the lock at last although there are long chunks all the time."""
NO_LIMIT = 0.0
PAUSES_PER_TRY = 2
"""The pause after such a try is so many times as long as the try."""

Named = int | Reference | None
"""An organization as the callers name it. None, and what names no organization, has no tree to lock."""


def are_locked_for_writing(tree_ids: Iterable[int]) -> bool:
    """Return whether the transaction has locked all these trees exclusively."""
    with connection.cursor() as cursor:
        cursor.execute(
            "SELECT NOT EXISTS (SELECT FROM unnest(%s::int[]) tree WHERE NOT orgs_locked_trees() @> tree)",
            [[*tree_ids]],
        )
        return bool(cursor.fetchone()[0])


CHECK_SECONDS = 10.0
"""Who waits without a limit, but gives a function `check`, calls it after so many seconds, and waits on."""


def lock_trees_for_writing(*organizations: Named, check: Callable[[], object] | None = None) -> None:
    """Take the locks of the trees of these organizations exclusively until the end of the transaction.

    Name all organizations whose trees the transaction will change in one call, so that nobody waits in a circle. For a
    new tree, name nothing. If there are many trees, the function takes the lock of all trees. A worker or a command can
    give `check`, which is called again and again while it waits, and can raise. Raises OutsideTransaction without a
    transaction, and TreeBusy if a request has waited too long.
    """
    if check is None:
        locked = _lock(organizations, _seconds_to_wait(), exclusive=True)
    else:
        locked = _lock_and_check(organizations, check)
    if locked is None:
        lock_all_trees_for_writing(check or (lambda: None))


def lock_trees_for_reading(*organizations: Named) -> frozenset[int]:
    """Take the locks of the trees of these organizations shared, so that no other transaction changes these trees.

    Returns the tree_id of each locked tree. An organization that did not exist yet has no lock.

    Raises OutsideTransaction without a transaction, and TreeBusy if a request has waited too long.
    """
    return frozenset(_lock(organizations, _seconds_to_wait(), exclusive=False) or ())


def lock_all_trees_for_writing(check: Callable[[], object] = lambda: None) -> None:
    """Take the lock of all trees exclusively until the end of the transaction, with short tries.

    After each try without success, `check` is called; it can raise. A transaction that has the lock shared already
    waits in one try instead: so PostgreSQL finds a deadlock with another one that does the same. Raises
    OutsideTransaction without a transaction, and TreeBusy if a request has waited too long.
    """
    _require_transaction()
    seconds = _seconds_to_wait()
    deadline = None if seconds is None else time.monotonic() + seconds
    longest = FIRST_TRY_SECONDS if deadline is not None or not _holds_shared() else NO_LIMIT
    while True:
        left = None if deadline is None else max(0.001, deadline - time.monotonic())
        if _takes_all_within(longest if left is None else min(longest, left)):
            return
        if deadline is not None and time.monotonic() >= deadline:
            raise TreeBusy
        check()
        pause = longest * PAUSES_PER_TRY
        time.sleep(pause if deadline is None else max(0.0, min(pause, deadline - time.monotonic() - longest)))
        longest = min(longest * 1.5, LONGEST_TRY_SECONDS)


def new_trees(amount: int) -> Iterable[int]:
    """Draw numbers for new trees. The transaction may change these trees: nobody else knows them before the commit.

    Raises OutsideTransaction without a transaction.
    """
    _require_transaction()
    with connection.cursor() as cursor:
        cursor.execute("SELECT lower(drawn), upper(drawn) FROM unnest(orgs_new_trees(%s)) drawn", [amount])
        return itertools.chain.from_iterable(range(first, end) for first, end in cursor.fetchall())


HOLDERS = f"""
SELECT virtualtransaction FROM pg_locks
 WHERE locktype = 'advisory' AND granted AND classid = 0 AND objid = {TREE_LOCK} AND objsubid = 1
   AND pid <> pg_backend_pid() AND database = (SELECT oid FROM pg_database WHERE datname = current_database())
"""  # noqa: S608 - no input in it
OWN_SHARED_LOCK = f"""
SELECT count(*) > 0 AND NOT bool_or(mode = 'ExclusiveLock') FROM pg_locks
 WHERE locktype = 'advisory' AND granted AND classid = 0 AND objid = {TREE_LOCK} AND objsubid = 1
   AND pid = pg_backend_pid()
"""  # noqa: S608 - no input in it
LONGEST_PAUSE_SECONDS = 0.5


def wait_for_present_holders(check: Callable[[], object]) -> None:
    """Return when every transaction that holds a tree lock now has ended. Nobody waits behind this function.

    `check` is called again and again; it can raise.
    """
    pause, present = 0.005, _holders()
    while present:
        check()
        time.sleep(pause)
        pause = min(2 * pause, LONGEST_PAUSE_SECONDS)
        present &= _holders()


def _lock_and_check(organizations: Iterable[Named], check: Callable[[], object]) -> list[int] | None:
    """Take the locks exclusively like `_lock`, and call `check` every CHECK_SECONDS of waiting."""
    while True:
        try:
            with transaction.atomic():
                return _lock(organizations, CHECK_SECONDS, exclusive=True)
        except TreeBusy:
            check()


def _lock(organizations: Iterable[Named], seconds: float | None, *, exclusive: bool) -> list[int] | None:
    """Take the locks, and return the locked trees; None if these would be too many, and then none is locked.

    Raises TreeBusy if they are not free within the seconds; None means no limit.
    """
    _require_transaction()
    names = [name for name in organizations if name is not None]
    ids = [name if isinstance(name, int) else name.id for name in names]
    keys = [name.key for name in names if isinstance(name, Reference) and name.key is not None]
    with connection.cursor() as cursor:
        try:
            cursor.execute(
                "SELECT orgs_lock_trees(%s::bigint[], %s::text[], %s, %s)",
                [[one for one in ids if one is not None], keys, exclusive, seconds and int(seconds * 1000)],
            )
        except OperationalError as error:
            if seconds is None or not is_wait_for_lock(error):
                raise
            raise TreeBusy from error
        locked: list[int] | None = cursor.fetchone()[0]
    return locked


def _takes_all_within(seconds: float) -> bool:
    """Take the lock of all trees. Returns False if it is not free in this time; NO_LIMIT waits as long as necessary."""
    try:
        with transaction.atomic(), connection.cursor() as cursor:
            cursor.execute(
                f"SET LOCAL lock_timeout = {math.ceil(seconds * 1000)}; {ALL_TREES_FOR_WRITING};"
                " SET LOCAL lock_timeout TO DEFAULT"
            )
    except OperationalError as error:
        if not is_wait_for_lock(error):
            raise
        return False
    return True


def _seconds_to_wait() -> float | None:
    """Return how long a request may wait; None for workers and commands, which wait without a limit."""
    if not actor.current().is_request:
        return None
    waited = time.monotonic() - actor.current().came_at
    return max(SHORTEST_WAIT_SECONDS, REQUEST_SECONDS - waited)


def _holds_shared() -> bool:
    with connection.cursor() as cursor:
        cursor.execute(OWN_SHARED_LOCK)
        return cursor.fetchone() == (True,)


def _holders() -> set[str]:
    with connection.cursor() as cursor:
        cursor.execute(HOLDERS)
        return {row[0] for row in cursor.fetchall()}


def _require_transaction() -> None:
    if not connection.in_atomic_block:
        raise OutsideTransaction
