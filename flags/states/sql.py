"""The statements that write flag states for a span of organizations: the only place where such rows are made.

Every statement writes its rows in the order of their primary key, touches a row only for a higher change number,
reads who belongs to the subtree under the tree lock that its transaction holds, and writes nothing for a flag that is
being purged (`flags.definitions.purge` relies on it).
"""

from __future__ import annotations

import contextlib
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from django.db import IntegrityError, OperationalError, connection, transaction

from flags.evaluation.engine import StateValue
from flags.serving.cache_events import NOTIFICATION_CHANNEL, CacheEvent, StatesRewritten, StatesWritten, encode
from flags.states.setting_rules import DecidedValue, Piece
from flags.values.variants import is_custom
from flagsite.core.db import transient_errors
from orgs.errors import TreeBusy
from orgs.tree import locks
from orgs.tree.subtrees import TREE_OF_PARAMETERS, Subtree, is_in_subtree, start_of, subtree_columns


@dataclass(frozen=True, slots=True)
class Span:
    """The organizations of a subtree with `after` < id <= `last`; `count` of them."""

    after: int
    last: int
    count: int


# No chunk hangs for ever. One whose worker is frozen or whose host is gone gives up its locks, the job's among them, as
# nobody could rescue it otherwise. Its commit need not wait for the disk: rows, counts and checkpoint are lost together
# if PostgreSQL crashes, the chunk is then written again, and the end of the job waits for all of them. With the planner
# settings rows are found by their primary key, however wrong its statistics are.
BEGIN = """
SET LOCAL statement_timeout = '20s'; SET LOCAL idle_in_transaction_session_timeout = '20s';
SET LOCAL synchronous_commit = off;
SET LOCAL enable_bitmapscan = off; SET LOCAL enable_seqscan = off;
"""
BEGIN_CHUNK = f"""
SET LOCAL lock_timeout = '10s'; {locks.TREE_FOR_READING}; SET LOCAL lock_timeout TO DEFAULT; {BEGIN}
SELECT {subtree_columns("root")} FROM orgs_organization root WHERE root.id = %s
"""  # noqa: S608 - no input in it


def begin_chunk(root_id: int) -> Subtree | None:
    """Make this transaction one that writes many rows: under the tree lock, in key order, in bounded time.

    Returns the subtree as it stands now, None when the organization is gone; all in one round trip, since a small
    chunk's time is that of its round trips.

    Raises TreeBusy when the tree is not to be had in ten seconds: time to see whether the work is still wanted.
    """
    with connection.cursor() as cursor:
        try:
            cursor.execute(BEGIN_CHUNK, [root_id, root_id])
        except OperationalError as error:
            if transient_errors.is_wait_for_lock(error):
                raise TreeBusy from error
            raise
        while cursor.nextset():
            pass
        row = cursor.fetchone()
    return Subtree(*row) if row else None


def begin_deletion() -> None:
    """Make this transaction one that deletes many rows, of any tree: in key order, in bounded time, without a lock."""
    with connection.cursor() as cursor:
        cursor.execute(BEGIN)


# Two chunks that both find some rows to update and some to insert would take those in different orders, and stop each
# other for ever. So only one chunk at a time writes a flag in a block of 65,536 ids of a tree. Flags share 64 locks and
# blocks eight, so that PostgreSQL has room for them however many flags a chunk writes and how far its ids lie apart.
LOCK_BLOCKS = f"""
SELECT last, count, (
       SELECT count(pg_advisory_xact_lock(hashtextextended(
                  'flags ' || share || ' in tree ' || {TREE_OF_PARAMETERS} || ' block ' || block, 0)))
         FROM (SELECT DISTINCT flag_id %% 64 AS share, block %% 8 AS block
                 FROM unnest(%(flags)s::bigint[]) AS flag_id,
                      generate_series(first >> 16, LEAST(last >> 16, (first >> 16) + 7)) AS block
                ORDER BY 1, 2) keys)
  FROM (SELECT min(id) AS first, max(id) AS last, count(*) AS count FROM ({{members}}) members) bounds
"""  # noqa: S608 - no input in it
NEXT_MEMBERS = f"""  -- walks the primary key, or the subtree's index where that is shorter
    SELECT id FROM orgs_organization
     WHERE id > %(after)s AND {is_in_subtree()}
     ORDER BY id LIMIT %(most)s
"""  # noqa: S608 - no input in it
NEXT_MEMBERS_BEHIND = f"""  -- those that have not got every value yet
    SELECT organization.id FROM orgs_organization organization
     WHERE organization.id > %(after)s
       AND {is_in_subtree("organization")}
       AND (SELECT count(*)
              FROM flags_flagstate state
              JOIN unnest(%(flag_ids)s::bigint[], %(numbers)s::bigint[]) AS value(flag_id, number) USING (flag_id)
             WHERE state.organization_id = organization.id AND state.change_number >= value.number) < %(values)s
     ORDER BY organization.id LIMIT %(most)s
"""  # noqa: S608 - no input in it
NEXT_SPAN = LOCK_BLOCKS.replace("{members}", NEXT_MEMBERS)
NEXT_SPAN_BEHIND = LOCK_BLOCKS.replace("{members}", NEXT_MEMBERS_BEHIND)


