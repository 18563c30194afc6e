"""Types and variants of flags, and the numbers of variants in settings, flag states and changes."""

import django.db.models.deletion
import django.db.models.functions.datetime
from django.db import migrations, models

from flags.values.stored_json import StoredJson

KEEP_VARIANTS = """
CREATE OR REPLACE FUNCTION flags_keep_replaced_settings() RETURNS trigger LANGUAGE plpgsql
    SET enable_nestloop = off AS $$
DECLARE
    moment timestamptz := clock_timestamp();
BEGIN
    IF TG_OP = 'INSERT' THEN
        INSERT INTO flags_replacedsetting
               (organization_id, flag_id, replaced_by, number, created_at, replaced_at, kind, only_here, requested_by,
                reason)
        SELECT organization_id, flag_id, number, 0, created_at, moment, 'none', FALSE, '', ''
          FROM written WHERE kind <> 'none';
    ELSIF TG_OP = 'UPDATE' THEN
        INSERT INTO flags_replacedsetting
               (organization_id, flag_id, replaced_by, number, kept_from_id, exempt_from_id, created_at, replaced_at,
                expires_at, exempt_until, kind, enabled, only_here, requested_by, reason, decision, variant)
        SELECT former.organization_id, former.flag_id,
               CASE WHEN former.number <> written.number THEN written.number ELSE 0 END, former.number,
               former.kept_from_id, former.exempt_from_id, former.created_at, moment, former.expires_at,
               former.exempt_until, former.kind, former.enabled, former.only_here, former.requested_by, former.reason,
               former.decision, former.variant
          FROM former JOIN written USING (organization_id, flag_id)
         WHERE former.number <> written.number OR former.exempt_from_id IS DISTINCT FROM written.exempt_from_id;
    ELSE
        INSERT INTO flags_replacedsetting
               (organization_id, flag_id, replaced_by, number, kept_from_id, exempt_from_id, created_at, replaced_at,
                expires_at, exempt_until, kind, enabled, only_here, requested_by, reason, decision, variant)
        SELECT former.organization_id, former.flag_id, 0, former.number, former.kept_from_id, former.exempt_from_id,
               former.created_at, moment, former.expires_at, former.exempt_until, former.kind, former.enabled,
               former.only_here, former.requested_by, former.reason, former.decision, former.variant
          FROM former JOIN flags_flag flag ON flag.id = former.flag_id AND NOT flag.purging;
    END IF;
    RETURN NULL;
END $$;
"""
KEEP_NO_VARIANTS = """
CREATE OR REPLACE FUNCTION flags_keep_replaced_settings() RETURNS trigger LANGUAGE plpgsql
    SET enable_nestloop = off AS $$
DECLARE
    moment timestamptz := clock_timestamp();
BEGIN
    IF TG_OP = 'INSERT' THEN
        INSERT INTO flags_replacedsetting
               (organization_id, flag_id, replaced_by, number, created_at, replaced_at, kind, only_here, requested_by,
                reason)
        SELECT organization_id, flag_id, number, 0, created_at, moment, 'none', FALSE, '', ''
          FROM written WHERE kind <> 'none';
    ELSIF TG_OP = 'UPDATE' THEN
        INSERT INTO flags_replacedsetting
               (organization_id, flag_id, replaced_by, number, kept_from_id, exempt_from_id, created_at, replaced_at,
                expires_at, exempt_until, kind, enabled, only_here, requested_by, reason, decision)
        SELECT former.organization_id, former.flag_id,
               CASE WHEN former.number <> written.number THEN written.number ELSE 0 END, former.number,
               former.kept_from_id, former.exempt_from_id, former.created_at, moment, former.expires_at,
               former.exempt_until, former.kind, former.enabled, former.only_here, former.requested_by, former.reason,
               former.decision
          FROM former JOIN written USING (organization_id, flag_id)
         WHERE former.number <> written.number OR former.exempt_from_id IS DISTINCT FROM written.exempt_from_id;
    ELSE
        INSERT INTO flags_replacedsetting
               (organization_id, flag_id, replaced_by, number, kept_from_id, exempt_from_id, created_at, replaced_at,
                expires_at, exempt_until, kind, enabled, only_here, requested_by, reason, decision)
        SELECT former.organization_id, former.flag_id, 0, former.number, former.kept_from_id, former.exempt_from_id,
               former.created_at, moment, former.expires_at, former.exempt_until, former.kind, former.enabled,
               former.only_here, former.requested_by, former.reason, former.decision
          FROM former JOIN flags_flag flag ON flag.id = former.flag_id AND NOT flag.purging;
    END IF;
    RETURN NULL;
END $$;
"""
# Numbers up to 250 are those of variants.
NUMBERS = """
ALTER TABLE flags_customvalue ALTER COLUMN id SET START WITH 1001;
ALTER TABLE flags_customvalue ALTER COLUMN id RESTART;
"""


