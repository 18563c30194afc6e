"""The commands that start the web servers in development, tests and benchmarks; production has them in the Procfile."""

from __future__ import annotations

from flagsite.development.servers.data_folder_layout import ROOT

LOG_CONFIGURATION = str(ROOT / "flagsite" / "web_log.json")
"""Granian's logging configuration, by which its own log lines look like Flagsite's."""


def web_command(port: int, *, workers: int = 2, threads: int = 2) -> list[str]:
    """The command of the web server on 127.0.0.1: how many worker processes, and threads in each of them."""
    return [
        *("granian", "--interface", "wsgi", "--host", "127.0.0.1", "--port", str(port), "--workers", str(workers)),
        *("--blocking-threads", str(threads), *_common()),
        *("--respawn-failed-workers", "--workers-kill-timeout", "20", "flagsite.wsgi:application"),
    ]


def events_command(port: int) -> list[str]:
    """The command of the events server, which tells clients of changes: one process, as waiting costs no time."""
    return [
        *("granian", "--interface", "asgi", "--host", "127.0.0.1", "--port", str(port), *_common()),
        *("--workers-kill-timeout", "2", "flagsite.asgi:application"),
    ]


def _common() -> list[str]:
    return ["--no-ws", "--log-config", LOG_CONFIGURATION]
