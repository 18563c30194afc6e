"""The recalculation: a job that compares the flag states of a subtree with the settings, and mends what differs.

Nobody needs it while all goes well: propagations and moves keep the flag states right. It is for the day after somebody
has changed rows by hand, or has restored a part of the database. `flags.states.expected_states` says what decides.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import structlog
from django.db import DatabaseError, transaction

from flags.definitions.models import Flag
from flags.serving.cache_events import OrganizationMoved
from flags.states import sql
from flags.states.expected_states import Difference, differences, members_of, mend
from flagsite.core.db import transient_errors
from jobs.engine.kinds import DEFAULT_STALL_SECONDS, job_kind
from jobs.engine.run import Run
from jobs.errors import NothingLeftToDo, PermanentFailure
from orgs.audit import audit_log
from orgs.errors import TreeBusy
from orgs.tree.models import Organization
from orgs.tree.subtrees import load_subtree

log = structlog.get_logger(__name__)
KIND = "recalculation"
FLAGS_AT_ONCE = 32
STATES_AT_ONCE = 20_000
"""Flag states, there or missing, that one short transaction compares."""
MAX_EXAMPLES = 100
MAX_FLAGS = 200
"""Flags with differences that the result names; the totals count all."""
MAX_TRIES = 5
"""How often one chunk is tried again after transient errors."""
DIFFERENCE_KINDS = ("wrong", "missing", "extra", "undecided")
ARGUMENTS: dict[str, Any] = {
    "type": "object",
    "properties": {
        "featureFlagName": {
            "type": "string",
            "title": "Flag",
            "description": "Only the flag states of this flag; otherwise those of all flags.",
            "default": "",
        },
        "dryRun": {
            "type": "boolean",
            "title": "Dry run",
            "description": "Only report; write nothing.",
            "default": False,
        },
    },
    "additionalProperties": False,
}


@job_kind(
    KIND,
    queue="propagation",
    summary="Compare flag states with the settings that decide them, and mend what differs.",
    arguments=ARGUMENTS,
    of_organization=True,
    stall_seconds=DEFAULT_STALL_SECONDS,
)
def recalculate(run: Run) -> None:
    """Walk through the organizations of the job's subtree, or of all trees, with some flags after the others.

    `processed` counts organizations, once for each group of flags. The checkpoint has the position and the report.
    Raises NothingLeftToDo if the organization is deleted, PermanentFailure if the flag is unknown.
    """
    flag_ids = _flag_ids(run)
    groups = [flag_ids[start : start + FLAGS_AT_ONCE] for start in range(0, len(flag_ids), FLAGS_AT_ONCE)]
    tops = _tops(run)
    report: dict[str, Any] = dict(run.job.checkpoint or _empty_report())
    with transaction.atomic():
        run.record_progress(total=sum(size for _, size in tops) * len(groups))
    for number, (top_id, group) in enumerate((top_id, group) for top_id, _ in tops for group in groups):
        if number < report["part"]:
            continue
        _walk(run, top_id, group, report)
        report |= {"part": number + 1, "after": 0}
    result = {name: report[name] for name in ("organizations", "totals", "mended", "byFlag", "examples")}
    run.set_result({"dryRun": _is_dry(run), **result})
    audit_log.record(
        "flags.recalculated", f"job:{run.job.pk}", by=run.job.requested_by, organization_id=run.job.organization_id,
        dryRun=_is_dry(run), mended=report["mended"], **report["totals"],
    )  # fmt: skip


def _walk(run: Run, top_id: int, flag_ids: Sequence[int], report: dict[str, Any]) -> None:
    """Compare, and mend, the flag states of a subtree chunk by chunk, and add what differs to the report."""
    names = dict(Flag.objects.filter(pk__in=flag_ids).values_list("pk", "key"))
    tries = 0
    while True:
        run.check()
        try:
            is_more = _chunk(run, top_id, flag_ids, names, report)
        except TreeBusy:  # an import has the tree; see whether the work is still wanted
            run.reload()
            continue
        except DatabaseError as error:
            tries += 1
            if not transient_errors.is_transient(error) or tries > MAX_TRIES:
                raise
            log.warning("chunk_tried_again", error=str(error))
            transient_errors.reconnect()
            continue
        tries = 0
        if not is_more:
            return


def _chunk(run: Run, top_id: int, flag_ids: Sequence[int], names: dict[int, str], report: dict[str, Any]) -> bool:
    """Compare the next organizations, and mend their flag states. Returns False if there are no more."""
    with transaction.atomic():
        subtree = sql.begin_chunk(top_id)
        most = max(10, STATES_AT_ONCE // len(flag_ids))
        span = subtree and sql.next_span(subtree, after=report["after"], most=most, to_write=flag_ids)
        if not (subtree and span):
            return False
        ids = members_of(subtree, span)
        found = differences(ids, flag_ids)
        mended = 0 if _is_dry(run) else mend(found, job_id=run.job.pk)
        if mended:
            sql.notify(OrganizationMoved(top_id))
        changed = _with(report, found, names, mended=mended, count=len(ids), after=ids[-1])
        same = len(ids) - len({difference.organization_id for difference in found})
        run.record_progress(processed=len(ids), unchanged=same, checkpoint=changed)
    report |= changed
    return True


def _with(
    report: dict[str, Any], found: Sequence[Difference], names: dict[int, str], *, mended: int, count: int, after: int
) -> dict[str, Any]:
    """Return the report with the differences of one more chunk."""
    totals, by_flag, examples = dict(report["totals"]), dict(report["byFlag"]), list(report["examples"])
    for difference in found:
        totals[difference.kind] += 1
        key = names.get(difference.flag_id, str(difference.flag_id))
        if key in by_flag or len(by_flag) < MAX_FLAGS:
            counts = by_flag.get(key) or dict.fromkeys(DIFFERENCE_KINDS, 0)
            by_flag[key] = counts | {difference.kind: counts[difference.kind] + 1}
        if len(examples) < MAX_EXAMPLES:
            examples.append(_example(difference, key))
    return report | {
        "organizations": report["organizations"] + count, "totals": totals, "byFlag": by_flag, "examples": examples,
        "mended": report["mended"] + mended, "after": after,
    }  # fmt: skip


def _example(difference: Difference, key: str) -> dict[str, Any]:
    pairs = (("stored", difference.stored), ("expected", difference.expected))
    values = {
        name: value and {"enabled": value.enabled, "sourceId": value.source_id, "changeNumber": value.number}
        for name, value in pairs
    }
    reason = {"reason": difference.undecided} if difference.undecided else {}
    named = {"organizationId": difference.organization_id, "featureFlag": key[:64], "difference": difference.kind}
    return named | values | reason


def _empty_report() -> dict[str, Any]:
    totals = dict.fromkeys(DIFFERENCE_KINDS, 0)
    return {
        "part": 0, "after": 0, "organizations": 0, "mended": 0, "totals": totals, "byFlag": {}, "examples": [],
    }  # fmt: skip


def _is_dry(run: Run) -> bool:
    return bool(run.job.arguments["dryRun"])


def _flag_ids(run: Run) -> list[int]:
    """Return the flags of the job without those that are being purged. Raises PermanentFailure."""
    flags, key = Flag.objects.filter(purging=False).order_by("pk"), run.job.arguments["featureFlagName"]
    if key:
        flags = flags.filter(key=key)
        if not flags:
            raise PermanentFailure(f"There is no flag {key!r}.")
    return list(flags.values_list("pk", flat=True))


def _tops(run: Run) -> list[tuple[int, int]]:
    """Return the tops of the subtrees with their sizes. Raises NothingLeftToDo."""
    top_id = run.job.organization_id
    if top_id is None:
        return [(root.pk, root.subtree.size) for root in Organization.objects.filter(parent=None).order_by("pk")]
    subtree = load_subtree(top_id)
    if subtree is None:
        raise NothingLeftToDo("The organization was deleted in the meantime, so nothing is left to do.")
    return [(top_id, subtree.size)]
