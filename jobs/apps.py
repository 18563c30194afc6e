"""The job engine."""

from importlib.util import find_spec

from django.apps import AppConfig


class JobsConfig(AppConfig):
    name = "jobs"
    verbose_name = "Jobs"

    def ready(self) -> None:
        """Register the Celery tasks, the kinds of jobs and the clean-up's rows in every process.

        With JOBS_INLINE, the web server needs them too.
        """
        from jobs import tasks  # noqa: F401, PLC0415 - the models are not loaded earlier
        from jobs.admin import job_pages  # noqa: PLC0415
        from jobs.artifacts import retention  # noqa: PLC0415
        from jobs.batches import ending, old_batches  # noqa: F401, PLC0415 - registers the rules of batches
        from jobs.imports import import_job, stored_file  # noqa: F401, PLC0415 - registers a kind of job
        from jobs.notifications import (  # noqa: PLC0415
            notification_job,  # noqa: F401 - registers a kind of job
            old_deliveries,
            replays,  # noqa: F401 - registers a kind of job
            subscriptions,
            telling,  # noqa: F401 - a maintenance task
        )
        from jobs.operations import cleanup  # noqa: PLC0415
        from jobs.tree_changes import deletion_job, move_job  # noqa: PLC0415 - register kinds of jobs
        from jobs.upkeep import maintenance_job, old_rows  # noqa: F401, PLC0415 - registers a kind of job
        from orgs.audit import subject_pages  # noqa: PLC0415
        from orgs.tree import large_changes  # noqa: PLC0415
        from orgs.tree.signals import organizations_removing  # noqa: PLC0415

        if find_spec("django_tasks"):  # a library of host projects
            from jobs.django_tasks import task_job  # noqa: F401, PLC0415 - registers a kind of job
        cleanup.add_old_rows(
            old_batches.OLD_BATCHES, stored_file.OLD_FILES, *old_rows.OLD_ROWS, old_deliveries.OLD_DELIVERIES,
            retention.OLD_ARTIFACTS, retention.ORPHANS,
        )  # fmt: skip
        subject_pages.finders["job"] = job_pages.find
        large_changes.deletions.append(deletion_job.start)
        large_changes.moves.append(move_job.start)
        organizations_removing.connect(
            subscriptions.remove_with_organizations, dispatch_uid="jobs.remove_subscriptions"
        )
