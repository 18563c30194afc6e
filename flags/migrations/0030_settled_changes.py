"""When a change had reached everything below, after its job is gone; and one moment for all moves of an import."""

from django.db import migrations, models

# Moves that belong together have one moment, so that no look into the past finds a part of them.
ONE_MOMENT = """
CREATE OR REPLACE FUNCTION flags_keep_former_placement() RETURNS trigger LANGUAGE plpgsql AS $$
DECLARE
    change bigint;
    moment timestamptz := clock_timestamp();
BEGIN
    IF OLD.parent_id IS DISTINCT FROM NEW.parent_id THEN
        IF coalesce(current_setting('flagsite.number_of_moves', TRUE), '') = '' THEN
            PERFORM set_config('flagsite.moment_of_moves', moment::text, TRUE);
        END IF;
        change := flags_number_of_moves();
        moment := current_setting('flagsite.moment_of_moves')::timestamptz;
        INSERT INTO flags_formerplacement
               (organization_id, parent_id, new_parent_id, replaced_by, created_at, valid_until, kind, name, key)
        VALUES (OLD.id, OLD.parent_id, NEW.parent_id, change, OLD.created_at, moment, 'move', OLD.name, OLD.key);
    ELSE
        INSERT INTO flags_formerplacement
               (organization_id, parent_id, new_parent_id, replaced_by, created_at, valid_until, kind, name, key)
        VALUES (OLD.id, OLD.parent_id, NEW.parent_id, nextval('flags_change_number'), OLD.created_at, moment, 'rename',
                OLD.name, OLD.key);
    END IF;
    RETURN NULL;
END $$;
"""


class Migration(migrations.Migration):
    dependencies = [
        ("flags", "0029_decisions_of_settings"),
    ]

    operations = [
        migrations.AddField(
            model_name="change",
            name="settled_at",
            field=models.DateTimeField(
                help_text="When its job had ended, if the job was deleted since. The job tells it until then.",
                null=True,
            ),
        ),
        migrations.RunSQL(ONE_MOMENT, migrations.RunSQL.noop),
    ]
