"""Memory of a web process with variants, targeting rules and attributes of organizations, compared with booleans."""

from __future__ import annotations

from typing import Any

from bench.installation import Installation
from bench.mixed_flags import MixedFlag, mixed_flags
from bench.planted_flags import plant_flags
from bench.reads import MAX_MEGABYTES, memory_of_a_new_process
from bench.report import Result, say
from bench.translated_rules import flagsite_rules

PLANT_ATTRIBUTES = """
INSERT INTO orgs_organizationattribute (organization_id, name, value)
SELECT id, 'plan', '"pro"'::jsonb FROM orgs_organization WHERE level = 0
 UNION ALL
SELECT id, 'region', to_jsonb('region-' || id) FROM orgs_organization WHERE level = 1
 UNION ALL
SELECT id, 'seats', to_jsonb(id % 500) FROM orgs_organization WHERE level = 2
 UNION ALL
SELECT id, 'contract', to_jsonb('contract-' || id) FROM orgs_organization WHERE level = 2
"""
"""No two organizations have the same attributes; the lowest ones inherit a plan and a region."""
PLANT_STATES = """
INSERT INTO flags_flagstate
       (organization_id, flag_id, source_id, change_number, job_id, updated_at, enabled, variant)
SELECT organization.id, flag.id, organization.id, organization.id * 1000 + flag.id, NULL, now(), TRUE,
       CASE WHEN flag.type = 'object' THEN 1 + organization.id % 2 ELSE 0 END
  FROM orgs_organization organization CROSS JOIN flags_flag flag
 ORDER BY organization.id, flag.id
"""
"""Each flag is set on each organization, so that no two have the same states."""


def typed_memory(installation: Installation, rows: int) -> Result:
    """Measure the memory of a web process that caches every organization, with both kinds of flags."""
    mixed = mixed_flags()
    booleans = [MixedFlag(flag.name, flag.enabled) for flag in mixed]
    figures = {"boolean": _figures(installation, rows, booleans), "typed": _figures(installation, rows, mixed)}
    ours, theirs = (figures[kind]["megabytes_after"] for kind in ("typed", "boolean"))
    first = {kind: f"{each['first_read_milliseconds']:.2f} ms" for kind, each in figures.items()}
    return Result(
        f"memory of a web process, {max(1000, rows // 10):,} organizations, 100 flags with variants, rules, attributes",
        f"{ours:.0f} MiB; a first read {first['typed']}", f"boolean flags {theirs:.0f} MiB, {first['boolean']}",
        ours / theirs, f"≤ {MAX_MEGABYTES} MiB", ours <= MAX_MEGABYTES, figures,
    )  # fmt: skip


def _figures(installation: Installation, rows: int, flags: list[MixedFlag]) -> dict[str, float]:
    installation.create_trees(max(1000, rows // 10))
    ((organizations,),) = installation.sql("SELECT count(*) FROM orgs_organization")
    plant_flags(installation, flags, _rules)
    if any(flag.rules for flag in flags):
        installation.sql(PLANT_ATTRIBUTES)
    installation.sql(PLANT_STATES)
    installation.sql("VACUUM (ANALYZE) flags_flagstate")
    installation.sql("VACUUM (ANALYZE) orgs_organizationattribute")
    figures = memory_of_a_new_process(installation, organizations)
    say(f"{figures['megabytes_after']:.0f} MiB")
    return figures


def _rules(flag: MixedFlag) -> list[dict[str, Any]]:
    """The rules of a flag, and one more that asks for attributes of the organization."""
    if not flag.rules:
        return []
    clauses = [
        {"attribute": "org.plan", "op": "in", "values": ["team", "enterprise"]},
        {"attribute": "org.region", "op": "startsWith", "values": ["region-1"]},
        {"attribute": "org.seats", "op": "gte", "values": [100]},
        {"attribute": "org.contract", "op": "startsWith", "values": ["contract-1"]},
    ]
    return [*flagsite_rules(flag.rules), {"id": "of-organization", "clauses": clauses, "serve": {"variant": "on"}}]