def next_span(
    subtree: Subtree,
    *,
    after: int,
    most: int | None,
    behind: Sequence[DecidedValue] | None = None,
    to_write: Sequence[int] = (),
) -> Span | None:
    """The next `most` organizations by id, or None when there are no more; `most` None: all the rest.

    With `behind` only those count that lack one of these values or have an older one. `to_write` are the flags that the
    caller writes for these organizations: until its transaction ends, no other chunk writes them there.
    """
    parameters: dict[str, Any] = {"after": after, "most": most, "flags": list(to_write), **subtree.parameters()}
    if behind is not None:
        parameters |= {
            "flag_ids": [value.flag_id for value in behind],
            "numbers": [value.number for value in behind],
            "values": len(behind),
        }
    with connection.cursor() as cursor:
        cursor.execute(NEXT_SPAN if behind is None else NEXT_SPAN_BEHIND, parameters)
        last, count, _ = cursor.fetchone()
    return Span(after, last, count) if count else None


# As an array that is computed once, the members leave the planner no join to get wrong while its statistics are old;
# the primary key is walked along it, which is thus the order in which rows are locked.
MEMBERS = f"""ARRAY(
    SELECT id FROM orgs_organization
     WHERE id > %(after)s AND id <= %(last)s AND {is_in_subtree()}
     ORDER BY id)"""  # noqa: S608 - no input in it
NOT_PURGED = "EXISTS (SELECT FROM flags_flag WHERE id = %(flag_id)s AND NOT purging)"
# The value is told only if every organization of the span has got it. Otherwise some have newer rows, perhaps without a
# value, of which a process may not know the number.
TELL = f"""
       (SELECT pg_notify('{NOTIFICATION_CHANNEL}',
                         CASE rows WHEN %(count)s THEN %(notification)s ELSE %(rewritten)s END)
         WHERE rows > 0)"""
UPDATE_SPAN = f"""
WITH written AS (
    UPDATE flags_flagstate state
       SET enabled = %(enabled)s, source_id = %(source_id)s, change_number = %(number)s, job_id = %(job_id)s,
           locked = %(locked)s, variant = %(variant)s, updated_at = statement_timestamp()
     WHERE state.organization_id = ANY({MEMBERS})
       AND state.flag_id = %(flag_id)s AND state.change_number < %(number)s AND {NOT_PURGED}
    RETURNING {{had_it}} AS had_it)
SELECT rows, same, {TELL} FROM (
    SELECT count(*) AS rows, count(*) FILTER (WHERE had_it) AS same FROM written) counted
"""  # noqa: S608 - no input in it
HAD_IT = "(old.enabled, old.variant) IS NOT DISTINCT FROM (state.enabled, state.variant)"
KNOWS_OLD_ROWS = 180_000
"""The version of PostgreSQL that can tell what an updated row was before."""
# No two insert rows of one flag in one block at once (`next_span`), so by its order this statement keeps nobody from a
# deadlock; as every other that writes many rows it has it all the same, and the rows lie as they are read.
INSERT_SPAN = f"""
WITH written AS (
    INSERT INTO flags_flagstate
           (organization_id, flag_id, enabled, source_id, change_number, job_id, locked, variant, updated_at)
    SELECT id, %(flag_id)s, %(enabled)s::boolean, %(source_id)s::bigint, %(number)s, %(job_id)s, %(locked)s,
           %(variant)s, statement_timestamp()
      FROM orgs_organization
     WHERE id > %(after)s AND id <= %(last)s AND {is_in_subtree()}
       AND {NOT_PURGED}
     ORDER BY id
        {{conflict}}
    RETURNING FALSE)
SELECT rows, 0, {TELL} FROM (SELECT count(*) AS rows FROM written) counted
"""  # noqa: S608 - no input in it
# The pieces of the subtree are parallel arrays without NULL, so that PostgreSQL finds an element without walking there;
# source 0 stands for no value. The joins go along the members, in the order of the primary key.
PIECE_OF = f"width_bucket({start_of('organization')}, %(starts)s::bigint[])"
OTHERS = f"""
SELECT ARRAY(SELECT id FROM orgs_organization organization
              WHERE id > %(after)s AND id <= %(last)s AND {is_in_subtree("organization")}
                AND NOT (%(usual)s::boolean[])[{PIECE_OF}] ORDER BY id)
"""  # noqa: S608 - no input in it
MEMBERS_WITH_PIECES = f"""
member AS MATERIALIZED (
    SELECT id, (%(sources)s::bigint[])[piece] AS source_id, (%(numbers)s::bigint[])[piece] AS number,
           (%(values)s::boolean[])[piece] AS enabled, (%(locks)s::boolean[])[piece] AS locked,
           (%(variants)s::integer[])[piece] AS variant
      FROM (SELECT id, {PIECE_OF} AS piece FROM orgs_organization organization
             WHERE id = ANY(%(others)s::bigint[]) AND {NOT_PURGED} ORDER BY id) placed)"""  # noqa: S608 - no input in it
