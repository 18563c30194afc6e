"""Find what is wrong with this installation, and say what to do about it."""

from __future__ import annotations

from typing import Any

from rich.console import RenderableType
from rich.table import Column
from rich.text import Text

from flagsite.core.console import terminal
from flagsite.core.console.command import Answer, OperatorCommand
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
        "Check settings, database, migrations, clock, broker, beat, workers, queues, the rescuer and the probe job, "
        "and say how to correct each problem. The exit status is 1 for problems, not for warnings."
    )

    def answer(self, **options: Any) -> Answer:
        results = list(doctor.run_checks())
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
