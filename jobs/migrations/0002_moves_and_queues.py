"""The database refuses status changes that jobs.states.MOVES has not; the first queues."""

from __future__ import annotations

from typing import Any, ClassVar

from django.db import migrations

MOVES = """
CREATE FUNCTION jobs_only_known_moves() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    IF OLD.status || '>' || NEW.status NOT IN (
        'PENDING>IN_PROGRESS', 'PENDING>CANCELLED', 'IN_PROGRESS>PENDING', 'IN_PROGRESS>CANCELLED',
        'IN_PROGRESS>COMPLETED', 'IN_PROGRESS>FAILED', 'IN_PROGRESS>RETRYING', 'RETRYING>FAILED', 'FAILED>RETRYING'
    ) THEN
        RAISE EXCEPTION 'Job % cannot go from % to %.', OLD.id, OLD.status, NEW.status
            USING ERRCODE = 'check_violation';
    END IF;
    RETURN NEW;
END $$;
CREATE TRIGGER jobs_only_known_moves BEFORE UPDATE OF status ON jobs_job
    FOR EACH ROW WHEN (OLD.status IS DISTINCT FROM NEW.status) EXECUTE FUNCTION jobs_only_known_moves();
"""
FORGET = """
DROP TRIGGER jobs_only_known_moves ON jobs_job;
DROP FUNCTION jobs_only_known_moves();
"""


def create_queues(apps: Any, schema_editor: Any) -> None:
    """`propagation` carries changes down the tree, `default` does everything else."""
    queue = apps.get_model("jobs", "Queue")
    queue.objects.bulk_create([queue(name="propagation"), queue(name="default")], ignore_conflicts=True)


class Migration(migrations.Migration):
    dependencies: ClassVar = [("jobs", "0001_initial")]
    operations: ClassVar = [
        migrations.RunSQL(MOVES, FORGET),
        # room for heap-only updates: a running job's row is written with each chunk
        migrations.RunSQL("ALTER TABLE jobs_job SET (fillfactor = 50)", "ALTER TABLE jobs_job RESET (fillfactor)"),
        migrations.RunPython(create_queues, migrations.RunPython.noop),
    ]
