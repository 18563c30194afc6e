"""The status of a job tells how its work stands; a column of its own tells how each attempt ended.

Columns get their defaults in the database, and the hourly metrics count by trigger and number of the retry.
"""

import django.contrib.postgres.fields
import django.core.validators
from django.db import migrations, models

TRANSITIONS = """
CREATE OR REPLACE FUNCTION jobs_only_known_moves() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    IF OLD.status || '>' || NEW.status NOT IN (
        'PENDING>IN_PROGRESS', 'PENDING>CANCELLED', 'IN_PROGRESS>PENDING', 'IN_PROGRESS>CANCELLED',
        'IN_PROGRESS>COMPLETED', 'IN_PROGRESS>FAILED', 'IN_PROGRESS>RETRYING', 'RETRYING>COMPLETED',
        'RETRYING>FAILED', 'RETRYING>CANCELLED', 'FAILED>RETRYING', 'COMPLETED>RETRYING'
    ) THEN
        RAISE EXCEPTION 'Job % cannot go from % to %.', OLD.id, OLD.status, NEW.status
            USING ERRCODE = 'check_violation';
    END IF;
    RETURN NEW;
END $$;
CREATE TRIGGER jobs_only_known_moves BEFORE UPDATE OF status ON jobs_job
    FOR EACH ROW WHEN (OLD.status IS DISTINCT FROM NEW.status) EXECUTE FUNCTION jobs_only_known_moves();
CREATE FUNCTION jobs_keep_how_an_attempt_ended() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    IF TG_OP = 'UPDATE' AND OLD.ended_as <> '' THEN
        NEW.ended_as := OLD.ended_as;
    ELSIF TG_OP = 'UPDATE' OR NEW.ended_as = '' THEN
        NEW.ended_as := CASE WHEN NEW.status IN ('PENDING', 'IN_PROGRESS') THEN ''
                             WHEN NEW.status = 'RETRYING' THEN 'FAILED' ELSE NEW.status END;
    END IF;
    RETURN NEW;
END $$;
CREATE TRIGGER jobs_keep_how_an_attempt_ended BEFORE INSERT OR UPDATE OF status, ended_as ON jobs_job
    FOR EACH ROW EXECUTE FUNCTION jobs_keep_how_an_attempt_ended();
"""
FORMER_TRANSITIONS = """
DROP TRIGGER jobs_keep_how_an_attempt_ended ON jobs_job;
DROP FUNCTION jobs_keep_how_an_attempt_ended();
CREATE OR REPLACE FUNCTION jobs_only_known_moves() RETURNS trigger LANGUAGE plpgsql AS $$
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
WITHOUT_TRIGGER = "DROP TRIGGER jobs_only_known_moves ON jobs_job"
ENDED = """
UPDATE jobs_job SET ended_as = CASE status WHEN 'RETRYING' THEN 'FAILED' ELSE status END
 WHERE status NOT IN ('PENDING', 'IN_PROGRESS');
UPDATE jobs_job job SET status = CASE WHEN last.status IN ('PENDING', 'IN_PROGRESS') THEN 'RETRYING' ELSE last.status END
  FROM jobs_job root JOIN jobs_job last ON last.parent_job_id = root.id AND last.retry_count = root.retry_count
 WHERE root.id = COALESCE(job.parent_job_id, job.id) AND job.id <> last.id;
UPDATE jobs_job job
   SET carried_processed = sums.processed, carried_superseded = sums.superseded, carried_unchanged = sums.unchanged
  FROM (SELECT retry.id, sum(earlier.processed) AS processed, sum(earlier.superseded) AS superseded,
               sum(earlier.unchanged) AS unchanged
          FROM jobs_job retry
          JOIN jobs_job earlier ON COALESCE(earlier.parent_job_id, earlier.id) = retry.parent_job_id
               AND earlier.id < retry.id
         WHERE retry.only_behind AND earlier.id >= (
               SELECT max(whole.id) FROM jobs_job whole WHERE NOT whole.only_behind AND whole.id < retry.id
                  AND (whole.id = retry.parent_job_id OR whole.parent_job_id = retry.parent_job_id))
         GROUP BY retry.id) sums
 WHERE job.id = sums.id;
"""
FORMER_STATUSES = """
UPDATE jobs_job SET status = ended_as
 WHERE ended_as <> '' AND ended_as <> status AND NOT (status = 'RETRYING' AND ended_as = 'FAILED');
