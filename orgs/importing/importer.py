"""The import of organizations from a file, in one transaction: a file with a problem changes nothing.

1. Copy the rows into a staging table.
2. Find the organizations by key: unchanged, renamed, moved or new.
3. Read the trees that change, together with the new organizations, as arrays of numbers. Compute their nested set.
4. Refuse the file if a line has a problem, or if an organization would move to another tree without permission.
5. Take the lock of all trees. If somebody has changed the trees of the file's organizations since step 2, begin again
   with step 2. After some attempts, take the lock before step 2.
6. Write the new names. Write the new organizations depth-first, with ids higher than all others, so that a subtree has
   consecutive ids. Then write the new parents and the changed columns of the nested set. Organizations that are there
   keep their numbers, as long as there is room beside them.
7. Send the placements to the receivers of `organizations_placed`, and record each change in the audit log.
"""

from __future__ import annotations

import copy
from collections.abc import Callable, Collection
from typing import Any, BinaryIO

from django.db import transaction

from flagsite.core.errors import FlagsiteError
from orgs.errors import ImportRefused, OrganizationNotFound
from orgs.importing import audit_entries, organization_rows, placement, staging
from orgs.importing.likely_cause import likely_cause
from orgs.importing.options import ImportOptions
from orgs.importing.refusals import Refusals
from orgs.importing.staging import ImportReport
from orgs.tree import locks, nested_set
from orgs.tree.models import Organization
from orgs.tree.signals import organizations_placed
from orgs.tree.subtrees import Subtree, load_subtree

Progress = Callable[[str, int, int | None], None]
"""A function that shows progress: it gets the step, the amount that is done, and the total if it is known."""
READING, COMPARING, COMPUTING, WRITING, TAKING_OVER = "reading", "comparing", "computing", "writing", "taking over"
"""The steps, in their order. Reading counts bytes, and writing counts organizations. In the last step, organizations
take over flag states."""
ANALYZE_THRESHOLD = 1_000
"""From this number of changed organizations on, the import updates PostgreSQL's statistics."""
ATTEMPTS_WITHOUT_LOCK = 3
"""How often the import compares and computes without the lock, before it takes the lock first."""
MAX_LISTED = 100
"""The number of changes that a report lists."""


def import_organizations(
    file: BinaryIO,
    *,
    options: ImportOptions | None = None,
    progress: Progress | None = None,
    dry_run: bool = False,
    on_changes: Callable[[], object] | None = None,
    lock_tree: Callable[[], object] = locks.lock_all_trees_for_writing,
) -> ImportReport:
    """Create, rename and move organizations until they are as the file says; leave all other organizations unchanged.

    `lock_tree` takes the lock of all trees. It is called when the file is read and the changes are computed, so that
    nobody waits for that. If others change the same trees again and again, it is called earlier.
    A created organization takes over the flag states of its parent, and a moved organization those of its new parent.
    `on_changes` is called when all changes are known and none is written; it can read them with `staging.all_changes`.
    If others have changed the trees, what it has written is rolled back, and it is called again.

    Returns a report of the changes. A dry run changes nothing.

    Raises ImportRefused with all lines that have a problem and with the likely cause; then nothing has changed. Raises
    OrganizationNotFound if the organization of the option `below` does not exist or is outside of the scope.
    """
    options = options or ImportOptions()
    try:
        with transaction.atomic():
            return _import(
                file,
                options,
                progress or (lambda *_: None),
                dry_run=dry_run,
                on_changes=on_changes,
                lock_tree=lock_tree,
            )
    except ImportRefused as refused:
        if refused.advice or not refused.lines:
            raise
        raise refused.with_advice(likely_cause(file, options, list(refused.lines))) from refused


def _import(
    file: BinaryIO,
    options: ImportOptions,
    report_progress: Progress,
    *,
    dry_run: bool,
    on_changes: Callable[[], object] | None,
    lock_tree: Callable[[], object],
) -> ImportReport:
    refusals = Refusals()
    _top(options)  # before the file is read, which can take long
    on_bytes: Callable[[int], None] = lambda done: report_progress(READING, done, None)  # noqa: E731
    staging.stage(organization_rows.read(file, options, refusals, on_bytes=on_bytes))
    staging.refuse_duplicates(refusals)
    lock = ImportLock(options, lock_tree)
    attempts_without_lock = ATTEMPTS_WITHOUT_LOCK
    while True:
        try:
            with transaction.atomic():
                lock.begin(is_last=not attempts_without_lock)
                report, trees = _prepare(options, copy.deepcopy(refusals), report_progress, lock, on_changes)
                if not dry_run:
                    report = _write(report, trees, report_progress)
                    audit_entries.record(report)
                staging.drop_tables()
                return report
        except TreesHaveChanged:
            attempts_without_lock -= 1


