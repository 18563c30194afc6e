"""Where the web processes of one server share their counts of requests, for whichever of them is asked."""

from __future__ import annotations

import os
import shutil
import socket
import sys
from pathlib import Path

import psutil
import structlog
from django.conf import settings

log = structlog.get_logger(__name__)
VARIABLE = "PROMETHEUS_MULTIPROC_DIR"


def share_counts() -> None:
    """Have this process and its siblings (children of the same server) count together.

    prometheus_client looks at its variable when it is imported: once it is, a process counts for itself. So it does
    where nothing can be written. Folders of servers of this machine that are gone are removed.
    """
    if "prometheus_client" in sys.modules:
        return
    base = Path(settings.METRICS_FOLDER)
    own = base / f"{socket.gethostname()}-{os.getppid()}"
    try:
        own.mkdir(mode=0o700, parents=True, exist_ok=True)
        if not os.access(own, os.W_OK):
            raise PermissionError(f"{own} belongs to somebody else")
        _forget_servers_that_are_gone(base)
    except OSError as error:
        log.warning("metrics_not_shared", error=str(error))
        os.environ.pop(VARIABLE, None)
        return
    os.environ[VARIABLE] = str(own)


def _forget_servers_that_are_gone(base: Path) -> None:
    for folder in base.glob(f"{socket.gethostname()}-*"):
        pid = folder.name.rpartition("-")[2]
        if pid.isdigit() and not psutil.pid_exists(int(pid)):
            shutil.rmtree(folder, ignore_errors=True)
