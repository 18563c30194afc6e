"""The propagation job: it writes to every organization of a subtree what the settings decide, chunk by chunk.

1. A chunk is one short transaction. It takes the tree lock shared, takes the next organizations by id, locks the
   flag in their blocks of ids, reads the settings of the subtree, writes the flag states, updates the job's counts and
   checkpoint, and commits. It writes what the settings decide now, with the highest change number on the path of each
   organization, where the row has a lower number. So it does not matter in which order the jobs of several changes
   run. Where nothing set below counts, as after a change that overwrites, the chunk writes the value of the change,
   under its number.
2. A chunk has about one per cent of the subtree, and at least 10 organizations. Chunks become smaller when one takes
   too long, and larger again when they are fast.
3. If a transient error (deadlock, time-out, lost connection) interrupts a chunk, the chunk is tried again from the
   checkpoint.
4. If any other error stops a chunk, the chunk is halved until each faulty organization is alone in its chunk. The job
   records these organizations as failed and writes all others.
5. Organizations can join the subtree while the job runs. A created organization has a higher id, so the job reaches it
   later. A moved organization gets its values by its move (`flags.states.inheritance`).
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
from flags.states.placed_settings import pieces_of_span
from flags.states.setting_rules import LOCK, DecidedValue, Piece
from flags.states.sql import Span
from flagsite.core.db import transient_errors
from jobs.engine.kinds import DEFAULT_STALL_SECONDS, job_kind
from jobs.engine.run import Run
from jobs.errors import NothingLeftToDo
from orgs.errors import TreeBusy
from orgs.tree.subtrees import Subtree

log = structlog.get_logger(__name__)

KIND = "propagation"
ORGANIZATION_DELETED = "The organization was deleted in the meantime, so nothing is left to do."
MIN_CHUNK_SIZE = 10
"""Organizations."""
MAX_CHUNK_SECONDS = 0.7
"""A longer chunk makes the next one smaller, so that people see progress every second."""
MIN_CHUNK_SECONDS = 0.005
"""If one per cent takes less time than this, a chunk gets three per cent. Progress still looks smooth."""
RETRY_TIMEOUT_SECONDS = 60.0
"""The time for which one chunk is tried again after transient errors."""


@job_kind(KIND, queue="propagation", stall_seconds=DEFAULT_STALL_SECONDS)
def propagate(run: Run) -> None:
    """Write the changes of the job's chain to every organization of the subtree.

    Raises NothingLeftToDo if the organization or the flag is deleted.
    """
    values, uniform = _values(run)
    root_id = run.job.organization_id
    if root_id is None:
        raise NothingLeftToDo(ORGANIZATION_DELETED)
    walk = Walk(run, root_id, values, uniform)
    walk.count()
    log.info("job_found_organizations", organizationId=root_id, descendants=(run.job.total or 1) - 1)
    half_sizes: deque[int] = deque()
    while True:
        run.check()
        size = half_sizes.popleft() if half_sizes else walk.chunk_size
        try:
            if not _retry_transient_errors(run, partial(walk.write_chunk, size)):
                return
        except DatabaseError as error:
            if transient_errors.is_transient(error) and not transient_errors.is_timeout(error):
                raise  # the server failed, and no organization is the cause
            if size > 1:
                half_sizes.extendleft((size - size // 2, size // 2))
            else:
                _retry_transient_errors(run, walk.write_or_skip_one)


def _values(run: Run) -> tuple[list[DecidedValue], frozenset[int]]:
    """Return the values of the job's changes, and the flags whose one value the whole subtree gets."""
    changes = Change.objects.filter(job_id=run.job.root_id).order_by("flag_id", "number")
    values = [
        DecidedValue(
            change.flag_id,
            change.enabled,
            change.source_id,
            change.number,
            locked=change.kind == LOCK,
            variant=change.variant,
        )
        for change in changes
    ]
    if not values:
        raise NothingLeftToDo("The flag was deleted in the meantime, so nothing is left to do.")
    return values, frozenset(change.flag_id for change in changes if change.is_uniform)


@dataclass(frozen=True, slots=True)
class ChunkCounts:
    """Organizations of a span for which the chunk changed nothing.

    `unchanged` of them already had the value, and `superseded` of them had newer values of all flags.
    """

    unchanged: int = 0
    superseded: int = 0


