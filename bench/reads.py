"""Reads over HTTP: what one costs the whole service in CPU time, and against a server that does nothing."""

from __future__ import annotations

import json
import random
import socket
import subprocess
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack, contextmanager, suppress
from dataclasses import dataclass
from statistics import quantiles
from typing import NamedTuple

import psutil

from bench import client
from bench.client import Run
from bench.installation import Installation, free_port
from bench.report import Result
from flagsite.web import thread_policy

FLAGS = 100
REQUESTS = 30_000
CONNECTIONS = 64
"""Busy at the same time. With a few of them a server is woken for each request, which costs more than to answer it."""
ROUNDS = 40
"""Turns of each server in each case; short ones in alternation, since a machine is now faster and now slower."""
TURN = 5_000
"""Requests of a turn."""
KNOWN = 3_000
"""Answers whose ETags are sent again."""
PATH = "/ofrep/v1/evaluate/flags"
PLANT_FLAGS = """
INSERT INTO flags_flag (key, description, rollout_percentage, salt, whitelist)
SELECT 'flag-' || lpad(n::text, 3, '0'), '', CASE WHEN n %% 2 = 0 THEN 50 END, 'bench',
       CASE WHEN n %% 10 = 0 THEN '{vip}' ELSE '{}' END::varchar[]
  FROM generate_series(1, %(flags)s) n
"""
PLANT_STATES = """
INSERT INTO flags_flagstate (organization_id, flag_id, source_id, change_number, job_id, updated_at, enabled)
SELECT organization.id, flag.id, CASE WHEN set_below THEN branch ELSE 1 END,
       CASE WHEN set_below THEN 1000 + branch ELSE 1 END, NULL, now(), NOT set_below OR branch % 2 = 0
  FROM orgs_organization organization
 CROSS JOIN flags_flag flag
 CROSS JOIN LATERAL (SELECT CASE organization.level WHEN 1 THEN organization.id
                            WHEN 2 THEN organization.parent_id ELSE 0 END AS branch) line
 CROSS JOIN LATERAL (SELECT branch > 0 AND (branch + flag.id) % 3 = 0 AS set_below) below
 ORDER BY organization.id, flag.id
"""
"""Each flag is set on the root, and every third of them on each branch too."""

PLANT_DIFFERENT_STATES = """
INSERT INTO flags_flagstate (organization_id, flag_id, source_id, change_number, job_id, updated_at, enabled)
SELECT organization.id, flag.id, organization.id, organization.id * 1000 + flag.id, NULL, now(), TRUE
  FROM orgs_organization organization CROSS JOIN flags_flag flag
 ORDER BY organization.id, flag.id
"""
"""Each flag is set on each organization, so that no two are alike."""
MOST_MEGABYTES = 1024


class Kind(NamedTuple):
    """A kind of read, and what it must reach: milliseconds of CPU time, share of what a bare server answers."""

    what: str
    path: str
    status: int
    must: float
    share: float


KINDS = (
    Kind("all of 100 flags", PATH, 200, 0.2, 0.5),
    Kind("all, answered 304", PATH, 304, 0.1, 0.7),
    Kind("one flag", f"{PATH}/flag-050", 200, 0.1, 0.5),
)


