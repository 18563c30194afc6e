"""The import of organizations from a file, in one transaction: a file with a problem changes nothing.

1. Copy the rows into a staging table.
2. Find the organizations by key: unchanged, renamed, moved or new.
3. Read the trees that change, together with the new organizations, as arrays of numbers. Compute their nested set.
4. Refuse the file if a line has a problem, or if an organization would move to another tree without permission.
5. Lock the trees that change, and the rows of the organizations that get another name. Make sure that the
   organizations of the file and these trees are as steps 2 and 3 saw them. If not, let go of the locks and begin again
   with step 2.
6. Write the new names. Write the new organizations depth-first, with ids higher than all others, so that a subtree has
   consecutive ids. Then write the new parents and the changed columns of the nested set. Organizations that are there
   keep their numbers, as long as there is room beside them.
7. Send the placements to the receivers of `organizations_placed`, and record each change in the audit log.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, BinaryIO

import structlog
from django.db import IntegrityError, OperationalError, transaction
from psycopg.errors import DeadlockDetected, UniqueViolation

from orgs.errors import ImportRefused, OrganizationNotFound
from orgs.importing import audit_entries, organization_rows, placement, staged_attributes, staging, value_effects
from orgs.importing.likely_cause import likely_cause
from orgs.importing.options import ImportOptions
from orgs.importing.refusals import Refusals
from orgs.importing.staging import ImportReport
from orgs.tree import locks, nested_set
from orgs.tree.models import Organization
from orgs.tree.signals import organizations_placed
from orgs.tree.subtrees import Subtree, load_subtree

log = structlog.get_logger(__name__)
Progress = Callable[[str, int, int | None], None]
"""A function that shows progress: it gets the step, the amount that is done, and the total if it is known."""
READING, COMPARING, COMPUTING, WRITING, TAKING_OVER = "reading", "comparing", "computing", "writing", "taking over"
"""The steps, in their order. Reading counts bytes, and writing counts organizations. In the last step, organizations
take over flag states."""
ANALYZE_THRESHOLD = 1_000
"""From this number of changed organizations on, the import updates PostgreSQL's statistics."""
MAX_LISTED = 100
"""The number of changes that a report lists."""
ATTEMPTS_WITHOUT_LOCKS = 3
"""So often an import compares and computes without a lock. If others always change what it relies on, the next attempt
locks the same trees from its beginning, and the last one all trees."""

TAKEN_BY_OTHERS = (UniqueViolation, DeadlockDetected)
"""What PostgreSQL raises if others take a key of the file in a tree that the attempt has not locked. Two imports of the
same keys in different trees can wait for each other, until PostgreSQL ends one attempt with DeadlockDetected."""


class _Outdated(Exception):
    """Others have changed what an attempt relied on. It would have changed the trees of these organizations."""

    def __init__(self, trees: placement.ChangedTrees | None) -> None:
        super().__init__()
        self.members = tuple(trees.members.values()) if trees else ()


def import_organizations(
    file: BinaryIO,
    *,
    options: ImportOptions | None = None,
    progress: Progress | None = None,
    dry_run: bool = False,
    on_changes: Callable[[], object] | None = None,
    on_wait: Callable[[], object] = lambda: None,
    on_locked: Callable[[], object] = lambda: None,
) -> ImportReport:
    """Create, rename and move organizations until they are as the file says; leave all other organizations unchanged.

    A created organization inherits the flag states of its parent. A moved one carries its own settings along.
    Returns a report of the changes. A dry run changes nothing.

    `on_changes` is called when all changes are known and none is written; it can read them with `staging.all_changes`.
    It is called again if others have changed the trees meanwhile. `on_wait` is called again and again while the import
    waits for the locks of trees, and `on_locked` when it has them. Both can raise.

    Raises ImportRefused with all lines that have a problem and with the likely cause; then nothing has changed. Raises
    OrganizationNotFound if the organization of the option `below` does not exist or is outside of the scope.
    """
    options = options or ImportOptions()
    run = _Import(options, progress or (lambda *_: None), dry_run, on_changes or (lambda: None), on_wait, on_locked)
    try:
        with transaction.atomic():
            return run.read_and_import(file)
    except ImportRefused as refused:
        if refused.advice or not refused.lines:
            raise
        raise refused.with_advice(likely_cause(file, options, list(refused.lines))) from refused


