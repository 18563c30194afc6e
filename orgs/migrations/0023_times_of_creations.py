"""The time at which an organization is created, instead of the begin of a transaction that waited for the tree lock."""

from django.db import migrations, models

import flagsite.core.db.clock


class Migration(migrations.Migration):
    dependencies = [
        ("orgs", "0022_cheap_check_of_tree_locks"),
    ]

    operations = [
        migrations.AlterField(
            model_name="organization",
            name="created_at",
            field=models.DateTimeField(db_default=flagsite.core.db.clock.ClockTimestamp(), editable=False),
        ),
    ]
