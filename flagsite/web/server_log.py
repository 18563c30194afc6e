"""The format of granian's own log lines, such as that it has started: the same as of Flagsite's lines.

granian finds `formatter` by its name in web_log.json. granian's main process imports this module without Django, so it
reads the environment and not the settings.
"""

from __future__ import annotations

import os
from typing import Any

from flagsite import logging


def formatter() -> Any:
    """The formatter for log records: JSON, or text for people with LOG_FORMAT=console."""
    style = os.environ.get("LOG_FORMAT") or ("json" if os.environ.get("DATABASE_URL") else "console")
    return logging.formatter(style)
