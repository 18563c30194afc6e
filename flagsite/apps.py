"""The project itself as an app, for its commands and checks."""

from django.apps import AppConfig


class FlagsiteConfig(AppConfig):
    name = "flagsite"
