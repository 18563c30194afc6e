"""Segments, their former contents, which a trigger keeps, and the change notifications about them."""

import django.contrib.postgres.fields
import django.core.validators
import django.db.models.functions.datetime
from django.db import migrations, models

import flagsite.core.db.clock

TELL = """
CREATE TRIGGER segments_changed AFTER INSERT OR UPDATE OR DELETE OR TRUNCATE ON flags_segment
   FOR EACH STATEMENT EXECUTE FUNCTION flagsite_tell('definitions');
"""
SILENCE = "DROP TRIGGER segments_changed ON flags_segment;"
KEEP = """
CREATE FUNCTION flags_keep_former_segments() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    IF TG_OP = 'UPDATE' THEN
        INSERT INTO flags_formersegment (segment_id, version, replaced_by, valid_until, content)
        SELECT former.id, former.version, nextval('flags_change_number'), clock_timestamp(), to_jsonb(former)
          FROM former JOIN written ON written.id = former.id AND written.version <> former.version;
    ELSE
        INSERT INTO flags_formersegment (segment_id, version, replaced_by, valid_until, content)
        SELECT former.id, former.version, nextval('flags_change_number'), clock_timestamp(), to_jsonb(former)
          FROM former;
    END IF;
    RETURN NULL;
END $$;
CREATE TRIGGER flags_keep_former_segments AFTER UPDATE ON flags_segment
    REFERENCING OLD TABLE AS former NEW TABLE AS written
    FOR EACH STATEMENT EXECUTE FUNCTION flags_keep_former_segments();
CREATE TRIGGER flags_keep_deleted_segments AFTER DELETE ON flags_segment REFERENCING OLD TABLE AS former
    FOR EACH STATEMENT EXECUTE FUNCTION flags_keep_former_segments();
"""
KEEP_NOTHING = """
DROP TRIGGER flags_keep_deleted_segments ON flags_segment;
DROP TRIGGER flags_keep_former_segments ON flags_segment;
DROP FUNCTION flags_keep_former_segments();
"""


class Migration(migrations.Migration):
    dependencies = [
        ("flags", "0034_wants_of_prerequisites"),
    ]

    operations = [
        migrations.CreateModel(
            name="Segment",
            fields=[
                ("id", models.BigAutoField(primary_key=True, serialize=False)),
                (
                    "key",
                    models.CharField(
                        max_length=100,
                        unique=True,
                        validators=[
                            django.core.validators.RegexValidator(
                                "\\A[A-Za-z0-9][A-Za-z0-9._-]{0,99}\\Z",
                                "1 to 100 of A-Z a-z 0-9 . _ -, starting with a letter or digit.",
                            )
                        ],
                    ),
                ),
                ("description", models.TextField(blank=True, db_default="", default="")),
                (
                    "rules",
                    models.JSONField(
                        blank=True,
                        db_default=[],
                        default=list,
                        help_text="Whoever one of the rules matches is in the segment.",
                    ),
                ),
                (
                    "included",
                    django.contrib.postgres.fields.ArrayField(
                        base_field=models.CharField(max_length=255),
                        blank=True,
                        db_default=[],
                        default=list,
                        help_text="Targeting keys that are in it, whatever else is written here. One in each line.",
                        size=None,
                    ),
                ),
                (
                    "excluded",
                    django.contrib.postgres.fields.ArrayField(
                        base_field=models.CharField(max_length=255),
                        blank=True,
                        db_default=[],
                        default=list,
                        help_text="Targeting keys that are not in it, even where a rule matches. One in each line.",
                        size=None,
                    ),
                ),
                ("owner", models.CharField(blank=True, db_default="", default="", max_length=200)),
                (
                    "tags",
                    django.contrib.postgres.fields.ArrayField(
                        base_field=models.CharField(max_length=64), blank=True, db_default=[], default=list, size=None
                    ),
                ),
                (
                    "version",
                    models.PositiveIntegerField(
                        db_default=1, default=1, help_text="Grows with each change of the segment."
                    ),
                ),
                (
                    "created_at",
                    models.DateTimeField(db_default=flagsite.core.db.clock.ClockTimestamp(), editable=False),
                ),
                ("created_by", models.CharField(db_default="", default="", max_length=200)),
                (
                    "updated_at",
                    models.DateTimeField(db_default=django.db.models.functions.datetime.Now(), editable=False),
                ),
                ("updated_by", models.CharField(db_default="", default="", max_length=200)),
            ],
        ),
        migrations.CreateModel(
            name="FormerSegment",
            fields=[
                ("id", models.BigAutoField(primary_key=True, serialize=False)),
                ("segment_id", models.BigIntegerField()),
                ("version", models.PositiveIntegerField()),
                ("replaced_by", models.BigIntegerField()),
                ("valid_until", models.DateTimeField()),
                ("content", models.JSONField()),
            ],
            options={
                "indexes": [
                    models.Index(fields=["segment_id", "valid_until"], name="former_segment"),
                    models.Index(fields=["replaced_by"], name="segment_replaced_by"),
                ],
            },
        ),
        migrations.RunSQL(TELL, SILENCE),
        migrations.RunSQL(KEEP, KEEP_NOTHING),
    ]