ALONG_MEMBERS = "SET LOCAL enable_hashjoin = off; SET LOCAL enable_mergejoin = off;"
HOWEVER = "SET LOCAL enable_hashjoin TO DEFAULT; SET LOCAL enable_mergejoin TO DEFAULT;"
UPDATE_PIECES = f"""
{ALONG_MEMBERS}
WITH {MEMBERS_WITH_PIECES},
written AS (
    UPDATE flags_flagstate state
       SET enabled = CASE WHEN member.source_id > 0 THEN member.enabled END, source_id = NULLIF(member.source_id, 0),
           change_number = member.number, job_id = %(job_id)s, locked = member.locked, variant = member.variant,
           updated_at = statement_timestamp()
      FROM member
     WHERE state.organization_id = member.id AND state.flag_id = %(flag_id)s AND state.change_number < member.number
    RETURNING {{had_it}} AS had_it)
SELECT rows, same, {TELL} FROM (
    SELECT count(*) AS rows, count(*) FILTER (WHERE had_it) AS same FROM written) counted;
{HOWEVER}
"""  # noqa: S608 - no input in it
INSERT_PIECES = f"""
{ALONG_MEMBERS}
WITH {MEMBERS_WITH_PIECES},
written AS (
    INSERT INTO flags_flagstate
           (organization_id, flag_id, enabled, source_id, change_number, job_id, locked, variant, updated_at)
    SELECT id, %(flag_id)s, CASE WHEN source_id > 0 THEN enabled END, NULLIF(source_id, 0), number, %(job_id)s, locked,
           variant, statement_timestamp()
      FROM member WHERE number > 0
     ORDER BY id
        ON CONFLICT (organization_id, flag_id) DO NOTHING
    RETURNING FALSE)
SELECT rows, 0, {TELL} FROM (SELECT count(*) AS rows FROM written) counted;
{HOWEVER}
"""  # noqa: S608 - no input in it
INSERT_MISSING = INSERT_SPAN.replace("{conflict}", "ON CONFLICT (organization_id, flag_id) DO NOTHING")
INSERT_NEW = INSERT_SPAN.replace("{conflict}", "")
BUT_OTHERS = NOT_PURGED + " AND {} <> ALL(%(others)s::bigint[])"
UPDATE_USUAL = UPDATE_SPAN.replace(NOT_PURGED, BUT_OTHERS.format("state.organization_id"))
INSERT_USUAL = INSERT_MISSING.replace(NOT_PURGED, BUT_OTHERS.format("id"))


@dataclass(frozen=True, slots=True)
class Written:
    """How many rows were written, how many of them had the same value before, and how many are new."""

    rows: int
    unchanged: int
    new: int


def write_decided(
    subtree: Subtree, span: Span, pieces: Sequence[Piece], *, job_id: int | None, likely_new: bool = False
) -> Written:
    """Give every organization of the span the value that the settings decide, where its row is missing or older.

    `pieces` are those of one flag (`flags.states.placed_settings`), read after the locks. The caller's transaction
    holds the tree lock; one that writes many rows has found the span by `next_span`. The value that most pieces have is
    written by one simple statement. Where rows are `likely_new` all are inserted as if none could be there, which
    PostgreSQL does in three quarters of the time. Which rows had the value before is known from PostgreSQL 18 on; to
    older ones all have changed.
    """
    values = [piece.value for piece in pieces]
    value = values[0]
    if not any(each.number for each in values):
        return Written(0, 0, 0)  # nobody has ever set the flag here
    parameters: dict[str, Any] = {
        "flag_id": value.flag_id, "job_id": job_id, "after": span.after, "last": span.last, "count": span.count,
        "notification": _notification(subtree, span, values),
        "rewritten": encode(StatesRewritten(subtree.organization_id, span.after, span.last, value.flag_id)),
        **subtree.parameters(),
    }  # fmt: skip
    usual, _ = Counter(values).most_common(1)[0]
    parameters |= {
        "enabled": usual.enabled, "source_id": usual.source_id, "number": usual.number, "locked": usual.locked,
        "variant": usual.variant,
    }  # fmt: skip
    if len(pieces) > 1:
        parameters |= {
            "starts": [piece.start for piece in pieces], "usual": [each == usual for each in values],
            "sources": [each.source_id or 0 for each in values], "numbers": [each.number for each in values],
            "values": [bool(each.enabled) for each in values], "locks": [each.locked for each in values],
            "variants": [each.variant for each in values],
        }  # fmt: skip
        return _write_pieces(parameters, span, has_usual=usual.number > 0)
    if likely_new:
        with contextlib.suppress(IntegrityError), transaction.atomic(), connection.cursor() as cursor:
            cursor.execute(INSERT_NEW, parameters)
            new, _, _ = cursor.fetchone()
            return Written(new, 0, new)
    return _write(UPDATE_SPAN, INSERT_MISSING, parameters, span.count)


