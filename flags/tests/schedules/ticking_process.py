"""Processes of their own that tick against the test's database."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path
from typing import Any
from urllib.parse import quote

from django.db import connection

CHECKOUT = Path(__file__).resolve().parents[3]
CODE = """
import json, sys
import django
django.setup()
from django.db import connection
from flags.models import FlagSchedule
from flags.schedules.due import apply_due
with connection.cursor() as cursor:
    cursor.execute("SELECT pg_backend_pid()")
    print(cursor.fetchone()[0], flush=True)
sys.stdin.readline()
applied = ticks = 0
while FlagSchedule.objects.filter(status="pending").exists():
    ticked = apply_due()
    assert ticked.tried <= 100
    applied, ticks = applied + ticked.applied, ticks + 1
print(json.dumps({"applied": applied, "ticks": ticks}), flush=True)
"""
"""Says its database session, begins when told to, and ticks until nothing is pending."""


class TickingProcess:
    """One that has connected and waits for the word."""

    def __init__(self) -> None:
        environment = {
            **os.environ,
            "DATABASE_URL": _address(connection.settings_dict),
            "REDIS_URL": "redis://127.0.0.1:1/0",  # nobody is there: hints are lost
            "FLAGSITE_ENVIRONMENT": "development",
            "DJANGO_SETTINGS_MODULE": "flagsite.settings",
            "PYTHONPATH": str(CHECKOUT),
            "LOG_LEVEL": "ERROR",
        }
        self.process = subprocess.Popen(
            [sys.executable, "-c", CODE], cwd=CHECKOUT, env=environment, stdin=subprocess.PIPE, stdout=subprocess.PIPE
        )
        assert self.process.stdout
        self.session = int(self.process.stdout.readline())

    def begin(self) -> None:
        """Let it tick."""
        assert self.process.stdin
        self.process.stdin.write(b"go\n")
        self.process.stdin.flush()

    def result(self) -> dict[str, int]:
        """How many it applied in how many ticks, once nothing is pending."""
        out, _ = self.process.communicate(timeout=60)
        assert self.process.returncode == 0
        found: dict[str, int] = json.loads(out)
        return found

    def kill(self) -> None:
        """End it without a word."""
        self.process.kill()
        self.process.communicate()


def _address(settings: dict[str, Any]) -> str:
    host, port = quote(str(settings["HOST"]), safe=""), settings["PORT"]
    where = f"?host={host}" if str(settings["HOST"]).startswith("/") else ""
    server = "" if where else f"{host}{f':{port}' if port else ''}"
    who = quote(str(settings["USER"]), safe="") + (
        f":{quote(settings['PASSWORD'], safe='')}" if settings["PASSWORD"] else ""
    )
    return f"postgresql://{who}@{server}/{settings['NAME']}{where}"
