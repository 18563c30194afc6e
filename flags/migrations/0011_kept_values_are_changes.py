"""A value that a moved organization has kept from its former place is recorded as a change on the organization.

The statement reads all flag states once, which takes about a second for each million.
"""

from __future__ import annotations

from typing import ClassVar

from django.db import migrations

RECORD_KEPT = """
INSERT INTO flags_change (number, flag_id, organization_id, enabled, source_id, requested_by)
SELECT state.change_number, state.flag_id, state.organization_id, state.enabled, state.source_id, 'system'
  FROM orgs_organization organization
  JOIN flags_flagstate state ON state.organization_id = organization.id
  JOIN flags_flag flag ON flag.id = state.flag_id
 WHERE organization.parent_id IS NOT NULL
   AND NOT EXISTS (
        SELECT FROM flags_flagstate above
         WHERE above.organization_id = organization.parent_id AND above.flag_id = state.flag_id)
   AND NOT EXISTS (
        SELECT FROM flags_change change
         WHERE change.organization_id = state.organization_id AND change.flag_id = state.flag_id)
"""


class Migration(migrations.Migration):
    dependencies: ClassVar = [("flags", "0010_available_to_clients")]
    operations: ClassVar = [migrations.RunSQL(RECORD_KEPT, migrations.RunSQL.noop)]
