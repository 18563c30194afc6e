"""An import of many organizations against a COPY of the same finished rows into the same tables.

The finished rows are the organizations and their audit entries.
"""

from __future__ import annotations

import os
import random
import subprocess
import sys
import tempfile
import time
from pathlib import Path

from django.conf import settings
from django.db import connection, transaction

from orgs.access.models import AccessKey
from orgs.audit.models import AuditEntry
from orgs.tree import locks
from orgs.tree.models import Organization

BLOCK_BYTES = 1 << 16
TABLES = ("orgs_organization", "orgs_historyentry")


def run(rows: int) -> dict[str, float]:
    """Import `rows` organizations, then COPY the resulting rows.

    The database must have no organizations and access keys; it has none afterwards. Returns the seconds of both (those
    of the import include the start of its process), their ratio and the peak memory of the import in megabytes.
    """
    if Organization.objects.exists() or AccessKey.objects.exists():
        raise SystemExit("The benchmark needs a database without organizations, because it empties the tables.")
    with tempfile.TemporaryDirectory() as folder:
        file, finished = Path(folder) / "organizations.csv", Path(folder)
        write_tree(file, rows)
        try:
            import_seconds, peak_memory = _import(file)
            _copy_out(finished)
            _empty()
            copy_seconds = _copy_in(finished)
            if Organization.objects.count() != rows or AuditEntry.objects.count() <= rows:
                raise SystemExit("Some rows are missing after the COPY.")
        finally:
            _empty()
    return {
        "rows": rows,
        "import_seconds": round(import_seconds, 2),
        "copy_seconds": round(copy_seconds, 2),
        "ratio": round(import_seconds / copy_seconds, 2),
        "peak_memory_megabytes": round(peak_memory, 1),
    }


def write_tree(file: Path, rows: int) -> None:
    """Write a tree of `rows` organizations in random order. Organizations with children have 10 to 20 of them."""
    generator = random.Random(rows)
    parents = [""]
    parent = 0
    while len(parents) < rows:
        parents += [f"org-{parent:08d}"] * generator.randint(10, 20)
        parent += 1
    numbers = list(range(rows))
    generator.shuffle(numbers)
    with file.open("w", encoding="utf-8") as stream:
        stream.write("key,name,parent_key\n")
        stream.writelines(f'org-{number:08d},"Organization {number}, Inc.",{parents[number]}\n' for number in numbers)


def _import(file: Path) -> tuple[float, float]:
    """Run the import in a process of its own. Returns its seconds and its peak memory in megabytes."""
    command = [sys.executable, str(settings.BASE_DIR / "manage.py"), "import_organizations", str(file)]
    begin = time.perf_counter()
    process = subprocess.Popen(command, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    _, status, usage = os.wait4(process.pid, 0)
    seconds = time.perf_counter() - begin
    process.returncode = os.waitstatus_to_exitcode(status)
    if process.returncode:
        raise SystemExit(f"The import ended with status {process.returncode}.")
    return seconds, usage.ru_maxrss / (1024 if sys.platform == "linux" else 1024 * 1024)


def _copy_out(folder: Path) -> None:
    with connection.cursor() as cursor:
        for table in TABLES:
            query = f"COPY (SELECT * FROM {table} ORDER BY id) TO STDOUT"
            with (folder / table).open("wb") as stream, cursor.copy(query) as copy:
                stream.writelines(copy)


def _copy_in(folder: Path) -> float:
    begin = time.perf_counter()
    with transaction.atomic(), connection.cursor() as cursor:
        locks.lock_all_trees_for_writing()
        for table in TABLES:
            with (folder / table).open("rb") as stream, cursor.copy(f"COPY {table} FROM STDIN") as copy:
                while block := stream.read(BLOCK_BYTES):
                    copy.write(block)
    return time.perf_counter() - begin


def _empty() -> None:
    with connection.cursor() as cursor:
        cursor.execute("ALTER TABLE orgs_historyentry DISABLE TRIGGER orgs_history_is_not_emptied")
        cursor.execute("TRUNCATE orgs_organization, orgs_accesskey, orgs_staffscope, orgs_historyentry CASCADE")
        cursor.execute("ALTER TABLE orgs_historyentry ENABLE TRIGGER orgs_history_is_not_emptied")
