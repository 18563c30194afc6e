"""Placements and definitions as they were, which triggers keep, and the moment at which history begins."""

from django.db import migrations, models

import flagsite.core.db.clock

# Settings: also an exemption that ends because the lock is gone, and the settings of a deleted organization. A setting
# of a flag that is being purged is not kept.
KEEP_SETTINGS = """
CREATE OR REPLACE FUNCTION flags_keep_replaced_settings() RETURNS trigger LANGUAGE plpgsql AS $$
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
                expires_at, exempt_until, kind, enabled, only_here, requested_by, reason)
        SELECT former.organization_id, former.flag_id,
               CASE WHEN former.number <> written.number THEN written.number ELSE 0 END, former.number,
               former.kept_from_id, former.exempt_from_id, former.created_at, moment, former.expires_at,
               former.exempt_until, former.kind, former.enabled, former.only_here, former.requested_by, former.reason
          FROM former JOIN written USING (organization_id, flag_id)
         WHERE former.number <> written.number OR former.exempt_from_id IS DISTINCT FROM written.exempt_from_id;
    ELSE
        INSERT INTO flags_replacedsetting
               (organization_id, flag_id, replaced_by, number, kept_from_id, exempt_from_id, created_at, replaced_at,
                expires_at, exempt_until, kind, enabled, only_here, requested_by, reason)
        SELECT former.organization_id, former.flag_id, 0, former.number, former.kept_from_id, former.exempt_from_id,
               former.created_at, moment, former.expires_at, former.exempt_until, former.kind, former.enabled,
               former.only_here, former.requested_by, former.reason
          FROM former JOIN flags_flag flag ON flag.id = former.flag_id AND NOT flag.purging;
    END IF;
    RETURN NULL;
END $$;
CREATE TRIGGER keep_replaced_by_delete AFTER DELETE ON flags_flagsetting
    REFERENCING OLD TABLE AS former FOR EACH STATEMENT EXECUTE FUNCTION flags_keep_replaced_settings();
"""
KEEP_NO_DELETED = "DROP TRIGGER keep_replaced_by_delete ON flags_flagsetting;"
# A move changes the parent of one organization, but the numbers of many: so the trigger is one of rows, and fires for
# the columns of placements only. The code that writes the settings of the moved organizations takes the number.
KEEP_PLACEMENTS = """
CREATE FUNCTION flags_number_of_moves() RETURNS bigint LANGUAGE plpgsql AS $$
DECLARE
    number bigint := nullif(current_setting('flagsite.number_of_moves', TRUE), '')::bigint;
BEGIN
    IF number IS NULL THEN
        number := nextval('flags_change_number');
        PERFORM set_config('flagsite.number_of_moves', number::text, TRUE);
    END IF;
    RETURN number;
END $$;
CREATE FUNCTION flags_take_number_of_moves() RETURNS bigint LANGUAGE plpgsql AS $$
DECLARE
    number bigint := flags_number_of_moves();
BEGIN
    PERFORM set_config('flagsite.number_of_moves', '', TRUE);
    RETURN number;
END $$;
CREATE FUNCTION flags_keep_former_placement() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    IF OLD.parent_id IS DISTINCT FROM NEW.parent_id THEN
        INSERT INTO flags_formerplacement
               (organization_id, parent_id, new_parent_id, replaced_by, created_at, valid_until, kind, name, key)
        VALUES (OLD.id, OLD.parent_id, NEW.parent_id, flags_number_of_moves(), OLD.created_at, clock_timestamp(),
                'move', OLD.name, OLD.key);
    ELSE
        INSERT INTO flags_formerplacement
               (organization_id, parent_id, new_parent_id, replaced_by, created_at, valid_until, kind, name, key)
        VALUES (OLD.id, OLD.parent_id, NEW.parent_id, nextval('flags_change_number'), OLD.created_at,
                clock_timestamp(), 'rename', OLD.name, OLD.key);
    END IF;
    RETURN NULL;
END $$;
CREATE FUNCTION flags_keep_deleted_placements() RETURNS trigger LANGUAGE plpgsql AS $$
DECLARE
    moment timestamptz := clock_timestamp();
    number bigint;
BEGIN
    IF EXISTS (SELECT FROM gone) THEN
        number := nextval('flags_change_number');
        INSERT INTO flags_formerplacement
               (organization_id, parent_id, replaced_by, created_at, valid_until, kind, name, key)
        SELECT id, parent_id, number, created_at, moment, 'delete', name, key FROM gone;
    END IF;
    RETURN NULL;
END $$;
CREATE TRIGGER flags_keep_former_placement AFTER UPDATE OF parent_id, name, key ON orgs_organization FOR EACH ROW
    WHEN (OLD.parent_id IS DISTINCT FROM NEW.parent_id OR OLD.name <> NEW.name OR OLD.key <> NEW.key)
    EXECUTE FUNCTION flags_keep_former_placement();
CREATE TRIGGER flags_keep_deleted_placements AFTER DELETE ON orgs_organization REFERENCING OLD TABLE AS gone
    FOR EACH STATEMENT EXECUTE FUNCTION flags_keep_deleted_placements();
"""
KEEP_NO_PLACEMENTS = """
DROP TRIGGER flags_keep_deleted_placements ON orgs_organization;
DROP TRIGGER flags_keep_former_placement ON orgs_organization;
DROP FUNCTION flags_keep_deleted_placements();
DROP FUNCTION flags_keep_former_placement();
DROP FUNCTION flags_take_number_of_moves();
DROP FUNCTION flags_number_of_moves();
"""
# The code writes the row before the prerequisites, so the trigger finds the former ones.
KEEP_DEFINITIONS = """
CREATE FUNCTION flags_keep_former_definitions() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    INSERT INTO flags_formerdefinition (flag_id, version, replaced_by, valid_until, definition)
    SELECT former.id, former.version, nextval('flags_change_number'), clock_timestamp(),
           to_jsonb(former) || jsonb_build_object('prerequisites', ARRAY(
               SELECT needed.key FROM flags_flag_prerequisites link JOIN flags_flag needed ON needed.id = link.to_flag_id
                WHERE link.from_flag_id = former.id ORDER BY needed.key COLLATE "C"))
      FROM former JOIN written ON written.id = former.id AND written.version <> former.version;
    RETURN NULL;
END $$;
CREATE TRIGGER flags_keep_former_definitions AFTER UPDATE ON flags_flag
    REFERENCING OLD TABLE AS former NEW TABLE AS written
    FOR EACH STATEMENT EXECUTE FUNCTION flags_keep_former_definitions();
"""
KEEP_NO_DEFINITIONS = """
DROP TRIGGER flags_keep_former_definitions ON flags_flag;
DROP FUNCTION flags_keep_former_definitions();
"""
BEGIN = "INSERT INTO flags_historybegin (begins_at) VALUES (clock_timestamp())"