class TreesHaveChanged(Exception):
    """Somebody has changed the trees of the file's organizations since the import began to compare."""


class ImportLock:
    """The lock of all trees: an attempt takes it when it knows what to write, the last one before it compares."""

    def __init__(self, options: ImportOptions, lock: Callable[[], object]) -> None:
        self._lock = lock
        self._top_ids = [top_id for top_id in (options.scope_id, options.below_id) if top_id is not None]
        self._is_taken = False

    def begin(self, *, is_last: bool) -> None:
        """Begin an attempt, in a transaction of its own. The last attempt takes the lock now."""
        self._is_taken = is_last
        if is_last:
            self._lock()
        else:
            staging.remember_trees()

    def take(self, trees: Collection[int] | None) -> None:
        """Take the lock, unless the attempt has it. `trees` are those that were read; None means perhaps all.

        Raises TreesHaveChanged if the attempt has to begin again.
        """
        if not self._is_taken:
            self._lock()
            if staging.have_trees_changed(trees, top_ids=self._top_ids):
                raise TreesHaveChanged


def _prepare(
    options: ImportOptions,
    refusals: Refusals,
    report_progress: Progress,
    lock: ImportLock,
    on_changes: Callable[[], object] | None,
) -> tuple[ImportReport, placement.ChangedTrees | None]:
    """Find the changes, and take the lock. A refusal counts only if nobody has changed the trees meanwhile."""
    try:
        report, trees = _find_changes(options, refusals, report_progress)
        if on_changes is not None:
            on_changes()
    except FlagsiteError:
        lock.take(None)
        raise
    lock.take(set(trees.organizations.columns.tree_id) if trees else ())
    return report, trees


def _find_changes(
    options: ImportOptions, refusals: Refusals, report_progress: Progress
) -> tuple[ImportReport, placement.ChangedTrees | None]:
    """Compare the file with the trees, and compute the new form of those that change. Raises ImportRefused."""
    report_progress(COMPARING, 0, None)
    top = _top(options)
    staging.resolve(refusals, top=top, below_id=options.below_id)
    if top is not None:
        refusals.raise_if_any()  # later problems could name organizations outside of the subtree
    report = staging.count()
    trees = None
    if report.created or report.moved:
        report_progress(COMPUTING, 0, None)
        trees = placement.compute_changed_trees(refusals)
        if report.moved and not options.move_between_trees and not refusals.count:
            placement.refuse_moves_between_trees(trees, refusals)
    refusals.raise_if_any()
    return report._replace(changes=staging.first_changes(MAX_LISTED)), trees


def _top(options: ImportOptions) -> Subtree | None:
    """Return the subtree that the import may change, or None for everything. Raises OrganizationNotFound."""
    if options.top_id is None:
        return None
    top = load_subtree(options.top_id)
    scope = load_subtree(options.scope_id) if options.scope_id is not None else top
    if top is None or scope is None or not scope.contains(top):
        raise OrganizationNotFound
    return top


def _write(report: ImportReport, trees: placement.ChangedTrees | None, report_progress: Progress) -> ImportReport:
    """Write the names, the parents and the new organizations, and return the report with the jobs."""
    if report.renamed:
        placement.write_renamed()
    return report._replace(placement_jobs=_write_trees(report, trees, report_progress)) if trees else report


def _write_trees(report: ImportReport, trees: placement.ChangedTrees, report_progress: Progress) -> tuple[int, ...]:
    """Write created and moved organizations, and return the ids of the jobs that write flag states to them."""
    trees.draw_ids(report.created)
    nested_set.number_new_trees(trees.nested_set, locks.new_trees)
    placement.write_created(trees, on_written=lambda done: report_progress(WRITING, done, report.created))
    changed = placement.write_moved(trees)
    if report.created + changed >= ANALYZE_THRESHOLD:
        staging.execute("ANALYZE orgs_organization")
    report_progress(TAKING_OVER, 0, None)
    started: list[tuple[Any, Any]] = organizations_placed.send(sender=Organization, placements=trees.placements())
    return tuple(job_id for _, job_ids in started for job_id in job_ids or ())
