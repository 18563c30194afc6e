"""Find what is wrong with this installation, and say what to do about it."""

from __future__ import annotations

from typing import Any
from urllib.parse import urlsplit

from django.core.management.base import CommandParser
from rich.console import RenderableType
from rich.table import Column
from rich.text import Text

from flagsite.core.console import terminal
from flagsite.core.console.command import Answer, OperatorCommand, WrongUsage
from flagsite.health import doctor
from flagsite.health.doctor import Severity

MARKS = {
    Severity.OK: Text("✓", style="green"),
    Severity.WARNING: Text("!", style="yellow"),
    Severity.PROBLEM: Text("✗", style="bold red"),
    Severity.NOT_CHECKED: Text("-", style="dim"),
}


class Command(OperatorCommand):
    help = (
        "Check settings, database, migrations, clock, broker, beat, flag states, workers, queues, the rescuer and the "
        "probe job, and say how to correct each problem. With --url, also open the site from outside, as a browser "
        "does. The exit status is 1 for problems, not for warnings."
    )

    def add_options(self, parser: CommandParser) -> None:
        parser.add_argument("--url", help="the site as people open it, such as https://flags.example.com")
        parser.add_argument("--certificates", default="", metavar="FILE", help="certificates to trust for --url")

    def answer(self, *, url: str | None, certificates: str, **options: Any) -> Answer:
        results = list(doctor.run_checks(_site(url, certificates) if url else None))
        table = terminal.table(Column(no_wrap=True), Column(no_wrap=True), Column(overflow="fold"))
        table.show_header = False
        for name, result in results:
            table.add_row(*terminal.cells(MARKS[result.severity], name, result.message))
            if result.advice:
                table.add_row(*terminal.cells("", "", terminal.line(f"→ {result.advice}", style="bold")))
        problems = sum(result.severity is Severity.PROBLEM for _, result in results)
        shown: list[RenderableType] = [table]
        shown.append(f"Problems: {problems}." if problems else "No problems.")
        document = {
            "healthy": not problems,
            "checks": [
                {"name": name, "state": result.severity, "finding": result.message, "advice": result.advice}
                for name, result in results
            ],
        }
        return Answer(document, shown, failed=bool(problems))


def _site(url: str, certificates: str) -> doctor.Site:
    parts = urlsplit(url.rstrip("/"))
    if parts.scheme not in {"http", "https"} or not parts.hostname or parts.path or parts.query:
        raise WrongUsage(f"{url!r} is not the address of a site. Give scheme and host name: https://flags.example.com")
    return doctor.Site(f"{parts.scheme}://{parts.netloc}", certificates)
