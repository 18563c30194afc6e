"""Importing organizations from a CSV file: all of it in one transaction, or nothing.

1. Take the tree lock. 2. Copy the rows into a staging table and look them up by key: unchanged, renamed, moved, new.
3. Read the trees that change, together with the new organizations, as bare numbers, and compute their nested set.
4. Refuse the file if any line is at fault. 5. Write the new organizations depth-first, so that a subtree has adjoining
ids, all higher than those that exist. Then write new names and parents, then columns of the nested set that differ.
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
"""Told the step, how far it is, and the whole if that is known."""
READING, COMPARING, COMPUTING, WRITING, TAKING_OVER = "reading", "comparing", "computing", "writing", "taking over"
"""The steps, in their order; in the last one, organizations take over flag states. Reading counts bytes, writing counts
organizations."""
WORTH_ANALYZING = 1_000
EXAMPLES = 100
"""Lines that a dry run shows."""


def import_organizations(
    file: BinaryIO,
    *,
    progress: Progress | None = None,
    dry_run: bool = False,
    on_example: Callable[[Example], object] | None = None,
) -> ImportReport:
    """Create, rename and move organizations so that those in the file are as it says; others stay as they are.

    A created organization takes over its parent's flag states and a moved one its new parent's, as ever. Returns what
    was done. A dry run changes nothing, and tells `on_example` each line that would change something. Raises
    ImportRefused with all lines that are at fault; nothing has changed then.
    """
    tell = progress or (lambda *_: None)
    refusals = Refusals()
    with transaction.atomic():
        locks.lock_tree_for_writing()
        staging.stage(csv_file.read(file, refusals, on_bytes=lambda done: tell(READING, done, None)))
        tell(COMPARING, 0, None)
        staging.refuse_doubles(refusals)
        staging.resolve(refusals)
        counts = staging.count()
        trees = None
        if counts.created or counts.moved:
            tell(COMPUTING, 0, None)
            trees = placement.compute_changed_trees(refusals)
        refusals.raise_if_any()
        report = _shown(counts, on_example) if dry_run else _written(counts, trees, tell)
        staging.drop_tables()
    return report


def _shown(counts: ImportReport, on_example: Callable[[Example], object] | None) -> ImportReport:
    """What a dry run reports, and tells of each line."""
    if on_example is not None:
        for example in staging.all_examples():
            on_example(example)
    return counts._replace(examples=staging.examples(EXAMPLES))


def _written(counts: ImportReport, trees: placement.ChangedTrees | None, tell: Progress) -> ImportReport:
    """Write the names, the parents and the new organizations, and record the import in the audit log."""
    if counts.renamed:
        placement.write_renamed()
    jobs = _write_trees(counts, trees, tell) if trees else ()
    done = {name: getattr(counts, name) for name in ("created", "renamed", "moved") if getattr(counts, name)}
    if done:
        audit_log.record("organizations.import", "organizations", placementJobs=len(jobs), **done)
    return counts._replace(placement_jobs=jobs)


def _write_trees(counts: ImportReport, trees: placement.ChangedTrees, tell: Progress) -> tuple[int, ...]:
    """Write created and moved organizations; returns the ids of the jobs that carry flag states to them."""
    trees.draw_ids(counts.created)
    placement.write_created(trees, on_written=lambda done: tell(WRITING, done, counts.created))
    changed = placement.write_moved(trees)
    if counts.created + changed >= WORTH_ANALYZING:
        staging.execute("ANALYZE orgs_organization")
    tell(TAKING_OVER, 0, None)
    started: list[tuple[Any, Any]] = organizations_placed.send(sender=Organization, placements=trees.placements())
    return tuple(job_id for _, job_ids in started for job_id in job_ids or ())
