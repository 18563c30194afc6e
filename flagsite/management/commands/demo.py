"""Everything from nothing, then a flag that reaches some 5,000 organizations before your eyes."""

from __future__ import annotations

import csv
import io
import json
import signal
import sys
import time
from contextlib import suppress
from typing import Any

from django.core.management import call_command
from django.core.management.base import BaseCommand, CommandError, CommandParser
from rich.console import Console

from flagsite.development.demo import access
from flagsite.development.demo.api import Api, UnexpectedAnswer
from flagsite.development.demo.screen import Screen
from flagsite.development.demo.story import FLAG, Outcome, tell
from flagsite.development.servers import ROOT, ServerError, data_folder
from flagsite.development.servers.combined_log import CombinedLog
from flagsite.development.servers.installation import installation_running
from flagsite.development.servers.port_reservation import DEFAULT_PORT, Ports, reserve_ports
from flagsite.development.servers.supervisor import only_supervisor

TREE = ROOT / "flagsite" / "development" / "demo" / "organizations.csv"


class Command(BaseCommand):
    help = (
        "Load the demo tree, start web, worker and beat, set a flag on the root over HTTP, follow the job, read some "
        "organizations back, and serve until Ctrl-C. The last line of standard output is one JSON object."
    )

    def add_arguments(self, parser: CommandParser) -> None:
        parser.add_argument("--once", action="store_true", help="stop everything after the main job")
        parser.add_argument("--port", type=int, help="default: 8000, or the next free one")

    def handle(self, *args: Any, once: bool, port: int | None, **options: Any) -> None:
        screen = Screen()
        try:
            with only_supervisor(data_folder()), reserve_ports(port) as ports:
                screen.title("Flagsite", "set a flag at the top of a tree, and everyone below has it")
                if port is None and ports.web != DEFAULT_PORT:
                    screen.warn(f"Port {DEFAULT_PORT} is taken, so this is port {ports.web}.")
                outcome = _run(screen, ports, once=once)
        except (ServerError, UnexpectedAnswer) as error:
            raise CommandError(str(error)) from error
        if not outcome.succeeded:
            sys.exit(1)


def _run(screen: Screen, ports: Ports, *, once: bool) -> Outcome:
    """Show everything; the servers that the database commands need run already."""
    _load(screen)
    password = access.admin_password(data_folder())
    api = Api(ports.web, access.access_key(data_folder()))
    began = time.monotonic()
    with installation_running(ports, Console(stderr=True, highlight=False)) as log:
        screen.done(f"Web, worker and beat run at [cyan]{api.address}[/]", time.monotonic() - began)
        outcome = tell(api, screen, root_key=_root_key())
        if not once:
            _invite(screen, api, outcome, password, log)
            _serve(log, outcome)
    if once:
        _print_summary(outcome)
    return outcome


def _load(screen: Screen) -> None:
    """Make or update the tables, and the demo tree in them."""
    with screen.step("Bringing the tables up to date") as words:
        call_command("migrate", interactive=False, verbosity=0)
        words.append("PostgreSQL and Valkey run, the tables are up to date")
    began, said = time.monotonic(), io.StringIO()
    call_command("import_organizations", str(TREE), stdout=said)
    screen.done(f"Demo tree: {said.getvalue().strip()}", time.monotonic() - began)


def _root_key() -> str:
    with TREE.open(encoding="utf-8", newline="") as file:
        return next(row["key"] for row in csv.DictReader(file) if not row["parent_key"])


def _invite(screen: Screen, api: Api, outcome: Outcome, password: str, log: CombinedLog) -> None:
    """Say what to try next."""
    root, back = outcome.root["id"], str(not outcome.enabled).lower()
    curl = f"curl -H 'Authorization: Bearer {api.key}'"
    screen.head("Try next")
    screen.line(f"{curl} {api.address}/{root}/{FLAG}")
    screen.line(f"{curl} -X POST {api.address}/{root}/{FLAG}/{back}")
    screen.line(f"{curl} {api.address}/job-status/{outcome.job['id']}")
    screen.line(f"{curl} '{api.address}/organizations?name=land'")
    screen.head("Look")
    screen.line(f"{api.address}/admin/   log in as {access.LOGIN} with {password}")
    screen.line(f"{api.address}/docs     every call, with a page to try it")
    screen.line(f"{log.path}   what web, worker and beat say")
    screen.line()
    screen.line("Ctrl-C stops everything.")
    screen.line()


def _print_summary(outcome: Outcome) -> None:
    print(json.dumps(outcome.summary()), flush=True)  # noqa: T201 - programs read it


def _serve(log: CombinedLog, outcome: Outcome) -> None:
    """Say how it went and wait for Ctrl-C; meanwhile show what happens, if somebody is looking."""
    with suppress(KeyboardInterrupt):
        _print_summary(outcome)
        log.echo = sys.stderr.isatty()
        signal.pause()
    log.echo = False
