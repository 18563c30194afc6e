"""The Django project: settings, URLs, Celery app, start of processes, health, metrics and embedded servers."""

from flagsite.celery import app as celery_app

__all__ = ["celery_app"]