@dataclass(frozen=True, slots=True)
class _Import:
    """One import of a file; the fields are the arguments of `import_organizations`."""

    options: ImportOptions
    report_progress: Progress
    is_dry_run: bool
    on_changes: Callable[[], object]
    on_wait: Callable[[], object]
    on_locked: Callable[[], object]

    def read_and_import(self, file: BinaryIO) -> ImportReport:
        """Read the file, and try until nobody has changed what an attempt relied on."""
        refusals = Refusals()
        _top(self.options)  # before the file is read, which can take long
        on_bytes: Callable[[int], None] = lambda done: self.report_progress(READING, done, None)  # noqa: E731
        staging.stage(organization_rows.read(file, self.options, refusals, on_bytes=on_bytes))
        self.report_progress(COMPARING, 0, None)
        staging.refuse_duplicates(refusals)
        members: tuple[int, ...] = ()
        for number in range(ATTEMPTS_WITHOUT_LOCKS + 1):
            try:
                with transaction.atomic():  # whose rollback lets go of the locks
                    is_holding = number == ATTEMPTS_WITHOUT_LOCKS
                    if is_holding:
                        locks.lock_trees_for_writing(*members, check=self.on_wait)
                    return self._attempt(refusals.copy(), is_holding=is_holding)
            except _Outdated as outdated:
                members = outdated.members or members
            except (IntegrityError, OperationalError) as error:
                if not isinstance(error.__cause__, TAKEN_BY_OTHERS):
                    raise
            log.info("import_compares_again", attempt=number + 1)
            self.report_progress(COMPARING, 0, None)
        locks.lock_all_trees_for_writing(check=self.on_wait)
        return self._attempt(refusals, is_holding=True, is_last=True)

    def _attempt(self, refusals: Refusals, *, is_holding: bool, is_last: bool = False) -> ImportReport:
        """Compare and compute, lock the trees, and write. With `is_holding`, trees are locked already; at last, all.

        Raises _Outdated if others have changed what the attempt relied on.
        """
        try:
            report, trees = self._compare(refusals)
        except ImportRefused:
            if not is_last:
                self._check_unchanged(None, placement.seen_fingerprint())
            raise
        report = report._replace(changes=staging.first_changes(MAX_LISTED))
        self.on_changes()
        if self.is_dry_run:
            report = report._replace(values=value_effects.count())
        seen = placement.seen_fingerprint()
        if not self.is_dry_run:
            if trees:
                trees.draw_ids(report.created)
                self._lock(trees, is_holding=is_holding)
            self.on_locked()
            if report.renamed:
                placement.hold_renamed()
            if report.attributes:
                staged_attributes.hold()
        if not is_last:
            self._check_unchanged(trees, seen)
        if not self.is_dry_run:
            report = self._write(report, trees)
            audit_entries.record(report)
        staging.drop_tables()
        return report

    def _compare(self, refusals: Refusals) -> tuple[ImportReport, placement.ChangedTrees | None]:
        """Find what the file changes. Raises ImportRefused."""
        options, top = self.options, _top(self.options)
        staging.resolve(refusals, top=top, below_id=options.below_id)
        if top is not None:
            refusals.raise_if_any()  # later problems could name organizations outside of the subtree
        staged_attributes.compare(refusals)
        report = staging.count()
        trees = None
        if report.created or report.moved:
            self.report_progress(COMPUTING, 0, None)
            trees = placement.compute_changed_trees(refusals)
            if report.moved and not options.move_between_trees and not refusals.count:
                placement.refuse_moves_between_trees(trees, refusals)
        refusals.raise_if_any()
        return report, trees

    def _lock(self, trees: placement.ChangedTrees, *, is_holding: bool) -> None:
        """Lock the trees that change. Raises _Outdated if others than these are locked already."""
        if locks.are_locked_for_writing(trees.members):
            return
        if is_holding:
            raise _Outdated(trees)  # who has locked some trees and then locks further ones could wait in a circle
        locks.lock_trees_for_writing(*trees.members.values(), check=self.on_wait)

    def _check_unchanged(self, trees: placement.ChangedTrees | None, seen: tuple[int, int | None]) -> None:
        """Check that the organizations of the file and the trees that change are as they were compared, or raise."""
        if not staging.is_still_resolved(top=_top(self.options)) or not placement.are_trees_unchanged(seen):
            raise _Outdated(trees)

    def _write(self, report: ImportReport, trees: placement.ChangedTrees | None) -> ImportReport:
        """Write the names, the parents and the new organizations, and return the report with the jobs."""
        if report.renamed:
            placement.write_renamed()
        if trees:
            report = report._replace(placement_jobs=self._write_trees(report, trees))
        if report.attributes:
            staged_attributes.write(has_created=report.created > 0)
        return report

    def _write_trees(self, report: ImportReport, trees: placement.ChangedTrees) -> tuple[int, ...]:
        """Write created and moved organizations, and return the ids of the jobs that write flag states to them."""
        nested_set.number_new_trees(trees.nested_set, locks.new_trees)
        placement.write_created(trees, on_written=lambda done: self.report_progress(WRITING, done, report.created))
        changed = placement.write_moved(trees)
        if report.created + changed >= ANALYZE_THRESHOLD:
            staging.execute("ANALYZE orgs_organization")
        self.report_progress(TAKING_OVER, 0, None)
        started: list[tuple[Any, Any]] = organizations_placed.send(sender=Organization, placements=trees.placements())
        return tuple(job_id for _, job_ids in started for job_id in job_ids or ())


def _top(options: ImportOptions) -> Subtree | None:
    """Return the subtree that the import may change, or None for everything. Raises OrganizationNotFound."""
    if options.top_id is None:
        return None
    top = load_subtree(options.top_id)
    scope = load_subtree(options.scope_id) if options.scope_id is not None else top
    if top is None or scope is None or not scope.contains(top):
        raise OrganizationNotFound
    return top
