"""How the web server is started for development, tests and benchmarks; the Procfile says it for production."""

from __future__ import annotations

from flagsite.development.servers.locations import ROOT

LINES = str(ROOT / "flagsite" / "web_log.json")
"""What makes the server's own lines look like ours."""


def web_command(port: int, *, workers: int = 2, threads: int = 2) -> list[str]:
    """The program and its arguments: so many processes on this machine's port, each with so many threads."""
    return [
        *("granian", "--interface", "wsgi", "--host", "127.0.0.1", "--port", str(port), "--workers", str(workers)),
        *("--blocking-threads", str(threads), *_common()),
        *("--respawn-failed-workers", "--workers-kill-timeout", "20", "flagsite.wsgi:application"),
    ]


def events_command(port: int) -> list[str]:
    """The program and its arguments that tell clients of changes: one process, since a waiting client costs no time."""
    return [
        *("granian", "--interface", "asgi", "--host", "127.0.0.1", "--port", str(port), *_common()),
        *("--workers-kill-timeout", "2", "flagsite.asgi:application"),
    ]


def _common() -> list[str]:
    return ["--no-ws", "--log-config", LINES]
