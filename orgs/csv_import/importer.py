"""Importing organizations from a CSV file: all of it in one transaction, or nothing.

1. Take the tree lock. 2. Copy the rows into a staging table and look them up by key: unchanged, renamed, moved, new.
3. Read the trees that change, together with the new organizations, as bare numbers, and compute their columns.
4. Refuse the file if any line is at fault. 5. Write the new organizations depth-first, so that a subtree has adjoining
ids, all higher than those that exist; then what was renamed or moved; then tree columns that differ. 6. Tell who
listens to the tree what was placed.
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
READING, COMPARING, NUMBERING, WRITING, PLACING = "reading", "comparing", "numbering", "writing", "placing"
"""The steps, in their order. Reading counts bytes, writing organizations."""
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
        placing = None
        if counts.created or counts.moved:
            tell(NUMBERING, 0, None)
            placing = placement.compute(refusals)
        refusals.raise_if_any()
        report = _shown(counts, on_example) if dry_run else _written(counts, placing, tell)
        staging.drop_tables()
    return report


def _shown(counts: ImportReport, on_example: Callable[[Example], object] | None) -> ImportReport:
    """What a dry run reports, and tells of each line."""
    if on_example is not None:
        for example in staging.all_examples():
            on_example(example)
    return counts._replace(examples=staging.examples(EXAMPLES))


def _written(counts: ImportReport, placing: placement.Placing | None, tell: Progress) -> ImportReport:
    """Write what was renamed, moved and created, and record it."""
    if counts.renamed:
        placement.write_renamed()
    jobs = _place(counts, placing, tell) if placing else ()
    done = {name: getattr(counts, name) for name in ("created", "renamed", "moved") if getattr(counts, name)}
    if done:
        audit_log.record("organizations.import", "organizations", placementJobs=len(jobs), **done)
    return counts._replace(placement_jobs=jobs)


def _place(counts: ImportReport, placing: placement.Placing, tell: Progress) -> tuple[int, ...]:
    placing.draw_ids(counts.created)
    placement.write_created(placing, on_written=lambda done: tell(WRITING, done, counts.created))
    changed = placement.write_moved(placing)
    if counts.created + changed >= WORTH_ANALYZING:
        staging.execute("ANALYZE orgs_organization")
    tell(PLACING, 0, None)
    started: list[tuple[Any, Any]] = organizations_placed.send(sender=Organization, placements=placing.placements())
    return tuple(job_id for _, job_ids in started for job_id in job_ids or ())
