"""The limits of a web process, from the settings."""

from __future__ import annotations

from django.conf import settings

from flagsite.web_server.limits import Limits


def limits_from_settings() -> Limits:
    """What WEB_CONNECTIONS, WEB_HEAD_SECONDS, WEB_BODY_SECONDS and WEB_IDLE_SECONDS say."""
    return Limits(
        connections=settings.WEB_CONNECTIONS,
        head_seconds=settings.WEB_HEAD_SECONDS,
        body_seconds=settings.WEB_BODY_SECONDS,
        idle_seconds=settings.WEB_IDLE_SECONDS,
    )
