"""The job engine."""

from django.apps import AppConfig


class JobsConfig(AppConfig):
    name = "jobs"
    verbose_name = "Jobs"

    def ready(self) -> None:
        """Register the Celery tasks in every process, so that JOBS_INLINE finds them in the web server as well."""
        from jobs import tasks  # noqa: F401, PLC0415 - the models are not loaded earlier