@dataclass(slots=True)
class Walk:
    """The walk through a subtree in the order of organization ids. The position is the checkpoint in the job's row."""

    run: Run
    root_id: int
    values: list[DecidedValue]
    uniform: frozenset[int] = frozenset()
    """Flags whose settings need not be read: the change gives its one value to everybody, unless a row is newer."""
    chunk_size: int = field(default=MIN_CHUNK_SIZE, init=False)
    unreported: int = field(default=0, init=False)
    """Organizations since the last event `job_progress`."""
    unset: set[int] = field(default_factory=set, init=False)
    """Flags of which no organization of the last chunk had a flag state."""

    def count(self) -> None:
        """Count the organizations, and choose the size of the first chunk."""

        def count_once() -> None:
            with transaction.atomic():
                subtree = self._begin()
                total = subtree.size
                if self._behind or self._begins_after:
                    rest = sql.next_span(subtree, after=self._begins_after, most=None, behind=self._behind)
                    total = rest.count if rest else 0
                if self.run.job.checkpoint:  # the job continues after an interruption
                    total = max(total, self.run.job.total or 0)
                self.run.record_progress(total=total)
            self.run.job.total = total
            self.chunk_size = self._share(1)

        _retry_transient_errors(self.run, count_once)

    def write_chunk(self, size: int) -> bool:
        """Write the next `size` organizations, or fewer at the end. Returns False if there are no more."""
        with transaction.atomic():
            subtree = self._begin()
            span = self._next_span(subtree, size)
            if span is None:
                return False
            began = time.monotonic()  # after the waits for locks, which do not depend on the chunk
            self._record(span, processed=span.count, counts=self._write(subtree, span))
        self._advance(span, processed=span.count)
        self._adjust_chunk_size(span.count, time.monotonic() - began)
        return True

    def _adjust_chunk_size(self, count: int, seconds: float) -> None:
        """Choose the size of the next chunk from the time that `count` organizations took."""
        if seconds > MAX_CHUNK_SECONDS:
            self.chunk_size = max(MIN_CHUNK_SIZE, int(count * MAX_CHUNK_SECONDS / seconds))
        elif seconds < MIN_CHUNK_SECONDS:
            self.chunk_size = self._share(3)
        elif seconds < MAX_CHUNK_SECONDS / 4 and self.chunk_size < self._share(1):
            self.chunk_size = min(self.chunk_size * 2, self._share(1))

    def _share(self, per_cent: int) -> int:
        return max(MIN_CHUNK_SIZE, math.ceil((self.run.job.total or 0) * per_cent / 100))

    def write_or_skip_one(self) -> None:
        """Write the next organization. If that fails, record the organization as failed and go on.

        The organization is tried once more here, because the next organization may be another one by now. The one that
        failed may have been deleted, or another one was moved before it, or its commit succeeded and only the answer
        was lost.
        """
        with transaction.atomic():
            subtree = self._begin()
            span = self._next_span(subtree, 1)
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
                done = {"failed": 1}
                log.warning("organization_failed", organizationId=span.last, error=str(error))
            else:
                self._record(span, processed=1, counts=counts)
                done = {"processed": 1}
        self._advance(span, **done)

    @property
    def _begins_after(self) -> int:
        """The id after which the walk begins. The job of an import leaves out all older organizations."""
        return int(self.run.job.arguments.get("after", 0))

    @property
    def _after(self) -> int:
        return int((self.run.job.checkpoint or {}).get("after", self._begins_after))

    @property
    def _behind(self) -> list[DecidedValue] | None:
        """For a job that only writes organizations which an earlier attempt left behind: the values that they lack."""
        return self.values if self.run.job.only_behind else None

    def _begin(self) -> Subtree:
        subtree = sql.begin_chunk(self.root_id)
        if subtree is None:
            raise NothingLeftToDo(ORGANIZATION_DELETED)
        return subtree

    def _next_span(self, subtree: Subtree, size: int) -> Span | None:
        flag_ids = [value.flag_id for value in self.values]
        return sql.next_span(subtree, after=self._after, most=size, behind=self._behind, to_write=flag_ids)

    def _write(self, subtree: Subtree, span: Span) -> ChunkCounts:
        """Write what the settings decide to the organizations of the span; count those for which nothing changed."""
        job_id = self.run.job.pk
        written = []
        pieces = {value.flag_id: [Piece(0, value)] for value in self.values if value.flag_id in self.uniform}
        others = [value.flag_id for value in self.values if value.flag_id not in self.uniform]
        if others:
            pieces |= pieces_of_span(subtree, others, after=span.after, last=span.last)
        for value in self.values:
            likely_new = value.flag_id in self.unset
            done = sql.write_decided(subtree, span, pieces[value.flag_id], job_id=job_id, likely_new=likely_new)
            (self.unset.add if done.new == span.count else self.unset.discard)(value.flag_id)
            written.append(done)
        unchanged = written[0].unchanged if len(written) == 1 else 0
        if self._behind or sum(each.rows for each in written) == span.count * len(self.values):
            return ChunkCounts(unchanged=unchanged)  # organizations that were left behind are never superseded
        return ChunkCounts(unchanged=unchanged, superseded=sql.count_superseded(subtree, span, self.values))

    def _record(self, span: Span, *, processed: int = 0, failed: int = 0, counts: ChunkCounts | None = None) -> None:
        counts = counts or ChunkCounts()
        self.run.record_progress(
            processed=processed, failed=failed, superseded=counts.superseded, unchanged=counts.unchanged,
            checkpoint={"after": span.last},
        )  # fmt: skip

    def _advance(self, span: Span, *, processed: int = 0, failed: int = 0) -> None:
        """Move the position behind the span, and add to the job's counts, as the committed chunk has done."""
        job = self.run.job
        job.checkpoint = {"after": span.last}
        job.processed += processed
        job.failed += failed
        self.unreported += processed + failed
        if self.unreported * 10 >= (job.total or 1):
            counts = {"done": job.processed, "failed": job.failed, "total": job.total}
            log.debug("job_progress", organizationId=self.root_id, **counts)
            self.unreported = 0


Result = TypeVar("Result")


def _retry_transient_errors(run: Run, step: Callable[[], Result]) -> Result:
    """Carry out a step. After a transient error, reload the job on a new connection and carry out the step again.

    The step must start from the job's checkpoint. So if its commit succeeded and only the answer was lost, the next try
    continues after the committed chunk. A wait for the tree lock is not an error: an import may hold the lock for long,
    so the wait goes on until the job is cancelled.
    """
    deadline = time.monotonic() + RETRY_TIMEOUT_SECONDS
    pause = 0.1
    while True:
        try:
            return step()
        except (DatabaseError, InterfaceError) as error:
            if not transient_errors.is_transient(error) or time.monotonic() > deadline:
                raise
            log.warning("chunk_tried_again", error=str(error))
        except TreeBusy:
            deadline, pause = time.monotonic() + RETRY_TIMEOUT_SECONDS, 0.1
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
