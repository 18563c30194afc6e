"""Run web, worker and beat on this machine until Ctrl-C."""

from __future__ import annotations

import signal
from typing import Any

from django.core.management import call_command
from django.core.management.base import BaseCommand, CommandError, CommandParser
from rich.console import Console

from flagsite.development.servers import ROOT, ServerError, data_folder
from flagsite.development.servers.code import CodeWatch
from flagsite.development.servers.ports import Ports, kept_ports
from flagsite.development.servers.processes import alone
from flagsite.development.servers.serving import serving


class Command(BaseCommand):
    help = "Run web, worker and beat on this machine until Ctrl-C, with one log; migrates first."

    def add_arguments(self, parser: CommandParser) -> None:
        parser.add_argument("--port", type=int, help="default: 8000, or the next free one")
        parser.add_argument("--reload", action="store_true", help="take over changed code without a restart by hand")

    def handle(self, *args: Any, port: int | None, reload: bool, **options: Any) -> None:
        console = Console(stderr=True, highlight=False)
        try:
            with alone(data_folder()), kept_ports(port) as ports:
                _serve(ports, console, reload=reload)
        except ServerError as error:
            raise CommandError(str(error)) from error


def _serve(ports: Ports, console: Console, *, reload: bool) -> None:
    call_command("migrate", interactive=False, verbosity=0)
    watch = CodeWatch(ROOT).changed if reload else lambda: False
    with serving(ports, console, code_changed=watch) as log:
        log.echo = True
        console.print(f"[bold]Flagsite[/] at http://127.0.0.1:{ports.web}, log also in {log.path}. Ctrl-C stops.")
        signal.pause()
