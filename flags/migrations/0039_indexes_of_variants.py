"""Indexes of settings and changes that name a variant or a custom value, built while others write."""

from django.contrib.postgres.operations import AddIndexConcurrently
from django.db import migrations, models
from django.db.models import Q


class Migration(migrations.Migration):
    atomic = False
    dependencies = [("flags", "0038_default_rollout")]

    operations = [
        AddIndexConcurrently(
            model_name="change",
            index=models.Index(
                fields=["flag", "variant", "-number"], name="change_to_variant", condition=Q(variant__gt=0)
            ),
        ),
        AddIndexConcurrently(
            model_name="flagsetting",
            index=models.Index(
                fields=["flag", "variant", "organization"], name="setting_to_variant", condition=Q(variant__gt=0)
            ),
        ),
        AddIndexConcurrently(
            model_name="replacedsetting",
            index=models.Index(
                fields=["flag_id", "variant"], name="custom_value_replaced", condition=Q(variant__gte=1001)
            ),
        ),
    ]
