"""The commands that start servers in development, tests and benchmarks; production has them in the Procfile."""

from __future__ import annotations

from flagsite.development.servers.data_folder_layout import ROOT


def web_command(
    port: int,
    *,
    workers: int = 2,
    threads: int = 2,
    application: str = "flagsite.wsgi:application",
    python: str = "python",
) -> list[str]:
    """The command of the web server on 127.0.0.1: how many web processes, and threads in each of them."""
    return [*_server(python, port), "--workers", str(workers), "--threads", str(threads), application]


def events_command(port: int, *, python: str = "python") -> list[str]:
    """The command of the events server, which tells clients of changes: one process, as waiting costs no time."""
    return [*_server(python, port), "--asgi", "flagsite.asgi:application"]


def _server(python: str, port: int) -> list[str]:
    return [python, "-m", "flagsite.web_server", "--host", "127.0.0.1", "--port", str(port)]


def worker_command(
    *, concurrency: int = 2, name: str = "", queues: tuple[str, ...] = (), python: str = "python"
) -> list[str]:
    """The command of a worker: how many jobs it can run at once, its name, and its queues, by default all."""
    options = ["--concurrency", str(concurrency), *(["--name", name] if name else [])]
    return [
        python,
        str(ROOT / "manage.py"),
        "run_worker",
        *options,
        *(o for queue in queues for o in ("--queue", queue)),
    ]
