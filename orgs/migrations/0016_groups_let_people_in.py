"""The groups decide who may sign in. Staff without a group were viewers, so they join the group viewer."""

from __future__ import annotations

from typing import Any, ClassVar

from django.db import migrations


def make_viewers(apps: Any, _: Any) -> None:
    """Put active and inactive members of staff without one of Flagsite's groups into the group viewer."""
    viewer, _ = apps.get_model("auth", "Group").objects.get_or_create(name="viewer")
    people = apps.get_model("auth", "User").objects.filter(is_staff=True, is_superuser=False)
    for person in people.exclude(groups__name__in=["viewer", "operator", "admin"]):
        person.groups.add(viewer)


class Migration(migrations.Migration):
    dependencies: ClassVar = [
        ("orgs", "0015_audit_log_by_flag"),
        ("auth", "0012_alter_user_first_name_max_length"),
    ]
    operations: ClassVar = [migrations.RunPython(make_viewers, migrations.RunPython.noop, elidable=True)]
