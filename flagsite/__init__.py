"""The Django project: settings, URLs, Celery app, the embedded servers, process start-up."""

from flagsite.celery import app as celery_app

__all__ = ["celery_app"]
