"""How soon every web process and every client see a change, and how slow reads are during a propagation."""

from __future__ import annotations

import contextlib
import random
import socket
import threading
import time

import httpx
import psycopg

from bench import client
from bench.installation import Installation, free_port
from bench.reads import PATH, one_connection_for_each_process, read_request, send, wait_for_server
from bench.report import Result
from flags.evaluation.engine import StateValue
from flags.serving.cache_events import NOTIFICATION_CHANNEL, StatesWritten, encode
from flagsite.development import servers
from flagsite.development.servers.server_commands import events_command

CHANGES = 300
CHANGES_WITH_EVENT = 100
READS_PER_SECOND = 250
IDLE_SECONDS = 8.0
SINGLE_FLAG_PATH = "/ofrep/v1/evaluate/flags/bench"
CHANGE = "UPDATE flags_flagstate SET enabled = %s, change_number = %s WHERE organization_id = %s AND flag_id = %s"


def visibility(installation: Installation, rows: int) -> Result:
    """Measure from the COMMIT of a leaf's change to the first answer with the new value from each web process."""
    installation.create_trees(1000)
    leaf, root = 1001, 1
    installation.http.post(f"/{leaf}/bench/true").raise_for_status()
    ((flag, number),) = installation.sql(
        "SELECT flag_id, change_number FROM flags_flagstate WHERE organization_id = %s", [leaf]
    )
    request = read_request(installation, leaf, SINGLE_FLAG_PATH)
    milliseconds: list[float] = []
    with contextlib.ExitStack() as stack, psycopg.connect(servers.database_url(installation.folder)) as database:
        connections = [stack.enter_context(each) for each in one_connection_for_each_process(installation)]
        for turn in range(CHANGES):
            enabled = turn % 2 == 1
            state = StateValue(flag, enabled, leaf, number + turn + 1)
            event = StatesWritten(root, leaf - 1, leaf, state)
            database.execute(CHANGE, [enabled, number + turn + 1, leaf, flag])
            database.execute("SELECT pg_notify(%s, %s)", [NOTIFICATION_CHANNEL, encode(event)])
            began = time.perf_counter()
            database.commit()
            expected = b'"value":true' if enabled else b'"value":false'
            for connection in connections:
                while expected not in send(connection, request):
                    pass
                milliseconds.append((time.perf_counter() - began) * 1000)
    milliseconds.sort()
    p50, p99 = milliseconds[len(milliseconds) // 2], milliseconds[int(len(milliseconds) * 0.99)]
    return Result(
        "a commit visible in two web processes", f"p50 {p50:.1f} ms, p99 {p99:.1f} ms", f"{CHANGES} changes", p99 / 50,
        "p99 ≤ 50 ms", p99 <= 50, {"p50": p50, "p99": p99, "slowest": milliseconds[-1]},
    )  # fmt: skip


def events(installation: Installation, rows: int) -> Result:
    """Measure from the request that changes a leaf to the server-sent event for a client of the leaf."""
    installation.create_trees(1000)
    leaf, milliseconds = 1001, []
    web_port, events_port = free_port(), free_port()
    events_server = installation.run(*events_command(events_port))
    web = installation.serve("flagsite.wsgi:application", web_port, EVENTS_URL=f"http://127.0.0.1:{events_port}")
    try:
        wait_for_server(web_port)
        wait_for_server(events_port)
        body = {"context": {"targetingKey": "user", "organizationId": leaf}}
        answer = installation.http.post(f"http://127.0.0.1:{web_port}{PATH}", json=body).raise_for_status()
        with httpx.stream("GET", answer.json()["eventStreams"][0]["url"], timeout=10) as stream:
            lines = (line for line in stream.iter_lines() if line.startswith("data: "))
            next(lines)  # each connection begins with an event
            for turn in range(CHANGES_WITH_EVENT):
                began = time.perf_counter()
                installation.http.post(f"/{leaf}/bench/{str(turn % 2 == 0).lower()}").raise_for_status()
                next(lines)
                milliseconds.append((time.perf_counter() - began) * 1000)
                time.sleep(0.2)  # one event may be for two changes
    finally:
        installation.end(web)
        installation.end(events_server)
    milliseconds.sort()
    p50, p99 = milliseconds[len(milliseconds) // 2], milliseconds[int(len(milliseconds) * 0.99)]
    return Result(
        "an event for a client after a change", f"p50 {p50:.0f} ms, p99 {p99:.0f} ms", f"{CHANGES_WITH_EVENT} changes",
        p99 / 1000, "p99 ≤ 1 s", p99 <= 1000, {"p50": p50, "p99": p99},
    )  # fmt: skip


def reads_during_propagation(installation: Installation, rows: int) -> Result:
    """Compare the p99 of reads while a propagation writes all rows with their p99 on an idle machine."""
    with installation.worker():
        (root,) = installation.create_trees(rows)
        installation.flip(root)  # every organization has its row, and the worker is warm
        organizations = [root, *random.Random(1).sample(range(root + 1, root + rows), min(5000, rows - 1))]
        requests = [read_request(installation, organization, SINGLE_FLAG_PATH) for organization in organizations]
        for _ in range(3):  # more than once, since two processes answer
            client.run(installation.port, iter(requests))
        idle = paced(installation, requests, threading.Event(), IDLE_SECONDS)
        done = threading.Event()
        busy: list[float] = []
        reader = threading.Thread(target=lambda: busy.extend(paced(installation, requests, done, 600)))
        reader.start()
        began = time.perf_counter()
        for turn in range(3):
            installation.wait(installation.set_flag(root, enabled=turn % 2 == 0))
        seconds = time.perf_counter() - began
        done.set()
        reader.join()
    p99 = {"idle": percentile_99(idle), "busy": percentile_99(busy)}
    ratio = p99["busy"] / p99["idle"]
    return Result(
        f"p99 of reads while {rows:,} rows are written", f"{p99['busy']:.2f} ms", f"idle {p99['idle']:.2f} ms", ratio,
        "≤ 2 ×", ratio <= 2, {**p99, "reads": len(busy), "seconds": seconds},
    )  # fmt: skip


def paced(
    installation: Installation,
    requests: list[bytes],
    done: threading.Event,
    seconds: float,
    *,
    each_once: bool = False,
) -> list[float]:
    """Send READS_PER_SECOND on one connection, until `done` or for `seconds`. Returns the milliseconds of each read.

    With `each_once`, it sends each request once and then stops.
    """
    once = iter(requests)
    choice, milliseconds = random.Random(2), []
    with socket.create_connection(("127.0.0.1", installation.port)) as connection:
        connection.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        due = time.perf_counter()
        end = due + seconds
        while not done.is_set() and due < end:
            time.sleep(max(0.0, due - time.perf_counter()))
            began = time.perf_counter()
            request = next(once, None) if each_once else choice.choice(requests)
            if request is None:
                break
            send(connection, request)
            milliseconds.append((time.perf_counter() - began) * 1000)
            due = max(due + 1 / READS_PER_SECOND, began)
    return milliseconds


def percentile_99(milliseconds: list[float]) -> float:
    """The milliseconds within which 99 of 100 reads were answered."""
    return sorted(milliseconds)[int(len(milliseconds) * 0.99)]
