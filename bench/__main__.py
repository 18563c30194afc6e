"""The command bin/bench [NAME …]: measure, print a table, write JSON. Exit status 1 if a requirement is missed."""

from __future__ import annotations

import argparse
import json
import os
import platform
import sys
from collections.abc import Callable
from datetime import UTC, datetime
from pathlib import Path

from rich.console import Console
from rich.table import Table

from bench import (
    batch_evaluation,
    batches,
    changes_beside_moves,
    choreography,
    cleanup,
    coherence,
    depth,
    empty_jobs,
    engine_load,
    growth,
    in_process,
    lists,
    load,
    notifications,
    other_queues,
    overview_pages,
    peer_reads,
    propagation,
    reads,
    reads_beside_writers,
    recovery,
    scraping,
    slow_checks,
    structure,
    time_travel,
    tree_control,
    typed_memory,
    typed_values,
    upkeep,
    waiting_jobs,
    written_reports,
)
from bench.installation import ROOT, Installation
from bench.report import Result
from flagsite.development import servers
from flagsite.development.servers import orphaned_processes
from flagsite.development.servers.exit_signals import exit_signals_ignored, signals_as_exit
from flagsite.development.servers.supervisor import only_supervisor

MOST_IMPORT_SECONDS = 4
"""For an import of moves to hold the lock of its tree."""


def imports(installation: Installation, rows: int) -> Result:
    """Measure an import of `rows` organizations against a COPY of the finished rows, with their audit entries."""
    installation.clear()
    program = (
        "import django, json; django.setup(); from bench.import_organizations import run; print(json.dumps(run({})))"
    )
    figures = json.loads(installation.python(program.format(rows)))
    ratio = figures["ratio"]
    return Result(
        f"import of {rows:,} organizations", f"{figures['import_seconds']} s, {figures['peak_memory_megabytes']} MB",
        f"COPY {figures['copy_seconds']} s", ratio, "≤ 3", ratio <= 3, figures,
    )  # fmt: skip


def import_moves(installation: Installation, rows: int) -> Result:
    """Measure an import that moves some thousand organizations of one tree, and how long it has the tree's lock."""
    installation.clear()
    program = "import django; django.setup(); from bench.import_moves import run; run({})"
    figures = json.loads(installation.python(program.format(rows)).splitlines()[-1])
    seconds = figures["locked_seconds"]
    return Result(
        f"import that moves {figures['moves']:,} organizations of {figures['size']:,}, {figures['flags']} flags",
        f"{seconds:.1f} s, {figures['states_seconds']:.1f} s of them for flag states and audit entries"
        f" with {figures['states_statements']:,} statements",
        "-", seconds, f"≤ {MOST_IMPORT_SECONDS:g} s", seconds <= MOST_IMPORT_SECONDS, figures,
    )  # fmt: skip


BENCHES: dict[str, Callable[[Installation, int], Result | list[Result]]] = {
    "flip": propagation.flip,
    "first_set": propagation.first_set,
    "orm": propagation.against_orm,
    "post": load.posting,
    "memory": load.memory,
    "states": load.states,
    "growth": growth.growth,
    "empty_jobs": empty_jobs.empty_jobs,
    "other_queues": other_queues.other_queues,
    "claims": engine_load.claims,
    "small_changes": engine_load.small_changes,
    "batches": batches.batches,
    "batch_evaluation": batch_evaluation.batch_evaluation,
    "notifications": notifications.notifications,
    "waiting_jobs": waiting_jobs.waiting_jobs,
    "recovery": recovery.recovery,
    "import": imports,
    "import_moves": import_moves,
    "structure": structure.structure,
    "tree_control": tree_control.tree_control,
    "time_travel": time_travel.time_travel,
    "reports": written_reports.written_reports,
    "lists": lists.lists,
    "depth": depth.deep_tree,
    "overview": overview_pages.overview,
    "cleanup": cleanup.cleanup,
    "statistics": upkeep.statistics,
    "recalculation": upkeep.recalculation,
    "metrics": scraping.scraping,
    "reads": reads.reads,
    "different": reads.memory_of_different_organizations,
    "typed_memory": typed_memory.typed_memory,
    "seen": coherence.visibility,
    "told": coherence.events,
    "beside_moves": changes_beside_moves.changes_beside_moves,
    "choreography": choreography.choreography,
    "beside": reads_beside_writers.reads_beside_writers,
    "meanwhile": coherence.reads_during_propagation,
    "in_process": in_process.in_process,
    "ruled_in_process": in_process.ruled_in_process,
    "typed_reads": typed_values.typed_reads,
    "peer_reads": peer_reads.peer_reads,
    "slow_checks": slow_checks.slow_checks,
    "variant_flip": typed_values.variant_flip,
}


def main(arguments: list[str]) -> int:
    """Run the benchmarks that the arguments name, or all. Returns the exit status."""
    parser = argparse.ArgumentParser(prog="bin/bench", description="Measure figures and compare each with a yardstick.")
    parser.add_argument("names", nargs="*", metavar="NAME", help=f"one of {', '.join(BENCHES)}; default: all")
    parser.add_argument("--rows", type=int, default=1_000_000, help="number of rows; default: 1,000,000")
    parser.add_argument("--json", type=Path, default=ROOT / "bench" / "results" / "latest.json")
    options = parser.parse_args(arguments)
    unknown = set(options.names) - set(BENCHES)
    if unknown:
        parser.error(f"unknown benchmark: {', '.join(sorted(unknown))}; choose from {', '.join(BENCHES)}")
    folder = servers.data_folder() / "bench"
    results: list[Result] = []
    try:
        with signals_as_exit(), only_supervisor(folder), orphaned_processes.watchdog(folder):
            _measure(Installation(folder), options.names or list(BENCHES), options.rows, results)
    except servers.ServerError as error:
        sys.exit(f"Flagsite: {error}")
    except KeyboardInterrupt:
        return 130
    finally:
        if results:
            _show(results)
            _write(results, options.json, options.rows)
    return 0 if all(result.reached for result in results) else 1


def _measure(installation: Installation, names: list[str], rows: int, results: list[Result]) -> None:
    """Run the benchmarks, add their results to `results`, and end all processes."""
    try:
        installation.start()
        for name in names:
            print(f"{name} …", file=sys.stderr, flush=True)
            installation.authorize()
            outcome = BENCHES[name](installation, rows)
            results += outcome if isinstance(outcome, list) else [outcome]
    finally:
        with exit_signals_ignored():
            installation.stop()


def _show(results: list[Result]) -> None:
    table = Table("what", "ours", "yardstick", "ratio", "must reach", "")
    for result in results:
        verdict = "[green]reached" if result.reached else "[red]missed"
        table.add_row(result.what, result.ours, result.yardstick, f"{result.ratio:.2f}", result.must, verdict)
    Console(width=None if sys.stdout.isatty() else 140).print(table)


def _write(results: list[Result], path: Path, rows: int) -> None:
    machine = {"cores": os.cpu_count(), "python": platform.python_version(), "system": platform.platform()}
    report = {"at": datetime.now(UTC).isoformat(), "rows": rows, "machine": machine}
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(json.dumps({**report, "results": [result.as_dict() for result in results]}, indent=2) + "\n")
    print(f"Written to {path}")


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