def reads(installation: Installation, rows: int) -> list[Result]:
    """All flags, all flags answered 304, one flag: of random organizations and users, all of them known already."""
    installation.plant(max(1000, rows // 10))
    ((organizations,),) = installation.sql("SELECT count(*) FROM orgs_organization")
    installation.sql(PLANT_FLAGS, {"flags": FLAGS})
    installation.sql(PLANT_STATES)
    installation.sql("VACUUM (ANALYZE) flags_flagstate")
    warm = warm_up(installation, organizations)
    with ExitStack() as stack:
        cases = [_Case(stack, installation, kind, organizations) for kind in KINDS]
        for number in range(ROUNDS):
            for case in cases:
                case.take_turns(number)
    return [case.result(organizations, warm) for case in cases]


class _Case:
    """One kind of read, by the service and by a server that does nothing but answer with the same bytes."""

    def __init__(self, stack: ExitStack, installation: Installation, kind: Kind, organizations: int) -> None:
        """Both servers are warm afterwards; the other one runs until the stack ends."""
        self.kind = kind
        self.requests = list(_asking(installation, organizations, kind.path, known=kind.status == 304))
        self.installation = installation
        with socket.create_connection(("127.0.0.1", installation.port)) as connection:
            answer = ask(connection, self.requests[0])
        self.ours: list[_Measured] = []
        self.bare: list[_Measured] = []
        self._servers = [
            (installation.port, self.ours), (stack.enter_context(_bare(installation, answer)), self.bare)
        ]  # fmt: skip
        for port, _ in self._servers:
            _measured(installation, port, self.requests)

    def take_turns(self, number: int) -> None:
        """A turn of each server, now the one first and now the other."""
        begin = number * TURN % REQUESTS
        for port, measured in self._servers if number % 2 else reversed(self._servers):
            measured.append(_measured(self.installation, port, self.requests[begin : begin + TURN]))

    def result(self, organizations: int, warm: dict[str, float]) -> Result:
        """What came of all turns."""
        assert {status for each in self.ours for status in each.run.statuses} == {self.kind.status}
        kind = self.kind
        cpu, per_second = _better_quarter(self.ours)
        bare_cpu, bare_per_second = _better_quarter(self.bare)
        ratio = per_second / bare_per_second
        slowest = max(each.run.percentile(0.99) for each in self.ours)
        return Result(
            f"{kind.what}, {organizations:,} organizations",
            f"{cpu:.3f} ms CPU, {per_second:.0f}/s, p99 {slowest:.1f} ms",
            f"bare {bare_cpu:.3f} ms, {bare_per_second:.0f}/s", ratio, f"≤ {kind.must} ms CPU; ≥ {kind.share} ×",
            cpu <= kind.must and ratio >= kind.share,
            {"cpu_milliseconds": [each.cpu for each in self.ours],
             "per_second": [each.run.per_second for each in self.ours],
             "bare_cpu_milliseconds": [each.cpu for each in self.bare],
             "bare_per_second": [each.run.per_second for each in self.bare],
             "bytes": len(self.ours[-1].run.last), **warm},
        )  # fmt: skip


def memory_where_all_differ(installation: Installation, rows: int) -> Result:
    """What a web process takes that was asked for every organization, when no two of them have the same states."""
    installation.plant(max(1000, rows // 10))
    ((organizations,),) = installation.sql("SELECT count(*) FROM orgs_organization")
    installation.sql(PLANT_FLAGS, {"flags": FLAGS})
    installation.sql(PLANT_DIFFERENT_STATES)
    installation.sql("VACUUM (ANALYZE) flags_flagstate")
    usual = installation.web, installation.port
    installation.port = free_port()
    installation.web = installation.serve("flagsite.wsgi:application", installation.port)
    try:
        wait_for_server(installation.port)
        warm = warm_up(installation, organizations, processes=1)
    finally:
        installation.end(installation.web)
        installation.web, installation.port = usual
    megabytes = warm["megabytes_after"]
    return Result(
        f"memory of a web process, {organizations:,} organizations that all differ", f"{megabytes:.0f} MiB",
        f"{warm['megabytes_before']:.0f} MiB before", megabytes / warm["megabytes_before"],
        f"≤ {MOST_MEGABYTES} MiB", megabytes <= MOST_MEGABYTES, warm,
    )  # fmt: skip


def warm_up(installation: Installation, organizations: int, *, processes: int = 2) -> dict[str, float]:
    """Ask so many web processes for each organization once; what a first read costs, and the memory that all take.

    All processes at once: what is known must not be so old afterwards that it is read again (EVALUATION_CACHE_SECONDS).
    """
    before = _memory(installation.web)
    began = time.perf_counter()
    with ExitStack() as stack:
        connections = [stack.enter_context(one) for one in one_connection_for_each_process(installation)][:processes]
        pool = stack.enter_context(ThreadPoolExecutor(processes))
        for asked in [pool.submit(_ask_for_each, installation, organizations, one) for one in connections]:
            asked.result()
    seconds = time.perf_counter() - began
    return {
        "first_read_milliseconds": seconds / organizations * 1000,
        "megabytes_before": before,
        "megabytes_after": _memory(installation.web),
    }


def _ask_for_each(installation: Installation, organizations: int, connection: socket.socket) -> None:
    for number in range(1, organizations + 1):
        ask(connection, read_request(installation, number, PATH))


def _asking(installation: Installation, organizations: int, path: str, *, known: bool = False) -> Iterator[bytes]:
    """Random users of random organizations; those who know their answer already send its ETag."""
    choice = random.Random(1)
    pairs = [(choice.randint(1, organizations), choice.randint(1, 10**6)) for _ in range(REQUESTS)]
    if not known:
        yield from (read_request(installation, organization, path, user=user) for organization, user in pairs)
        return
    tags = {}
    with socket.create_connection(("127.0.0.1", installation.port)) as connection:
        for organization, user in pairs[:KNOWN]:
            answer = ask(connection, read_request(installation, organization, path, user=user)).split(b"\r\n")
            tag = next(line for line in answer if line.lower().startswith(b"etag: "))
            tags[organization, user] = tag[6:].decode()
    for number in range(REQUESTS):
        organization, user = pairs[number % KNOWN]
        tag = tags[organization, user]
        yield read_request(installation, organization, path, f"If-None-Match: {tag}", user=user)


def read_request(installation: Installation, organization: int, path: str, *headers: str, user: int = 7) -> bytes:
    """An evaluation for a user of an organization, as it goes over the wire."""
    body = json.dumps({"context": {"targetingKey": f"user-{user}", "organizationId": organization}})
    key = str(installation.http.headers["Authorization"]).removeprefix("Bearer ")
    return client.post(installation.port, path, key, body.encode(), *headers)


@dataclass(frozen=True, slots=True)
class _Measured:
    """A run, and the milliseconds of CPU time that the whole service took for each request."""

    run: Run
    cpu: float


def _measured(installation: Installation, port: int, requests: list[bytes]) -> _Measured:
    """The client takes the processor from no server when an answer wakes it, as clients on other machines cannot."""
    before = _cpu(installation)
    with ThreadPoolExecutor(1, initializer=thread_policy.yield_to_other_threads) as patient:
        run = patient.submit(client.run, port, iter(requests), connections=CONNECTIONS).result()
    return _Measured(run, (_cpu(installation) - before) / len(run.milliseconds) * 1000)


def _better_quarter(measured: list[_Measured]) -> tuple[float, float]:
    """The milliseconds of CPU time and the requests answered in a second that a quarter of the turns reached.

    What disturbs a turn only ever slows it: neighbours on the machine, and the scheduler, where it puts all threads of
    a process on one processor, which doubles what a request costs of whichever server is met by it.
    """
    return (
        quantiles((each.cpu for each in measured), n=4)[0],
        quantiles((each.run.per_second for each in measured), n=4)[2],
    )


def _cpu(installation: Installation) -> float:
    """CPU seconds that web, PostgreSQL and the Redis-protocol server have taken so far."""
    total = 0.0
    servers = [psutil.Process(process.pid) for process in installation.processes]
    servers += installation.postgres.processes() + installation.valkey.processes()
    everyone: set[psutil.Process] = set()
    for server in servers:
        with suppress(psutil.NoSuchProcess):
            everyone |= {server, *server.children(recursive=True)}
    for server in everyone:
        with suppress(psutil.NoSuchProcess):
            times = server.cpu_times()
            total += times.user + times.system
    return total


def _memory(web: subprocess.Popen[bytes]) -> float:
    """The megabytes of the biggest web process."""
    return max(child.memory_info().rss for child in psutil.Process(web.pid).children(recursive=True)) / 2**20


@contextmanager
def _bare(installation: Installation, answer: bytes) -> Iterator[int]:
    """The port of a server that gives this answer to every request."""
    file = installation.folder / "bare-answer"
    file.write_bytes(answer)
    port = free_port()
    server = installation.serve("bench.bare:application", port, BARE_ANSWER=str(file))
    try:
        wait_for_server(port)
        yield port
    finally:
        installation.end(server)


def wait_for_server(port: int) -> None:
    """Until a server that was just started takes connections."""
    for _ in range(100):
        with suppress(OSError), socket.create_connection(("127.0.0.1", port)):
            return
        time.sleep(0.1)
    raise SystemExit("A server does not answer.")


def one_connection_for_each_process(installation: Installation) -> list[socket.socket]:
    """Connections to different web processes, which the beginning of their requests' ids tells apart."""
    found: dict[str, socket.socket] = {}
    while len(found) < 2:
        connection = socket.create_connection(("127.0.0.1", installation.port))
        answer = ask(connection, read_request(installation, 1, PATH))
        request_id = next(line for line in answer.split(b"\r\n") if line.lower().startswith(b"x-request-id: "))
        kept = found.setdefault(request_id.decode().rpartition("-")[0], connection)
        if kept is not connection:
            connection.close()
    return list(found.values())


def ask(connection: socket.socket, request: bytes) -> bytes:
    """Send a request and wait for its answer."""
    connection.sendall(request)
    received = bytearray()
    while (answer := client.whole(received)) is None:
        part = connection.recv(262_144)
        if not part:
            raise SystemExit("The server has closed the connection.")
        received += part
    return answer
