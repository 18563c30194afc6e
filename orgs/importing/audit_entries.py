"""The audit entries of an import: one for each deed on an organization, and one for all."""

from __future__ import annotations

from orgs.audit import audit_log
from orgs.importing.staging import ImportReport

CREATED = """
SELECT 'organization:' || entry.key AS subject, created.id AS organization_id,
       jsonb_build_object('name', entry.name, 'parentId', created.parent_id) AS details
  FROM import_created created JOIN import_entries entry USING (line) ORDER BY created.id
"""
RENAMED = """
SELECT 'organization:' || entry.key AS subject, resolved.reference AS organization_id,
       jsonb_build_object('before', resolved.former_name, 'after', entry.name) AS details
  FROM import_resolved resolved JOIN import_entries entry USING (line)
 WHERE resolved.renamed ORDER BY resolved.reference
"""
MOVED = """
SELECT 'organization:' || organization.key AS subject, organization.id AS organization_id,
       jsonb_build_object('before', resolved.former_parent_id, 'after', organization.parent_id) AS details
  FROM import_resolved resolved JOIN orgs_organization organization ON organization.id = resolved.reference
 WHERE resolved.moved ORDER BY organization.id
"""
ATTRIBUTES = """
SELECT 'organization:' || organization.key AS subject, organization.id AS organization_id,
       jsonb_build_object(
           'before', COALESCE(jsonb_object_agg(staged.name, former) FILTER (WHERE former IS NOT NULL), '{{}}'),
           'after', COALESCE(jsonb_object_agg(staged.name, value) FILTER (WHERE value IS NOT NULL), '{{}}')
       ) AS details
  FROM import_attributes staged {created}
  JOIN orgs_organization organization ON organization.id = {organization}
 GROUP BY organization.id ORDER BY organization.id
"""
OF_KNOWN = ATTRIBUTES.format(created="", organization="staged.reference")
OF_ALL = ATTRIBUTES.format(
    created="LEFT JOIN import_created created ON created.line = -staged.reference",
    organization="COALESCE(created.id, staged.reference)",
)


def record(report: ImportReport) -> None:
    """Add the audit entries of an import that has written all its changes, in its transaction."""
    counts = {
        name: getattr(report, name) for name in ("created", "renamed", "moved", "attributes") if getattr(report, name)
    }
    if not counts:
        return
    if report.created:
        audit_log.record_each("organization.create", CREATED)
    if report.renamed:
        audit_log.record_each("organization.rename", RENAMED)
    if report.moved:
        audit_log.record_each("organization.move", MOVED)
    if report.attributes:
        audit_log.record_each("organization.attributes", OF_ALL if report.created else OF_KNOWN)
    audit_log.record("organizations.import", "organizations", placementJobs=len(report.placement_jobs), **counts)
