"""The limits of the web server fit to what Flagsite itself accepts."""

from __future__ import annotations

from typing import Any

from flagsite.web.web_limits import limits_from_settings, limits_of_events_server


def test_the_web_server_takes_the_largest_file_that_flagsite_imports(settings: Any) -> None:
    settings.MAX_IMPORT_BYTES = 300_000_000
    limits = limits_from_settings()
    assert limits.body_bytes > 300_000_000
    assert limits.all_bodies_bytes >= 2 * limits.body_bytes


def test_the_events_server_takes_no_long_bodies(settings: Any) -> None:
    settings.WEB_HEAD_SECONDS = 3
    limits = limits_of_events_server()
    assert (limits.body_bytes, limits.head_seconds) == (65_536, 3)
