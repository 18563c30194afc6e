"""Access keys can be rotated, have a number for the pages of lists, and have the time of their last use."""

from typing import ClassVar

import django.db.models.deletion
from django.db import migrations, models

import orgs.access.models


class Migration(migrations.Migration):
    dependencies: ClassVar = [("orgs", "0013_smaller_indexes_of_the_audit_log")]
    operations: ClassVar = [
        migrations.CreateModel(
            name="AccessKeyUse",
            fields=[
                (
                    "access_key",
                    models.OneToOneField(
                        on_delete=django.db.models.deletion.CASCADE,
                        primary_key=True,
                        related_name="use",
                        serialize=False,
                        to="orgs.accesskey",
                    ),
                ),
                ("last_used_at", models.DateTimeField()),
            ],
        ),
        migrations.RunSQL("CREATE SEQUENCE orgs_accesskey_number", "DROP SEQUENCE orgs_accesskey_number"),
        migrations.AddField(
            model_name="accesskey",
            name="number",
            field=models.BigIntegerField(
                db_default=orgs.access.models.NextNumber(),
                editable=False,
                help_text="The position of the key in lists.",
                unique=True,
            ),
        ),
        migrations.AddField(
            model_name="accesskey",
            name="successor",
            field=models.ForeignKey(
                editable=False,
                help_text="The key that replaces this one after a rotation.",
                null=True,
                on_delete=django.db.models.deletion.SET_NULL,
                related_name="+",
                to="orgs.accesskey",
            ),
        ),
    ]
