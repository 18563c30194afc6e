"""gunicorn's own lines (it starts, a worker times out) in the same shape as ours: --logger-class in the Procfile.

Imported by gunicorn's main process, of which each worker is a copy: thus it imports nothing that may change with a
reload, and reads the one variable that it needs by itself.
"""

from __future__ import annotations

import os
from typing import Any

from gunicorn.glogging import Logger

from flagsite import logs


class Lines(Logger):
    """gunicorn's logger with our formatter."""

    def setup(self, cfg: Any) -> None:
        super().setup(cfg)
        for handler in self.error_log.handlers:
            handler.setFormatter(logs.formatter(os.environ.get("LOG_FORMAT") or "json"))
