"""Nobody changes or deletes what is in the history; the groups of people who operate Flagsite."""

from __future__ import annotations

from typing import Any, ClassVar

from django.conf import settings
from django.db import migrations

APPEND_ONLY = """
CREATE FUNCTION orgs_history_is_append_only() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    RAISE EXCEPTION 'The history is only ever added to.' USING ERRCODE = 'check_violation';
END $$;
CREATE TRIGGER orgs_history_is_append_only BEFORE UPDATE OR DELETE ON orgs_historyentry
    FOR EACH STATEMENT EXECUTE FUNCTION orgs_history_is_append_only();
"""
FORGET = """
DROP TRIGGER orgs_history_is_append_only ON orgs_historyentry;
DROP FUNCTION orgs_history_is_append_only();
"""


def create_groups(apps: Any, schema_editor: Any) -> None:
    """What each may do is in orgs.staff, not in Django's permissions."""
    for name in ("viewer", "operator", "admin"):
        apps.get_model("auth", "Group").objects.get_or_create(name=name)


class Migration(migrations.Migration):
    dependencies: ClassVar = [
        ("orgs", "0003_staff_scope_and_history"),
        ("auth", "0012_alter_user_first_name_max_length"),
        migrations.swappable_dependency(settings.AUTH_USER_MODEL),
    ]
    operations: ClassVar = [
        migrations.RunSQL(APPEND_ONLY, FORGET),
        migrations.RunPython(create_groups, migrations.RunPython.noop),
    ]
