"""The limits of a web process, from the settings."""

from __future__ import annotations

from dataclasses import replace

from django.conf import settings

from flagsite.web_server.limits import Limits

FORM_BYTES = 2**20
"""What a form may have besides its file."""
EVENTS_BODY_BYTES = 2**16
"""The longest body at the events server, where nobody needs one."""


def limits_from_settings() -> Limits:
    """What WEB_CONNECTIONS, WEB_HEAD_SECONDS, WEB_BODY_SECONDS and WEB_IDLE_SECONDS say, and MAX_IMPORT_BYTES.

    A body may be as long as the longest request that Flagsite itself accepts, which is a form with a file. Flagsite
    says in words what is too long for its address.
    """
    default = Limits()
    longest = max(settings.MAX_IMPORT_BYTES, settings.DATA_UPLOAD_MAX_MEMORY_SIZE) + FORM_BYTES
    return replace(
        default,
        connections=settings.WEB_CONNECTIONS,
        head_seconds=settings.WEB_HEAD_SECONDS,
        body_seconds=settings.WEB_BODY_SECONDS,
        idle_seconds=settings.WEB_IDLE_SECONDS,
        body_bytes=max(default.body_bytes, longest),
        all_bodies_bytes=max(default.all_bodies_bytes, 2 * longest),
    )


def limits_of_events_server() -> Limits:
    """The same without long bodies."""
    return replace(limits_from_settings(), body_bytes=EVENTS_BODY_BYTES)
