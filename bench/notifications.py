"""E-mail to an SMTP server on this machine, in a process of its own: how many in a second, and how soon one arrives."""

from __future__ import annotations

import json
import socket
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from bench.installation import ROOT, Installation, free_port
from bench.report import Result

RECIPIENTS = 1_000
SINGLE = 200
SLOTS = 2
IDS = "SELECT message_id FROM jobs_delivery WHERE state = 'SENT'"
FIRST_START = (
    "SELECT extract(epoch FROM min(started_at))::float8 FROM jobs_job WHERE kind IN ('notification', 'delivery')"
)
LOOP = f"""
import django, json, time; django.setup()
from django.core.mail import EmailMessage, get_connection
began = time.perf_counter()
for number in range({SINGLE}):
    EmailMessage("Bench", "All is well.", to=["ann@example.com"], connection=get_connection()).send()
print(json.dumps({SINGLE} / (time.perf_counter() - began)))
"""


def notifications(installation: Installation, rows: int) -> list[Result]:
    """Measure a notification to many recipients, and then notifications to one recipient each, one after the other.

    The yardstick is a loop of Django's `send` in one process, with a new connection for each message and no database.
    """
    installation.create_trees(1, 1)
    installation.sql("TRUNCATE jobs_delivery CASCADE")
    with _mail_server(installation) as notes:
        loop = float(json.loads(installation.python(LOOP).splitlines()[-1]))
        notes.write_text("")
        _notify(installation, [f"ann{number}@example.com" for number in range(RECIPIENTS)])
        with installation.worker(SLOTS, keep=True):
            times = _wait_for(notes, RECIPIENTS)
            rate = RECIPIENTS / (max(times) - installation.sql(FIRST_START)[0][0])
            waits = []
            for number in range(SINGLE):
                sent_at = time.time()
                _notify(installation, [f"bob{number}@example.com"])
                waits.append(max(_wait_for(notes, RECIPIENTS + number + 1)) - sent_at)
        ids = [line.partition("@")[0].lstrip("<") for line in notes.read_text().splitlines()]
    is_once_each = len(ids) == len(set(ids)) == RECIPIENTS + SINGLE
    is_known = {row[0] for row in installation.sql(IDS)} == set(ids)
    waits = sorted(wait * 1000 for wait in waits)
    p50, p99 = waits[len(waits) // 2], waits[int(len(waits) * 0.99)]
    figures = {"per_second": rate, "loop_per_second": loop, "p50_ms": p50, "p99_ms": p99}
    return [
        Result(
            f"e-mails of a notification to {RECIPIENTS:,} recipients", f"{rate:,.0f}/s", f"a loop {loop:,.0f}/s",
            rate / loop, "each accepted once", is_once_each and is_known, figures,
        ),
        Result(
            "from the POST of a notification to its acceptance", f"p50 {p50:.0f} ms, p99 {p99:.0f} ms", "", 1.0,
            "p99 < 1 s", p99 < 1000,
        ),
    ]  # fmt: skip


@contextmanager
def _mail_server(installation: Installation) -> Iterator[Path]:
    """Run the SMTP server, and let new processes of Flagsite send to it. Yields the file of its notes."""
    port, notes = free_port(), installation.folder / "mails"
    notes.write_text("")
    server = installation.run(Path(sys.executable).name, str(ROOT / "bench" / "mail_server.py"), str(port), str(notes))
    while True:
        with socket.socket() as probe:
            if probe.connect_ex(("127.0.0.1", port)) == 0:
                break
        time.sleep(0.05)
    installation.environment["EMAIL_URL"] = f"smtp://127.0.0.1:{port}?from=flags@example.com"
    try:
        yield notes
    finally:
        del installation.environment["EMAIL_URL"]
        installation.kill(server)


def _notify(installation: Installation, addresses: list[str]) -> None:
    recipients = [{"channel": "email", "to": address} for address in addresses]
    arguments = {"subject": "Bench", "text": "All is well.", "recipients": recipients}
    answer = installation.http.post("/v1/queue/jobs", json={"kind": "notification", "arguments": arguments})
    assert answer.status_code == 202, answer.text


def _wait_for(notes: Path, count: int) -> list[float]:
    """Wait until the server has accepted so many messages, and return the times."""
    end_at = time.monotonic() + 300
    while (text := notes.read_text()).count("\n") < count:
        assert time.monotonic() < end_at, f"{text.count(chr(10))} of {count} messages were accepted."
        time.sleep(0.002)
    return [float(line.rpartition(" ")[2]) for line in text.splitlines()]
