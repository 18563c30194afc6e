"""Carrying changes to every organization below: the job that writes each descendant's own row, chunk by chunk.

1. A chunk is one short transaction: take the tree lock shared, read the subtree's extent, take the next
   organizations by id, write their rows, add to the job's counts and checkpoint, commit.
2. Chunks are about one per cent of the subtree, at least 10 organizations; they shrink when one takes too long, and
   grow back when they are quick again.
3. A chunk that meets a passing error (deadlock, time-out, lost connection) is tried again from the checkpoint.
4. A chunk that meets any other error is halved until the organizations at fault stand alone; those are recorded,
   the others go through.
5. Organizations come into the subtree while the job runs: created ones have higher ids and are reached; one that
   is moved in takes the values that its move has brought along (`flags.states.inheritance`).
"""

from __future__ import annotations

import math
import time
from collections import deque
from collections.abc import Callable
from dataclasses import dataclass, field
from functools import partial
from typing import TypeVar

import structlog
from django.db import DatabaseError, InterfaceError, transaction

from flags.states import sql
from flags.states.models import Change
from flags.states.sql import Span, Value
from flagsite.core.db import transient_errors
from jobs.engine.kinds import job_kind
from jobs.engine.run import Run
from jobs.errors import PermanentFailure
from orgs.errors import TreeBusy
from orgs.tree.subtrees import Subtree

log = structlog.get_logger(__name__)

KIND = "propagation"
SMALLEST_CHUNK = 10
LONGEST_CHUNK = 0.7
"""Seconds; progress is to move each second."""
SHORTEST_CHUNK = 0.005
"""Seconds; where one per cent takes less, three at a time are still far more steps than anyone can see."""
PATIENCE = 60.0
"""Seconds for which one chunk is tried again after passing errors."""


