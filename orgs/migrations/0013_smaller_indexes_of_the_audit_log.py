"""The indexes of the audit log grow at their ends, so that an import can add an entry for each organization.

The new indexes are created before the former ones are removed, and the audit log can be read and written meanwhile.
"""

from __future__ import annotations

from typing import ClassVar

from django.contrib.postgres.operations import AddIndexConcurrently, RemoveIndexConcurrently
from django.db import migrations, models

INDEXES = [
    models.Index(fields=["subject", "id"], name="audit_by_subject", opclasses=["varchar_pattern_ops", "int8_ops"]),
    models.Index(fields=["organization", "id"], name="audit_by_organization"),
    models.Index(fields=["actor", "id"], name="audit_by_actor"),
    models.Index(fields=["action", "id"], name="audit_by_action"),
    models.Index(fields=["via", "id"], name="audit_by_channel"),
    models.Index(fields=["at", "id"], name="audit_by_time"),
    models.Index(fields=["correlation_id"], name="audit_by_request"),
]
FORMER = [
    "history_of_subject", "history_of_named_subject", "history_of_organization", "history_of_actor",
    "history_of_action", "history_by_door", "history_by_time", "history_of_request",
]  # fmt: skip


class Migration(migrations.Migration):
    atomic = False
    dependencies: ClassVar = [("orgs", "0012_roles_for_clients")]
    operations: ClassVar = [
        *(AddIndexConcurrently("auditentry", index) for index in INDEXES),
        *(RemoveIndexConcurrently("auditentry", name) for name in FORMER),
    ]
