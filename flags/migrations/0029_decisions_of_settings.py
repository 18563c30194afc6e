"""Settings know the change that has decided them, also after moves, exemptions and undos."""

from typing import ClassVar

from django.db import migrations, models

KEEP = """
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
KEEP_NO_DECISIONS = """
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
"""
FILL = """
UPDATE flags_flagsetting SET decision = number;
UPDATE flags_replacedsetting SET decision = number;
"""
NUMBER = models.BigIntegerField(db_default=0, help_text="The number of the change that has decided this.")


class Migration(migrations.Migration):
    dependencies: ClassVar = [("flags", "0028_drift")]
    operations: ClassVar = [
        migrations.AddField("flagsetting", "decision", NUMBER),
        migrations.AddField("replacedsetting", "decision", models.BigIntegerField(db_default=0)),
        migrations.RunSQL(FILL, migrations.RunSQL.noop),
        migrations.RunSQL(KEEP, KEEP_NO_DECISIONS),
    ]