@job_kind(KIND, queue="propagation")
def propagate(run: Run) -> None:
    """Write the changes that belong to the job's chain to the whole subtree. Raises PermanentFailure."""
    values = _values(run)
    root_id = run.job.organization_id
    if root_id is None:
        raise PermanentFailure("The organization no longer exists.")
    walk = Walk(run, root_id, values)
    walk.count()
    log.info("job_found_organizations", organizationId=root_id, descendants=(run.job.total or 1) - 1)
    pieces: deque[int] = deque()
    while True:
        run.check()
        size = pieces.popleft() if pieces else walk.chunk_size
        try:
            if not _with_patience(run, partial(walk.write_chunk, size)):
                return
        except DatabaseError as error:
            if transient_errors.is_transient(error) and not transient_errors.is_timeout(error):
                raise  # the server's trouble, of which no organization is guilty
            if size > 1:
                pieces.extendleft((size - size // 2, size // 2))
            else:
                _with_patience(run, walk.write_or_skip_one)


def _values(run: Run) -> list[Value]:
    changes = Change.objects.filter(job_id=run.job.root_id).order_by("flag_id", "number")
    values = [Value(change.flag_id, change.enabled, change.source_id, change.number) for change in changes]
    if not values:
        raise PermanentFailure("The flag no longer exists.")
    return values


@dataclass(frozen=True, slots=True)
class ChunkCounts:
    """Of the organizations of a span: how many had newer values throughout, and how many had this value before."""

    unchanged: int = 0
    superseded: int = 0


@dataclass(slots=True)
class Walk:
    """The way through a subtree by organization id; where it stands is in the job's row, not here."""

    run: Run
    root_id: int
    values: list[Value]
    chunk_size: int = field(default=SMALLEST_CHUNK, init=False)
    reported: int = field(default=0, init=False)
    unset: set[int] = field(default_factory=set, init=False)
    """Flags of which none of the last chunk's organizations had a row."""

    def count(self) -> None:
        """Find how many organizations there are, and how big a chunk that makes."""

        def count_once() -> None:
            with transaction.atomic():
                subtree = self._begin()
                total = subtree.size
                if self._behind or self._begins_after:
                    rest = sql.next_span(subtree, after=self._begins_after, most=None, behind=self._behind)
                    total = rest.count if rest else 0
                if self.run.job.checkpoint:  # going on after an interruption
                    total = max(total, self.run.job.total or 0)
                self.run.record_progress(total=total)
            self.run.job.total = total
            self.chunk_size = self._share(1)

        _with_patience(self.run, count_once)

    def write_chunk(self, most: int) -> bool:
        """Write the next organizations, at most `most`; False when there are no more."""
        with transaction.atomic():
            subtree = self._begin()
            began = time.monotonic()  # the wait for the tree says nothing about the chunk
            span = sql.next_span(subtree, after=self._after, most=most, behind=self._behind)
            if span is None:
                return False
            self._record(span, processed=span.count, counts=self._write(subtree, span))
        self._advance(span)
        self._fit(span.count, time.monotonic() - began)
        return True

    def _fit(self, count: int, seconds: float) -> None:
        """Choose the next chunk's size by how long `count` organizations took."""
        if seconds > LONGEST_CHUNK:
            self.chunk_size = max(SMALLEST_CHUNK, int(count * LONGEST_CHUNK / seconds))
        elif seconds < SHORTEST_CHUNK:
            self.chunk_size = self._share(3)
        elif seconds < LONGEST_CHUNK / 4 and self.chunk_size < self._share(1):
            self.chunk_size = min(self.chunk_size * 2, self._share(1))

    def _share(self, per_cent: int) -> int:
        return max(SMALLEST_CHUNK, math.ceil((self.run.job.total or 0) * per_cent / 100))

    def write_or_skip_one(self) -> None:
        """Write the next organization; when that fails record it, and pass it.

        It is tried once more here, since after the failure another may have become the next: the one that failed was
        deleted, one was moved in before it, or only the answer to the commit that passed it was lost.
        """
        with transaction.atomic():
            subtree = self._begin()
            span = sql.next_span(subtree, after=self._after, most=1, behind=self._behind)
            if span is None:
                return
            try:
                with transaction.atomic():
                    counts = self._write(subtree, span)
            except DatabaseError as error:
                if transient_errors.is_transient(error) and not transient_errors.is_timeout(error):
                    raise
                self.run.record_failure(span.last, str(error).strip().partition("\n")[0])
                self._record(span, failed=1)
                log.warning("organization_failed", organizationId=span.last, error=str(error))
            else:
                self._record(span, processed=1, counts=counts)
        self._advance(span)

    @property
    def _begins_after(self) -> int:
        """Organizations up to this id are none of its business: it is for those that an import has just created."""
        return int(self.run.job.arguments.get("after", 0))

    @property
    def _after(self) -> int:
        return int((self.run.job.checkpoint or {}).get("after", self._begins_after))

    @property
    def _behind(self) -> list[Value] | None:
        """The values by which those that an earlier attempt left behind are told, where only they count."""
        return self.values if self.run.job.only_behind else None

    def _begin(self) -> Subtree:
        subtree = sql.begin_chunk(self.root_id, [value.flag_id for value in self.values])
        if subtree is None:
            raise PermanentFailure("The organization no longer exists.")
        return subtree

    def _write(self, subtree: Subtree, span: Span) -> ChunkCounts:
        """Write every value; tell those organizations apart for which that changed nothing."""
        job_id = self.run.job.pk
        written = []
        for value in self.values:
            likely_new = value.flag_id in self.unset
            done = sql.write_span(subtree, span, value, job_id=job_id, likely_new=likely_new)
            (self.unset.add if done.new == span.count else self.unset.discard)(value.flag_id)
            written.append(done)
        unchanged = written[0].unchanged if len(written) == 1 else 0
        if self._behind or sum(each.rows for each in written) == span.count * len(self.values):
            return ChunkCounts(unchanged=unchanged)  # those left behind have no newer values throughout
        return ChunkCounts(unchanged=unchanged, superseded=sql.count_superseded(subtree, span, self.values))

    def _record(self, span: Span, *, processed: int = 0, failed: int = 0, counts: ChunkCounts | None = None) -> None:
        counts = counts or ChunkCounts()
        self.run.record_progress(
            processed=processed, failed=failed, superseded=counts.superseded, unchanged=counts.unchanged,
            checkpoint={"after": span.last},
        )  # fmt: skip

    def _advance(self, span: Span) -> None:
        job = self.run.job
        job.checkpoint = {"after": span.last}
        self.reported += span.count
        if self.reported * 10 >= (job.total or 1):
            log.info("job_progress", organizationId=self.root_id, written=self.reported, total=job.total)
            self.reported = 0


Result = TypeVar("Result")


def _with_patience(run: Run, step: Callable[[], Result]) -> Result:
    """Do a step; after a passing error read the job again on a fresh connection and do the step anew.

    The step must start from the job's checkpoint: when only the answer to its commit was lost, it goes on after it.
    One who waits for the tree, which an import may hold for long, has no trouble and waits on while the job is wanted.
    """
    deadline = time.monotonic() + PATIENCE
    pause = 0.1
    while True:
        try:
            return step()
        except (DatabaseError, InterfaceError) as error:
            if not transient_errors.is_transient(error) or time.monotonic() > deadline:
                raise
            log.warning("chunk_tried_again", error=str(error))
        except TreeBusy:
            deadline, pause = time.monotonic() + PATIENCE, 0.1
        while True:
            try:
                transient_errors.reconnect()
                time.sleep(pause)
                pause = min(pause * 2, 5.0)
                run.check()
                run.reload()
                break
            except (DatabaseError, InterfaceError):
                if time.monotonic() > deadline:
                    raise