class Migration(migrations.Migration):
    dependencies = [
        ("flags", "0025_replaced_settings"),
        ("orgs", "0022_cheap_check_of_tree_locks"),
    ]

    operations = [
        migrations.CreateModel(
            name="HistoryBegin",
            fields=[
                ("id", models.BigAutoField(auto_created=True, primary_key=True, serialize=False, verbose_name="ID")),
                ("begins_at", models.DateTimeField()),
            ],
        ),
        migrations.CreateModel(
            name="FormerPlacement",
            fields=[
                ("id", models.BigAutoField(primary_key=True, serialize=False)),
                ("organization_id", models.BigIntegerField()),
                ("parent_id", models.BigIntegerField(null=True)),
                ("new_parent_id", models.BigIntegerField(null=True)),
                ("replaced_by", models.BigIntegerField()),
                ("created_at", models.DateTimeField(help_text="When the organization was created.")),
                ("valid_until", models.DateTimeField()),
                (
                    "kind",
                    models.CharField(
                        choices=[("move", "Move"), ("rename", "Rename"), ("delete", "Deletion")], max_length=6
                    ),
                ),
                ("name", models.CharField(max_length=255)),
                ("key", models.CharField(max_length=255)),
            ],
            options={
                "indexes": [
                    models.Index(fields=["organization_id", "valid_until"], name="former_placement"),
                    models.Index(fields=["replaced_by"], name="placement_replaced_by"),
                ],
            },
        ),
        migrations.CreateModel(
            name="FormerDefinition",
            fields=[
                ("id", models.BigAutoField(primary_key=True, serialize=False)),
                ("flag_id", models.BigIntegerField()),
                ("version", models.PositiveIntegerField()),
                ("replaced_by", models.BigIntegerField()),
                ("valid_until", models.DateTimeField()),
                ("definition", models.JSONField()),
            ],
            options={
                "indexes": [
                    models.Index(fields=["flag_id", "valid_until"], name="former_definition"),
                    models.Index(fields=["replaced_by"], name="definition_replaced_by"),
                ],
            },
        ),
        migrations.AlterField(
            model_name="flag",
            name="created_at",
            field=models.DateTimeField(db_default=flagsite.core.db.clock.ClockTimestamp(), editable=False),
        ),
        migrations.AlterField(
            model_name="change",
            name="created_at",
            field=models.DateTimeField(db_default=flagsite.core.db.clock.ClockTimestamp()),
        ),
        migrations.AlterField(
            model_name="flagsetting",
            name="created_at",
            field=models.DateTimeField(db_default=flagsite.core.db.clock.ClockTimestamp()),
        ),
        migrations.AlterField(
            model_name="replacedsetting",
            name="replaced_at",
            field=models.DateTimeField(db_default=flagsite.core.db.clock.ClockTimestamp()),
        ),
        migrations.AddIndex(
            model_name="replacedsetting",
            index=models.Index(fields=["organization_id", "flag_id", "replaced_at"], name="former_setting"),
        ),
        migrations.RunSQL(KEEP_SETTINGS, KEEP_NO_DELETED),
        migrations.RunSQL(KEEP_PLACEMENTS, KEEP_NO_PLACEMENTS),
        migrations.RunSQL(KEEP_DEFINITIONS, KEEP_NO_DEFINITIONS),
        migrations.RunSQL(BEGIN, migrations.RunSQL.noop),
    ]
