"""The Django project as an app, so that Django finds its commands."""

from django.apps import AppConfig


class FlagsiteConfig(AppConfig):
    name = "flagsite"
