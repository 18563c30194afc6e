"""Access keys can have the roles client and evaluator, which only evaluate flags."""

from __future__ import annotations

from typing import ClassVar

from django.db import migrations, models


class Migration(migrations.Migration):
    dependencies: ClassVar = [("orgs", "0011_audit_log")]
    operations: ClassVar = [
        migrations.RemoveConstraint(model_name="accesskey", name="access_key_role_is_known"),
        migrations.AlterField(
            model_name="accesskey",
            name="role",
            field=models.CharField(
                choices=[
                    ("client", "Client: evaluates the flags that are available to clients"),
                    ("evaluator", "Evaluator: evaluates all flags"),
                    ("reader", "Reader: sees"),
                    ("editor", "Editor: sets flags"),
                    ("operator", "Operator: retries and cancels jobs"),
                    ("admin", "Admin: changes the organization tree"),
                ],
                default="reader",
                max_length=16,
            ),
        ),
        migrations.AddConstraint(
            model_name="accesskey",
            constraint=models.CheckConstraint(
                condition=models.Q(role__in=["client", "evaluator", "reader", "editor", "operator", "admin"]),
                name="access_key_role_is_known",
            ),
        ),
    ]