class Migration(migrations.Migration):
    dependencies = [
        ("flags", "0031_targeting_rules"),
        ("orgs", "0024_tell_of_numeric_keys_by_id"),
    ]

    operations = [
        migrations.CreateModel(
            name="CustomValue",
            fields=[
                ("id", models.AutoField(primary_key=True, serialize=False)),
                ("value", models.JSONField(decoder=StoredJson)),
                ("digest", models.BinaryField(help_text="The hash of the value in its canonical form.", max_length=16)),
                ("created_at", models.DateTimeField(db_default=django.db.models.functions.datetime.Now())),
            ],
        ),
        migrations.AddField(
            model_name="change",
            name="variant",
            field=models.IntegerField(
                db_default=0,
                default=0,
                help_text="The number of a variant or custom value of the flag; 0 stands for none in particular.",
            ),
        ),
        migrations.AddField(
            model_name="flag",
            name="default_variant",
            field=models.CharField(
                blank=True,
                db_default="",
                default="",
                help_text="The key of the variant that is served where it is on and nothing else decides.",
                max_length=255,
            ),
        ),
        migrations.AddField(
            model_name="flag",
            name="off_variant",
            field=models.CharField(
                blank=True,
                db_default="",
                default="",
                help_text="The key of the variant that is served where it is off. Empty if there is no value then.",
                max_length=255,
            ),
        ),
        migrations.AddField(
            model_name="flag",
            name="type",
            field=models.CharField(
                choices=[
                    ("boolean", "boolean"),
                    ("string", "string"),
                    ("integer", "integer"),
                    ("float", "float"),
                    ("object", "object"),
                ],
                db_default="boolean",
                default="boolean",
                help_text="The type of its values. It never changes.",
                max_length=8,
            ),
        ),
        migrations.AddField(
            model_name="flag",
            name="value_schema",
            field=models.JSONField(
                blank=True,
                decoder=StoredJson,
                help_text="A JSON Schema that each of its values has to fit.",
                null=True,
                verbose_name="schema",
            ),
        ),
        migrations.AddField(
            model_name="flag",
            name="variants",
            field=models.JSONField(
                blank=True,
                db_default=[],
                decoder=StoredJson,
                default=list,
                help_text="Its values, each with a key. Empty for a boolean flag.",
            ),
        ),
        migrations.AddField(
            model_name="flag",
            name="variants_made",
            field=models.PositiveSmallIntegerField(
                db_default=0, default=0, editable=False, help_text="The highest number that a variant has ever had."
            ),
        ),
        migrations.AddField(
            model_name="flagsetting",
            name="variant",
            field=models.IntegerField(
                db_default=0,
                default=0,
                help_text="The number of a variant or custom value of the flag; 0 stands for none in particular.",
            ),
        ),
        migrations.AddField(
            model_name="flagstate",
            name="variant",
            field=models.IntegerField(db_default=0, default=0),
        ),
        migrations.AddField(
            model_name="replacedsetting",
            name="variant",
            field=models.IntegerField(db_default=0, default=0),
        ),
        migrations.AddConstraint(
            model_name="flagsetting",
            constraint=models.CheckConstraint(
                condition=models.Q(("variant", 0), ("enabled", True), _connector="OR"),
                name="setting_with_a_variant_is_on",
            ),
        ),
        migrations.AddField(
            model_name="customvalue",
            name="flag",
            field=models.ForeignKey(
                db_index=False,
                on_delete=django.db.models.deletion.CASCADE,
                related_name="custom_values",
                to="flags.flag",
            ),
        ),
        migrations.AddConstraint(
            model_name="customvalue",
            constraint=models.UniqueConstraint(fields=("flag", "digest"), name="custom_value_of_flag"),
        ),
        migrations.RunSQL(NUMBERS, migrations.RunSQL.noop),
        migrations.RunSQL(KEEP_VARIANTS, KEEP_NO_VARIANTS),
    ]
