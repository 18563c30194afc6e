"""Indexes for the filters and the search of batches."""

from django.db import migrations, models


class Migration(migrations.Migration):
    dependencies = [
        ("jobs", "0030_readers_of_artifacts"),
        ("orgs", "0018_refuse_invisible_characters_in_keys"),
    ]

    operations = [
        migrations.AddIndex(
            model_name="batch",
            index=models.Index(fields=["outcome", "-id"], name="batch_by_outcome"),
        ),
        migrations.AddIndex(
            model_name="batch",
            index=models.Index(
                condition=models.Q(("key", ""), _negated=True), fields=["key", "-id"], name="batch_by_key"
            ),
        ),
        migrations.AddIndex(
            model_name="batch",
            index=models.Index(fields=["correlation_id"], name="batch_by_correlation"),
        ),
    ]
