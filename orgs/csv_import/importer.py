"""The import of organizations from a CSV file, in one transaction: a file with a problem changes nothing.

1. Take the tree lock.
2. Copy the rows into a staging table, and find the organizations by key: unchanged, renamed, moved or new.
3. Read the trees that change, together with the new organizations, as arrays of numbers. Compute their nested set.
4. Refuse the file if a line has a problem.
5. Write the new names. Write the new organizations depth-first, with ids higher than all others, so that a subtree has
   consecutive ids. Then write the new parents and the changed columns of the nested set.
6. Send the placements to the receivers of `organizations_placed`.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, BinaryIO

from django.db import transaction

from orgs.audit import audit_log
from orgs.csv_import import csv_file, placement, staging
from orgs.csv_import.csv_file import Refusals
from orgs.csv_import.staging import Example, ImportReport
from orgs.tree import locks
from orgs.tree.models import Organization
from orgs.tree.signals import organizations_placed

Progress = Callable[[str, int, int | None], None]
"""A function that shows progress: it gets the step, the amount that is done, and the total if it is known."""
READING, COMPARING, COMPUTING, WRITING, TAKING_OVER = "reading", "comparing", "computing", "writing", "taking over"
"""The steps, in their order. Reading counts bytes, and writing counts organizations. In the last step, organizations
take over flag states."""
ANALYZE_THRESHOLD = 1_000
"""From this number of changed organizations on, the import updates PostgreSQL's statistics."""
MAX_EXAMPLES = 100
"""The number of lines that the report of a dry run has."""


def import_organizations(
    file: BinaryIO,
    *,
    progress: Progress | None = None,
    dry_run: bool = False,
    on_example: Callable[[Example], object] | None = None,
) -> ImportReport:
    """Create, rename and move organizations until they are as the file says; leave all other organizations unchanged.

    A created organization takes over the flag states of its parent, and a moved organization those of its new parent.
    Returns a report of the changes. A dry run changes nothing, and calls `on_example` with each line that would change
    something. Raises ImportRefused with all lines that have a problem; then nothing has changed.
    """
    report_progress = progress or (lambda *_: None)
    refusals = Refusals()
    with transaction.atomic():
        locks.lock_tree_for_writing()
        staging.stage(csv_file.read(file, refusals, on_bytes=lambda done: report_progress(READING, done, None)))
        report_progress(COMPARING, 0, None)
        staging.refuse_duplicates(refusals)
        staging.resolve(refusals)
        counts = staging.count()
        trees = None
        if counts.created or counts.moved:
            report_progress(COMPUTING, 0, None)
            trees = placement.compute_changed_trees(refusals)
        refusals.raise_if_any()
        report = _dry_run_report(counts, on_example) if dry_run else _write(counts, trees, report_progress)
        staging.drop_tables()
    return report


def _dry_run_report(counts: ImportReport, on_example: Callable[[Example], object] | None) -> ImportReport:
    """Return the report of a dry run, and call `on_example` with each line that would change something."""
    if on_example is not None:
        for example in staging.all_examples():
            on_example(example)
    return counts._replace(examples=staging.examples(MAX_EXAMPLES))


def _write(counts: ImportReport, trees: placement.ChangedTrees | None, report_progress: Progress) -> ImportReport:
    """Write the names, the parents and the new organizations, and record the import in the audit log."""
    if counts.renamed:
        placement.write_renamed()
    jobs = _write_trees(counts, trees, report_progress) if trees else ()
    changes = {name: getattr(counts, name) for name in ("created", "renamed", "moved") if getattr(counts, name)}
    if changes:
        audit_log.record("organizations.import", "organizations", placementJobs=len(jobs), **changes)
    return counts._replace(placement_jobs=jobs)


def _write_trees(counts: ImportReport, trees: placement.ChangedTrees, report_progress: Progress) -> tuple[int, ...]:
    """Write created and moved organizations, and return the ids of the jobs that write flag states to them."""
    trees.draw_ids(counts.created)
    placement.write_created(trees, on_written=lambda done: report_progress(WRITING, done, counts.created))
    changed = placement.write_moved(trees)
    if counts.created + changed >= ANALYZE_THRESHOLD:
        staging.execute("ANALYZE orgs_organization")
    report_progress(TAKING_OVER, 0, None)
    started: list[tuple[Any, Any]] = organizations_placed.send(sender=Organization, placements=trees.placements())
    return tuple(job_id for _, job_ids in started for job_id in job_ids or ())
