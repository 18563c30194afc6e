"""granian's own lines (it starts, a worker ends) in the same shape as ours: web_log.json names this.

Imported by granian's main process too, which knows no settings: it reads the one variable that it needs by itself.
"""

from __future__ import annotations

import os
from typing import Any

from flagsite import logging


def lines() -> Any:
    """What makes a line of a record: JSON, or text for people where LOG_FORMAT=console."""
    style = os.environ.get("LOG_FORMAT") or ("json" if os.environ.get("DATABASE_URL") else "console")
    return logging.formatter(style)