"""


class Migration(migrations.Migration):
    dependencies = [
        ("jobs", "0015_imports_of_organizations"),
        ("orgs", "0011_audit_log"),
    ]

    operations = [
        migrations.RemoveConstraint(
            model_name="hourlymetrics",
            name="one_tally_each_hour",
        ),
        migrations.AddField(
            model_name="hourlymetrics",
            name="backoff_buckets",
            field=django.contrib.postgres.fields.ArrayField(
                base_field=models.BigIntegerField(), default=[0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0], size=None
            ),
            preserve_default=False,
        ),
        migrations.AddField(
            model_name="hourlymetrics",
            name="backoff_seconds",
            field=models.FloatField(db_default=0, default=0),
        ),
        migrations.AddField(
            model_name="hourlymetrics",
            name="retry",
            field=models.PositiveSmallIntegerField(
                db_default=0,
                default=0,
                help_text="The number of the automatic retry in its round; 0 for other attempts.",
            ),
        ),
        migrations.AddField(
            model_name="hourlymetrics",
            name="trigger",
            field=models.CharField(
                db_default="",
                default="",
                help_text="What created the attempts: a request, a person or an automatic retry; empty in rows of versions that did not count this.",
                max_length=16,
            ),
        ),
        migrations.AddField(
            model_name="job",
            name="carried_processed",
            field=models.BigIntegerField(
                db_default=0,
                default=0,
                help_text="With only_behind: the organizations that earlier attempts processed and this one leaves out.",
            ),
        ),
        migrations.AddField(
            model_name="job",
            name="carried_superseded",
            field=models.BigIntegerField(db_default=0, default=0),
        ),
        migrations.AddField(
            model_name="job",
            name="carried_unchanged",
            field=models.BigIntegerField(db_default=0, default=0),
        ),
        migrations.AddField(
            model_name="job",
            name="ended_as",
            field=models.CharField(
                choices=[
                    ("PENDING", "Pending"),
                    ("IN_PROGRESS", "In Progress"),
                    ("COMPLETED", "Completed"),
                    ("FAILED", "Failed"),
                    ("RETRYING", "Retrying"),
                    ("CANCELLED", "Cancelled"),
                ],
                db_default="",
                default="",
                help_text="How this attempt ended, whatever its retries did later; empty while it waits or runs.",
                max_length=16,
            ),
        ),
        migrations.AlterField(
            model_name="bulktarget",
            name="outcome",
            field=models.CharField(
                db_default="", default="", help_text="Empty: still to do; done; or the reason why not.", max_length=200
            ),
        ),
        migrations.AlterField(
            model_name="enginecounter",
            name="value",
            field=models.BigIntegerField(db_default=0, default=0),
        ),
        migrations.AlterField(
            model_name="hourlymetrics",
            name="chain_seconds",
            field=models.FloatField(db_default=0, default=0),
        ),
        migrations.AlterField(
            model_name="hourlymetrics",
            name="chains",
            field=models.BigIntegerField(db_default=0, default=0, help_text="Attempts that ended their chain."),
        ),
        migrations.AlterField(
            model_name="hourlymetrics",
            name="count",
            field=models.BigIntegerField(db_default=0, default=0),
        ),
        migrations.AlterField(
            model_name="hourlymetrics",
            name="failed_organizations",
            field=models.BigIntegerField(db_default=0, default=0),
        ),
        migrations.AlterField(
            model_name="hourlymetrics",
            name="organizations",
            field=models.BigIntegerField(db_default=0, default=0),
        ),
        migrations.AlterField(
            model_name="hourlymetrics",
            name="processing_seconds",
            field=models.FloatField(db_default=0, default=0),
        ),
        migrations.AlterField(
            model_name="hourlymetrics",
            name="rescued",
            field=models.BigIntegerField(
                db_default=0, default=0, help_text="Attempts that the rescuer ended because their worker was dead."
            ),
        ),
        migrations.AlterField(
            model_name="hourlymetrics",
            name="retries",
            field=models.BigIntegerField(db_default=0, default=0, help_text="Attempts that were retries."),
        ),
        migrations.AlterField(
            model_name="hourlymetrics",
            name="superseded_organizations",
            field=models.BigIntegerField(db_default=0, default=0),
        ),
        migrations.AlterField(
            model_name="hourlymetrics",
            name="waiting_seconds",
            field=models.FloatField(db_default=0, default=0),
        ),
        migrations.AlterField(
            model_name="job",
            name="arguments",
            field=models.JSONField(db_default={}, default=dict),
        ),
        migrations.AlterField(
            model_name="job",
            name="cancelled_by",
            field=models.CharField(
                db_default="", default="", help_text="The actor who cancelled the job first.", max_length=200
            ),
        ),
        migrations.AlterField(
            model_name="job",
            name="claims",
            field=models.PositiveIntegerField(
                db_default=0, default=0, help_text="How often a worker claimed this attempt."
            ),
        ),
        migrations.AlterField(
            model_name="job",
            name="correlation_id",
            field=models.CharField(db_default="", default="", max_length=128),
        ),
        migrations.AlterField(
            model_name="job",
            name="error_traceback",
            field=models.TextField(db_default="", default=""),
        ),
        migrations.AlterField(
            model_name="job",
            name="failed",
            field=models.BigIntegerField(db_default=0, default=0),
        ),
        migrations.AlterField(
            model_name="job",
            name="max_retries",
            field=models.PositiveSmallIntegerField(
                db_default=3,
                default=3,
                help_text="The automatic retries that the queue allowed when the attempt was created, or when it failed.",
            ),
        ),
        migrations.AlterField(
            model_name="job",
            name="only_behind",
            field=models.BooleanField(
                db_default=False,
                default=False,
                help_text="Whether the job covers only the organizations that an earlier attempt did not write.",
            ),
        ),
        migrations.AlterField(
            model_name="job",
            name="priority",
            field=models.SmallIntegerField(db_default=0, default=0, help_text="Higher runs first."),
        ),
        migrations.AlterField(
            model_name="job",
            name="processed",
            field=models.BigIntegerField(db_default=0, default=0),
        ),
        migrations.AlterField(
            model_name="job",
            name="reason",
            field=models.TextField(db_default="", default="", help_text="Why a person retried the previous attempt."),
        ),
        migrations.AlterField(
            model_name="job",
            name="requested_by",
            field=models.CharField(db_default="", default="", max_length=200),
        ),
        migrations.AlterField(
            model_name="job",
            name="retry_count",
            field=models.PositiveIntegerField(
                db_default=0,
                default=0,
                help_text="For the first job of a chain, the number of its retries; for a retry, its own number.",
            ),
        ),
        migrations.AlterField(
            model_name="job",
            name="round_attempt",
            field=models.PositiveSmallIntegerField(
                db_default=0,
                default=0,
                help_text="Automatic retries since the request or the last manual retry; sets the backoff and the last retry.",
            ),
        ),
        migrations.AlterField(
            model_name="job",
            name="status",
            field=models.CharField(
                choices=[
                    ("PENDING", "Pending"),
                    ("IN_PROGRESS", "In Progress"),
                    ("COMPLETED", "Completed"),
                    ("FAILED", "Failed"),
                    ("RETRYING", "Retrying"),
                    ("CANCELLED", "Cancelled"),
                ],
                db_default="PENDING",
                default="PENDING",
                max_length=16,
            ),
        ),
        migrations.AlterField(
            model_name="job",
            name="superseded",
            field=models.BigIntegerField(
                db_default=0,
                default=0,
                help_text="Processed organizations that already had the value of a later change.",
            ),
        ),
        migrations.AlterField(
            model_name="job",
            name="trace_context",
            field=models.CharField(
                db_default="",
                default="",
                help_text="The W3C traceparent of the request, if it was traced.",
                max_length=64,
            ),
        ),
        migrations.AlterField(
            model_name="job",
            name="trigger",
            field=models.CharField(
                choices=[("request", "A request"), ("automatic", "The failure before it"), ("manual", "A person")],
                db_default="request",
                default="request",
                max_length=16,
            ),
        ),
        migrations.AlterField(
            model_name="job",
            name="unchanged",
            field=models.BigIntegerField(
                db_default=0, default=0, help_text="Processed organizations that already had the same value."
            ),
        ),
        migrations.AlterField(
            model_name="job",
            name="worker",
            field=models.CharField(db_default="", default="", max_length=200),
        ),
        migrations.AlterField(
            model_name="queue",
            name="backoff_base",
            field=models.FloatField(
                db_default=2.0,
                default=2.0,
                help_text="Automatic retry number n waits this number to the power of n, in seconds.",
                validators=[
                    django.core.validators.MinValueValidator(1.0),
                    django.core.validators.MaxValueValidator(60.0),
                ],
            ),
        ),
        migrations.AlterField(
            model_name="queue",
            name="backoff_jitter",
            field=models.FloatField(
                db_default=0.0,
                default=0.0,
                help_text="Share by which a backoff may grow at random; 0.2 means up to 20 %.",
                validators=[
                    django.core.validators.MinValueValidator(0.0),
                    django.core.validators.MaxValueValidator(1.0),
                ],
            ),
        ),
        migrations.AlterField(
            model_name="queue",
            name="max_retries",
            field=models.PositiveSmallIntegerField(
                db_default=3,
                default=3,
                help_text="Automatic retries after the first attempt.",
                validators=[django.core.validators.MaxValueValidator(10)],
            ),
        ),
        migrations.AlterField(
            model_name="queue",
            name="pause_reason",
            field=models.TextField(blank=True, db_default="", default=""),
        ),
        migrations.AlterField(
            model_name="queue",
            name="paused_by",
            field=models.CharField(blank=True, db_default="", default="", max_length=200),
        ),
        migrations.AlterField(
            model_name="worker",
            name="concurrency",
            field=models.PositiveIntegerField(db_default=1, default=1),
        ),
        migrations.AlterField(
            model_name="worker",
            name="is_stopping",
            field=models.BooleanField(db_default=False, default=False),
        ),
        migrations.AlterField(
            model_name="worker",
            name="queues",
            field=models.JSONField(db_default=[], default=list),
        ),
        migrations.RunSQL(WITHOUT_TRIGGER, FORMER_TRANSITIONS),
        migrations.RunSQL(ENDED, FORMER_STATUSES),
        migrations.RunSQL(TRANSITIONS, WITHOUT_TRIGGER),
    ]
