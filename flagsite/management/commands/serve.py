"""The command `serve`: run web, events, worker and beat on this machine until Ctrl-C."""

from __future__ import annotations

import os
import signal
from collections.abc import Callable
from typing import Any

from django.core.management import call_command
from django.core.management.base import CommandError, CommandParser
from rich.console import Console

from flagsite.core.console.command import PlainCommand
from flagsite.development.demo import access
from flagsite.development.servers import ROOT, ServerError, data_folder
from flagsite.development.servers.installation import installation_running
from flagsite.development.servers.port_reservation import Ports, reserve_ports
from flagsite.development.servers.supervisor import only_supervisor


class Command(PlainCommand):
    help = "Run the migrations, then web, events, worker and beat on this machine with one log, until Ctrl-C."

    def add_arguments(self, parser: CommandParser) -> None:
        parser.add_argument("--port", type=int, help="default: 8000, or the next free one")
        parser.add_argument("--reload", action="store_true", help="restart the processes when code changes")

    def handle(self, *args: Any, port: int | None, reload: bool, **options: Any) -> None:
        console = Console(stderr=True, highlight=False)
        try:
            with only_supervisor(data_folder()), reserve_ports(port) as ports:
                _serve(ports, console, reload=reload)
        except ServerError as error:
            raise CommandError(str(error)) from error


def _serve(ports: Ports, console: Console, *, reload: bool) -> None:
    call_command("migrate", interactive=False, verbosity=0)
    with installation_running(ports, console, code_changed=_code_changed() if reload else lambda: False) as log:
        log.echo = True
        console.print(
            f"[bold]Flagsite[/] at http://127.0.0.1:{ports.web}, log also in {log.path}. Ctrl-C stops everything."
        )
        if not os.environ.get("DATABASE_URL"):  # only the embedded database gets a login that a file tells
            password = access.admin_password(data_folder())
            login = f"Admin site: http://127.0.0.1:{ports.web}/admin/   log in as {access.LOGIN} with {password}"
            Console(highlight=False, soft_wrap=True).print(login, markup=False)  # not among the lines of the log
        signal.pause()


def _code_changed() -> Callable[[], bool]:
    from flagsite.development.servers.code_watcher import CodeWatcher  # noqa: PLC0415 - needs requirements-local.txt

    return CodeWatcher(ROOT).changed
