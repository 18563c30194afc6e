"""The folder in which the web processes of one server share their counts of requests, so that each can report all."""

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


def share_request_counts() -> None:
    """Let this process and its siblings (children of the same server) share their counts.

    Call this before prometheus_client is imported, because it reads its environment variable then. After the import,
    or if the folder is not writable, the process counts for itself. Also removes the folders of servers of this
    machine that have ended.
    """
    if "prometheus_client" in sys.modules:
        return
    base = Path(settings.METRICS_FOLDER)
    own = base / f"{socket.gethostname()}-{os.getppid()}"
    try:
        own.mkdir(mode=0o700, parents=True, exist_ok=True)
        if not os.access(own, os.W_OK):
            raise PermissionError(f"{own} is not writable for this user")
        _remove_folders_of_ended_servers(base)
    except OSError as error:
        log.warning("metrics_not_shared", error=str(error))
        os.environ.pop(VARIABLE, None)
        return
    os.environ[VARIABLE] = str(own)


def _remove_folders_of_ended_servers(base: Path) -> None:
    for folder in base.glob(f"{socket.gethostname()}-*"):
        pid = folder.name.rpartition("-")[2]
        if pid.isdigit() and not psutil.pid_exists(int(pid)):
            shutil.rmtree(folder, ignore_errors=True)