def _write_pieces(parameters: dict[str, Any], span: Span, *, has_usual: bool) -> Written:
    """Write the value of most pieces by the simple statement, and beside it the values of the other organizations."""
    with connection.cursor() as cursor:
        cursor.execute(OTHERS, parameters)
        (others,) = cursor.fetchone()
    parameters["others"] = others
    one = _write(UPDATE_PIECES, INSERT_PIECES, parameters, len(others)) if others else Written(0, 0, 0)
    if not has_usual or len(others) == span.count:
        return one
    two = _write(UPDATE_USUAL, INSERT_USUAL, parameters, span.count - len(others))
    return Written(one.rows + two.rows, one.unchanged + two.unchanged, one.new + two.new)


def _write(update: str, insert: str, parameters: dict[str, Any], most: int) -> Written:
    """Update rows, and insert those that are missing."""
    rows = unchanged = new = 0
    update = update.replace("{had_it}", _had_it())
    with connection.cursor() as cursor:
        # The last one sees an older row that another job has inserted since the first.
        for statement in (update, insert, update):
            cursor.execute(statement, parameters)
            while cursor.description is None and cursor.nextset():
                pass
            count, same, _ = cursor.fetchone()
            rows, unchanged = rows + count, unchanged + same
            if statement is insert:
                new += count
            if rows >= most:
                break
    return Written(rows, unchanged, new)


COUNT_SUPERSEDED = f"""
SELECT count(*) FROM (
    SELECT state.organization_id
      FROM flags_flagstate state
      JOIN unnest(%(flag_ids)s::bigint[], %(numbers)s::bigint[]) AS value(flag_id, number) USING (flag_id)
     WHERE state.organization_id = ANY({MEMBERS}) AND state.change_number > value.number
     GROUP BY state.organization_id HAVING count(*) = %(values)s) superseded
"""  # noqa: S608 - no input in it


def count_superseded(subtree: Subtree, span: Span, values: Sequence[DecidedValue]) -> int:
    """How many organizations of the span have a newer value for every one of these flags."""
    with connection.cursor() as cursor:
        cursor.execute(
            COUNT_SUPERSEDED,
            {
                "flag_ids": [value.flag_id for value in values], "numbers": [value.number for value in values],
                "values": len(values), "after": span.after, "last": span.last, **subtree.parameters(),
            },
        )  # fmt: skip
        return int(cursor.fetchone()[0])


def _notification(subtree: Subtree, span: Span, values: Sequence[DecidedValue]) -> str:
    """The change notification of the chunk: which organizations may have got which value, or others than before."""
    value = values[0]
    place = subtree.organization_id, span.after, span.last
    one = StateValue(value.flag_id, bool(value.enabled), value.source_id or 0, value.number, variant=value.variant)
    if len(values) > 1 or value.locked or not value.source_id or is_custom(value.variant):
        return encode(StatesRewritten(*place, value.flag_id))
    return encode(StatesWritten(*place, one))


def notify(event: CacheEvent) -> None:
    """Send a change notification with the commit of the caller's transaction."""
    with connection.cursor() as cursor:
        cursor.execute("SELECT pg_notify(%s, %s)", [NOTIFICATION_CHANNEL, encode(event)])


def next_number() -> int:
    """Draw the number of an accepted change; the caller holds the tree lock, shared at least."""
    with connection.cursor() as cursor:
        cursor.execute("SELECT nextval('flags_change_number')")
        return int(cursor.fetchone()[0])


def _had_it() -> str:
    server: Any = connection.connection
    return HAD_IT if server.info.server_version >= KNOWS_OLD_ROWS else "FALSE"
