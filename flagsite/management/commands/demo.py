"""The command `demo`: start Flagsite with demo data, and show how a flag reaches 5,000 organizations."""

from __future__ import annotations

import csv
import io
import json
import logging
import signal
import sys
import time
from contextlib import suppress
from typing import Any

from django.core.management import call_command
from django.core.management.base import CommandError, CommandParser
from rich.console import Console

from flagsite.core.console.command import PlainCommand
from flagsite.development.demo import access
from flagsite.development.demo.api import Api, UnexpectedAnswer
from flagsite.development.demo.data import create_data
from flagsite.development.demo.screen import Screen
from flagsite.development.demo.story import FLAG, Outcome, set_flag_and_follow
from flagsite.development.servers import ROOT, ServerError, data_folder
from flagsite.development.servers.combined_log import CombinedLog
from flagsite.development.servers.installation import installation_running
from flagsite.development.servers.port_reservation import DEFAULT_PORT, Ports, reserve_ports
from flagsite.development.servers.supervisor import only_supervisor

TREE = ROOT / "flagsite" / "development" / "demo" / "organizations.csv"


class Command(PlainCommand):
    help = (
        "Load the demo tree, start web, events, worker and beat, set a flag on the root over HTTP, follow the job, "
        "read the flag of some organizations, and serve until Ctrl-C. The last line of standard output is one JSON "
        "object."
    )

    def add_arguments(self, parser: CommandParser) -> None:
        parser.add_argument("--once", action="store_true", help="stop everything after the job")
        parser.add_argument("--port", type=int, help="default: 8000, or the next free one")

    def handle(self, *args: Any, once: bool, port: int | None, **options: Any) -> None:
        screen = Screen()
        try:
            with only_supervisor(data_folder()), reserve_ports(port) as ports:
                screen.title("Flagsite", "set a flag on an organization, and its whole subtree has it")
                if port is None and ports.web != DEFAULT_PORT:
                    screen.warn(f"Port {DEFAULT_PORT} is in use, so Flagsite uses port {ports.web}.")
                outcome = _run(screen, ports, once=once)
        except (ServerError, UnexpectedAnswer) as error:
            raise CommandError(str(error)) from error
        if not outcome.succeeded:
            sys.exit(1)


def _run(screen: Screen, ports: Ports, *, once: bool) -> Outcome:
    """Run the demo. The embedded servers are running already."""
    _load(screen)
    password = access.admin_password(data_folder())
    api = Api(ports.web, access.access_key(data_folder()))
    began = time.monotonic()
    with installation_running(ports, Console(stderr=True, highlight=False)) as log:
        screen.done(f"Web, worker and beat are running at [cyan]{api.address}[/]", time.monotonic() - began)
        outcome = set_flag_and_follow(api, screen, root_key=_root_key())
        if not once:
            _show_next_steps(screen, api, outcome, password, log)
            _serve(log, outcome)
    if once:
        _print_summary(outcome)
    return outcome


def _load(screen: Screen) -> None:
    """Create or update the tables, import the demo tree, and create the other data of the demo."""
    with screen.step("Updating the tables") as result:
        call_command("migrate", interactive=False, verbosity=0)
        result.append("PostgreSQL and Valkey are running, the tables are up to date")
    began, output = time.monotonic(), io.StringIO()
    call_command("import_organizations", str(TREE), stdout=output)
    screen.done(f"Demo tree: {output.getvalue().strip()}", time.monotonic() - began)
    with screen.step("Creating flags, jobs, people and scheduled changes") as result:
        created = _create_data_quietly()
        result.append(f"Flags, jobs, people and scheduled changes {'created' if created else 'are as you left them'}")


def _create_data_quietly() -> bool:
    """Create the other data without the lines of the log, because some of the data is about failures."""
    logging.disable(logging.ERROR)
    try:
        return create_data()
    finally:
        logging.disable(logging.NOTSET)


def _root_key() -> str:
    with TREE.open(encoding="utf-8", newline="") as file:
        return next(row["key"] for row in csv.DictReader(file) if not row["parent_key"])


def _show_next_steps(screen: Screen, api: Api, outcome: Outcome, password: str, log: CombinedLog) -> None:
    """Show commands and pages to try next."""
    root_id, opposite = outcome.root["id"], str(not outcome.enabled).lower()
    curl = f"curl -H 'Authorization: Bearer {api.key}'"
    screen.head("Try next")
    screen.line(f"{curl} {api.address}/{root_id}/{FLAG}")
    screen.line(f"{curl} -X POST {api.address}/{root_id}/{FLAG}/{opposite}")
    screen.line(f"{curl} {api.address}/job-status/{outcome.job['id']}")
    screen.line(f"{curl} '{api.address}/organizations?name=land'")
    screen.head("Look at")
    screen.line(f"{api.address}/admin/   log in as {access.LOGIN} with {password}")
    screen.line(f"{api.address}/docs     the documentation of the API, with a form for each request")
    screen.line(f"{log.path}   the log of web, events, worker and beat")
    screen.line()
    screen.line("Ctrl-C stops everything.")
    screen.line()


def _print_summary(outcome: Outcome) -> None:
    print(json.dumps(outcome.summary()), flush=True)  # noqa: T201 - for programs


def _serve(log: CombinedLog, outcome: Outcome) -> None:
    """Print the summary and wait for Ctrl-C. On a terminal, show the log meanwhile."""
    with suppress(KeyboardInterrupt):
        _print_summary(outcome)
        log.echo = sys.stderr.isatty()
        signal.pause()
    log.echo = False
