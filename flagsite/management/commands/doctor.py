"""Say what is wrong, and what to do."""

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
        "Look at settings, database, migrations, clock, broker, beat, workers, queues, rescue and the canary: what "
        "is wrong and what to do. Exit status 1 when there is a problem; warnings leave it 0."
    )

    def answer(self, **options: Any) -> Answer:
        findings = list(doctor.examine())
        table = terminal.table(Column(no_wrap=True), Column(no_wrap=True), Column(overflow="fold"))
        table.show_header = False
        for name, finding in findings:
            table.add_row(*terminal.cells(MARKS[finding.state], name, finding.words))
            if finding.advice:
                table.add_row(*terminal.cells("", "", terminal.line(f"→ {finding.advice}", style="bold")))
        problems = sum(finding.state is Severity.PROBLEM for _, finding in findings)
        shown: list[RenderableType] = [table]
        shown.append(f"Problems: {problems}." if problems else "No problems.")
        document = {
            "healthy": not problems,
            "checks": [
                {"name": name, "state": found.state, "finding": found.words, "advice": found.advice}
                for name, found in findings
            ],
        }
        return Answer(document, shown, failed=bool(problems))
