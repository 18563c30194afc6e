"""Settings as they were before a change replaced them, which a trigger keeps."""

import django.db.models.functions.datetime
from django.db import migrations, models

KEEP_REPLACED = """
CREATE FUNCTION flags_keep_replaced_settings() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    IF TG_OP = 'INSERT' THEN
        INSERT INTO flags_replacedsetting
               (organization_id, flag_id, replaced_by, number, created_at, kind, only_here, requested_by, reason)
        SELECT organization_id, flag_id, number, 0, created_at, 'none', FALSE, '', ''
          FROM written WHERE kind <> 'none';
    ELSE
        INSERT INTO flags_replacedsetting
               (organization_id, flag_id, replaced_by, number, kept_from_id, exempt_from_id, created_at, expires_at,
                exempt_until, kind, enabled, only_here, requested_by, reason)
        SELECT former.organization_id, former.flag_id, written.number, former.number, former.kept_from_id,
               former.exempt_from_id, former.created_at, former.expires_at, former.exempt_until, former.kind,
               former.enabled, former.only_here, former.requested_by, former.reason
          FROM former JOIN written USING (organization_id, flag_id)
         WHERE former.number <> written.number;
    END IF;
    RETURN NULL;
END $$;
CREATE TRIGGER keep_replaced_by_insert AFTER INSERT ON flags_flagsetting
    REFERENCING NEW TABLE AS written FOR EACH STATEMENT EXECUTE FUNCTION flags_keep_replaced_settings();
CREATE TRIGGER keep_replaced_by_update AFTER UPDATE ON flags_flagsetting
    REFERENCING OLD TABLE AS former NEW TABLE AS written
    FOR EACH STATEMENT EXECUTE FUNCTION flags_keep_replaced_settings();
"""
FORGET = """
DROP TRIGGER keep_replaced_by_insert ON flags_flagsetting;
DROP TRIGGER keep_replaced_by_update ON flags_flagsetting;
DROP FUNCTION flags_keep_replaced_settings();
"""


class Migration(migrations.Migration):
    dependencies = [
        ("flags", "0024_uniform_changes"),
    ]

    operations = [
        migrations.CreateModel(
            name="ReplacedSetting",
            fields=[
                ("id", models.BigAutoField(primary_key=True, serialize=False)),
                ("organization_id", models.BigIntegerField()),
                ("flag_id", models.BigIntegerField()),
                ("replaced_by", models.BigIntegerField()),
                ("number", models.BigIntegerField()),
                ("kept_from_id", models.BigIntegerField(null=True)),
                ("exempt_from_id", models.BigIntegerField(null=True)),
                ("created_at", models.DateTimeField()),
                ("replaced_at", models.DateTimeField(db_default=django.db.models.functions.datetime.Now())),
                ("expires_at", models.DateTimeField(null=True)),
                ("exempt_until", models.DateTimeField(null=True)),
                ("kind", models.CharField(max_length=6)),
                ("enabled", models.BooleanField(null=True)),
                ("only_here", models.BooleanField(default=False)),
                ("requested_by", models.CharField(default="", max_length=200)),
                ("reason", models.TextField(default="")),
            ],
            options={
                "indexes": [
                    models.Index(fields=["replaced_by"], name="setting_replaced_by"),
                    models.Index(fields=["flag_id"], name="replaced_setting_of_flag"),
                ],
            },
        ),
        migrations.AddIndex(
            model_name="change",
            index=models.Index(fields=["number"], name="change_by_number"),
        ),
        migrations.AddIndex(
            model_name="flagsetting",
            index=models.Index(
                condition=models.Q(("kind", "lock")),
                fields=["flag"],
                name="lock_of_flag",
            ),
        ),
        migrations.RunSQL(KEEP_REPLACED, FORGET),
    ]
