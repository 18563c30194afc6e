"""Propagations, compared with single statements that write the same columns of the same rows."""

from __future__ import annotations

from statistics import median

from bench.installation import Installation
from bench.report import Result

BELOW_ROOT = """
  FROM orgs_organization organization, orgs_organization root
 WHERE root.id = %(root)s AND organization.tree_id = root.tree_id AND organization.lft BETWEEN root.lft AND root.rght
"""
ONE_UPDATE = f"""
UPDATE flags_flagstate state
   SET enabled = NOT enabled, source_id = %(root)s, change_number = nextval('flags_change_number'), job_id = 1,
       updated_at = now()
{BELOW_ROOT} AND state.organization_id = organization.id AND state.flag_id = %(flag)s
""".replace("nextval('flags_change_number')", "change_number + 1")
ONE_UPSERT = f"""
INSERT INTO flags_flagstate AS state (organization_id, flag_id, source_id, change_number, job_id, updated_at, enabled)
SELECT organization.id, %(flag)s, %(root)s, %(number)s, 1, now(), true
{BELOW_ROOT}
    ON CONFLICT (organization_id, flag_id) DO UPDATE
   SET enabled = excluded.enabled, source_id = excluded.source_id, change_number = excluded.change_number,
       job_id = excluded.job_id, updated_at = excluded.updated_at
 WHERE state.change_number < excluded.change_number
"""
ROUNDS = 3


def _skip_numbers(installation: Installation) -> int:
    """Move the sequence of change numbers past those of the yardsticks. Returns the next number for a yardstick."""
    installation.sql("SELECT setval('flags_change_number', nextval('flags_change_number') + 1000)")
    return int(installation.sql("SELECT last_value FROM flags_change_number")[0][0])


def flip(installation: Installation, rows: int) -> Result:
    """Flip all descendants, from POST to COMPLETED, against one UPDATE and one INSERT … ON CONFLICT."""
    ours, updates, upserts = [], [], []
    with installation.worker():
        (root,) = installation.create_trees(rows)
        installation.flip(root)
        flag = installation.sql("SELECT id FROM flags_flag WHERE key = 'bench'")[0][0]
        installation.sql("VACUUM (ANALYZE) flags_flagstate")
        installation.flip(root, enabled=False)  # so that both measure a table that was flipped before
        for number in range(ROUNDS):
            parameters = {"root": root, "flag": flag, "number": _skip_numbers(installation)}
            updates.append(installation.seconds(ONE_UPDATE, parameters))
            _skip_numbers(installation)
            ours.append(installation.flip(root, enabled=number % 2 == 0))
            parameters["number"] = _skip_numbers(installation)
            upserts.append(installation.seconds(ONE_UPSERT, parameters))
            _skip_numbers(installation)
    best = min(median(updates), median(upserts))
    ratio = median(ours) / best
    return Result(
        f"flip of {rows:,} descendants", f"{median(ours):.2f} s", f"one statement {best:.2f} s", ratio, "≤ 1.3",
        ratio <= 1.3, {"ours": ours, "one_update": updates, "one_upsert": upserts},
    )  # fmt: skip


def first_set(installation: Installation, rows: int) -> Result:
    """Set a flag for the first time, into an empty table, against one INSERT … SELECT … ON CONFLICT."""
    ours, theirs = [], []
    with installation.worker():
        (root,) = installation.create_trees(rows)
        for _ in range(ROUNDS):
            installation.sql("TRUNCATE flags_flagstate")
            theirs.append(installation.seconds(ONE_UPSERT, {"root": root, "flag": 1, "number": 1}))
            installation.sql("TRUNCATE flags_flagstate")
            ours.append(installation.flip(root))
    ratio = median(ours) / median(theirs)
    return Result(
        f"first set of {rows:,}", f"{median(ours):.2f} s", f"one statement {median(theirs):.2f} s", ratio, "≤ 1.3",
        ratio <= 1.3, {"ours": ours, "one_upsert": theirs},
    )  # fmt: skip


SAVE_EACH = """
import django, sys, time
django.setup()
from flags.models import FlagState
states = list(FlagState.objects.all())
began = time.perf_counter()
for state in states:
    state.enabled = not state.enabled
    state.save()
print(time.perf_counter() - began)
"""


def against_orm(installation: Installation, rows: int) -> Result:
    """Flip a small tree, against one save() for each of its rows."""
    rows = min(rows, 10_000)
    with installation.worker():
        (root,) = installation.create_trees(rows)
        installation.flip(root)
        installation.sql("VACUUM (ANALYZE) flags_flagstate")
        ours = [installation.flip(root, enabled=number % 2 == 1) for number in range(7)]
        theirs = float(installation.python(SAVE_EACH))
    ratio = theirs / median(ours)
    return Result(
        f"{rows:,} descendants", f"{median(ours):.3f} s", f"save() each {theirs:.1f} s", ratio, "≥ 50 × faster",
        ratio >= 50, {"ours": ours, "save_each": theirs},
    )  # fmt: skip
