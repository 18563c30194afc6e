"""A scheduled change knows the scope that its author had, so that Flagsite can check it and list it for both sides."""

from __future__ import annotations

from typing import ClassVar

import django.db.models.deletion
from django.conf import settings
from django.db import migrations, models

TAKE_SCOPES_OF_TODAY = """
UPDATE flags_flagschedule schedule SET author_organization_id = access_key.organization_id
  FROM orgs_accesskey access_key
 WHERE schedule.created_by LIKE 'key:%'
   AND access_key.prefix = split_part(substr(schedule.created_by, 5), ' ', 1)
   AND access_key.organization_id IS NOT NULL;
UPDATE flags_flagschedule schedule SET author_organization_id = scope.organization_id
  FROM orgs_staffscope scope JOIN auth_user person ON person.id = scope.user_id
 WHERE schedule.created_by = 'user:' || person.username
"""


class Migration(migrations.Migration):
    dependencies: ClassVar = [
        ("flags", "0011_kept_values_are_changes"),
        ("jobs", "0014_plain_help_texts"),
        ("orgs", "0012_roles_for_clients"),
        migrations.swappable_dependency(settings.AUTH_USER_MODEL),
    ]
    operations: ClassVar = [
        migrations.AddField(
            model_name="flagschedule",
            name="author_organization",
            field=models.ForeignKey(
                db_constraint=False,
                db_index=False,
                help_text="The top of the scope that the author had; empty: everything.",
                null=True,
                on_delete=django.db.models.deletion.DO_NOTHING,
                related_name="+",
                to="orgs.organization",
            ),
        ),
        migrations.AlterField(
            model_name="flagschedule",
            name="author_gone",
            field=models.CharField(
                blank=True,
                default="",
                help_text="What had become of a person who had left when it was applied.",
                max_length=200,
            ),
        ),
        migrations.RunSQL(TAKE_SCOPES_OF_TODAY, migrations.RunSQL.noop),
        migrations.AddIndex(
            model_name="flagschedule",
            index=models.Index(
                condition=models.Q(author_organization__isnull=False),
                fields=["author_organization", "-id"],
                name="schedule_of_authors_scope",
            ),
        ),
    ]
