"""Reads over HTTP: the CPU time of one read in all processes, and the rate compared with a bare server."""

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

FLAGS = 100
REQUESTS = 30_000
CONNECTIONS = 64
"""The number of busy connections. With few, a server wakes up for each request, which costs more than to answer."""
ROUNDS = 40
"""Turns of each server in each case. The servers alternate in short turns, because the speed of a machine varies."""
REQUESTS_PER_TURN = 5_000
KNOWN_ANSWERS = 3_000
"""The number of answers whose ETags are sent again."""
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
                            WHEN 2 THEN organization.parent_id ELSE 0 END AS branch) on_level
 CROSS JOIN LATERAL (SELECT branch > 0 AND (branch + flag.id) % 3 = 0 AS set_below) below
 ORDER BY organization.id, flag.id
"""
"""Each flag is set on the root, and every third flag also on each branch."""

PLANT_DIFFERENT_STATES = """
INSERT INTO flags_flagstate (organization_id, flag_id, source_id, change_number, job_id, updated_at, enabled)
SELECT organization.id, flag.id, organization.id, organization.id * 1000 + flag.id, NULL, now(), TRUE
  FROM orgs_organization organization CROSS JOIN flags_flag flag
 ORDER BY organization.id, flag.id
"""
"""Each flag is set on each organization, so that the states of all organizations differ."""
MAX_MEGABYTES = 1024


class Kind(NamedTuple):
    """A kind of read and its requirements: CPU milliseconds, and share of the bare server's requests per second."""

    what: str
    path: str
    status: int
    max_cpu: float
    min_share: float


KINDS = (
    Kind("all of 100 flags", PATH, 200, 0.2, 0.5),
    Kind("all, answered 304", PATH, 304, 0.1, 0.7),
    Kind("one flag", f"{PATH}/flag-050", 200, 0.1, 0.5),
)


def reads(installation: Installation, rows: int) -> list[Result]:
    """Measure all flags, all flags answered 304, and one flag, for random organizations in the evaluation cache."""
    installation.create_trees(max(1000, rows // 10))
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
    """One kind of read, from Flagsite and from a bare server that answers with the same bytes."""

    def __init__(self, stack: ExitStack, installation: Installation, kind: Kind, organizations: int) -> None:
        """Start the bare server, which runs until the stack ends, and warm up both servers."""
        self.kind = kind
        self.requests = list(_requests(installation, organizations, kind.path, known=kind.status == 304))
        self.installation = installation
        answer = send_once(installation.port, self.requests[0])
        self.ours: list[Measured] = []
        self.bare: list[Measured] = []
        self._servers = [
            (installation.port, self.ours), (stack.enter_context(_bare(installation, answer)), self.bare)
        ]  # fmt: skip
        for port, _ in self._servers:
            measured_run(installation, port, self.requests)

    def take_turns(self, number: int) -> None:
        """Measure a turn of each server. The servers take it in turn to be the first."""
        begin = number * REQUESTS_PER_TURN % REQUESTS
        for port, measured in self._servers if number % 2 else reversed(self._servers):
            measured.append(measured_run(self.installation, port, self.requests[begin : begin + REQUESTS_PER_TURN]))

    def result(self, organizations: int, warm: dict[str, float]) -> Result:
        """The result of all turns."""
        assert {status for each in self.ours for status in each.run.statuses} == {self.kind.status}
        kind = self.kind
        cpu, per_second = better_quarter(self.ours)
        bare_cpu, bare_per_second = better_quarter(self.bare)
        ratio = per_second / bare_per_second
        slowest = max(each.run.percentile(0.99) for each in self.ours)
        return Result(
            f"{kind.what}, {organizations:,} organizations",
            f"{cpu:.3f} ms CPU, {per_second:.0f}/s, p99 {slowest:.1f} ms",
            f"bare {bare_cpu:.3f} ms, {bare_per_second:.0f}/s", ratio, f"≤ {kind.max_cpu} ms CPU; ≥ {kind.min_share} ×",
            cpu <= kind.max_cpu and ratio >= kind.min_share,
            {"cpu_milliseconds": [each.cpu for each in self.ours],
             "per_second": [each.run.per_second for each in self.ours],
             "bare_cpu_milliseconds": [each.cpu for each in self.bare],
             "bare_per_second": [each.run.per_second for each in self.bare],
             "bytes": len(self.ours[-1].run.last), **warm},
        )  # fmt: skip


def memory_of_different_organizations(installation: Installation, rows: int) -> Result:
    """Measure the memory of a web process that caches every organization, if the states of all of them differ."""
    installation.create_trees(max(1000, rows // 10))
    ((organizations,),) = installation.sql("SELECT count(*) FROM orgs_organization")
    installation.sql(PLANT_FLAGS, {"flags": FLAGS})
    installation.sql(PLANT_DIFFERENT_STATES)
    installation.sql("VACUUM (ANALYZE) flags_flagstate")
    warm = memory_of_a_new_process(installation, organizations)
    megabytes = warm["megabytes_after"]
    return Result(
        f"memory of a web process, {organizations:,} different organizations", f"{megabytes:.0f} MiB",
        f"{warm['megabytes_before']:.0f} MiB before", megabytes / warm["megabytes_before"],
        f"≤ {MAX_MEGABYTES} MiB", megabytes <= MAX_MEGABYTES, warm,
    )  # fmt: skip


def memory_of_a_new_process(installation: Installation, organizations: int) -> dict[str, float]:
    """Read each organization once from one process of a new web server. Returns what `warm_up` returns."""
    usual = installation.web, installation.port
    installation.port = free_port()
    installation.web = installation.serve("flagsite.wsgi:application", installation.port)
    try:
        wait_for_server(installation.port)
        return warm_up(installation, organizations, processes=1)
    finally:
        installation.end(installation.web)
        installation.web, installation.port = usual


def warm_up(installation: Installation, organizations: int, *, processes: int = 2) -> dict[str, float]:
    """Read each organization once from each web process. Returns the time of a first read and the memory.

    The processes are read at the same time, so that no organization snapshot expires meanwhile
    (EVALUATION_CACHE_SECONDS).
    """
    before = _memory(installation.web)
    began = time.perf_counter()
    with ExitStack() as stack:
        connections = [stack.enter_context(each) for each in one_connection_for_each_process(installation)][:processes]
        pool = stack.enter_context(ThreadPoolExecutor(processes))
        for reading in [pool.submit(_read_each, installation, organizations, each) for each in connections]:
            reading.result()
    seconds = time.perf_counter() - began
    return {
        "first_read_milliseconds": seconds / organizations * 1000,
        "megabytes_before": before,
        "megabytes_after": _memory(installation.web),
    }


def _read_each(installation: Installation, organizations: int, connection: socket.socket) -> None:
    for number in range(1, organizations + 1):
        send(connection, read_request(installation, number, PATH))


def _requests(installation: Installation, organizations: int, path: str, *, known: bool = False) -> Iterator[bytes]:
    """Requests of random users of random organizations; with `known` they have the ETag of an earlier answer."""
    generator = random.Random(1)
    pairs = [(generator.randint(1, organizations), generator.randint(1, 10**6)) for _ in range(REQUESTS)]
    if not known:
        yield from (read_request(installation, organization, path, user=user) for organization, user in pairs)
        return
    tags = {}
    with socket.create_connection(("127.0.0.1", installation.port)) as connection:
        for organization, user in pairs[:KNOWN_ANSWERS]:
            answer = send(connection, read_request(installation, organization, path, user=user)).split(b"\r\n")
            tag = next(line for line in answer if line.lower().startswith(b"etag: "))
            tags[organization, user] = tag[6:].decode()
    for number in range(REQUESTS):
        organization, user = pairs[number % KNOWN_ANSWERS]
        tag = tags[organization, user]
        yield read_request(installation, organization, path, f"If-None-Match: {tag}", user=user)


def read_request(installation: Installation, organization: int, path: str, *headers: str, user: int = 7) -> bytes:
    """The bytes of an evaluation request for a user of an organization."""
    body = json.dumps({"context": {"targetingKey": f"user-{user}", "organizationId": organization}})
    key = str(installation.http.headers["Authorization"]).removeprefix("Bearer ")
    return client.post(installation.port, path, key, body.encode(), *headers)


@dataclass(frozen=True, slots=True)
class Measured:
    """A run, and the milliseconds of CPU time that all processes took for each request."""

    run: Run
    cpu: float


def measured_run(
    installation: Installation, port: int, requests: list[bytes], *, of: list[psutil.Process] | None = None
) -> Measured:
    """Send the requests from a thread that never interrupts a server, as if the client were on another machine.

    Without `of`, all programs of the installation and its databases count; else only these programs.
    """
    servers = answering(installation) if of is None else of
    before = _cpu(servers)
    with ThreadPoolExecutor(1, initializer=client.yield_to_other_threads) as pool:
        run = pool.submit(client.run, port, iter(requests), connections=CONNECTIONS).result()
    return Measured(run, (_cpu(servers) - before) / len(run.milliseconds) * 1000)


def better_quarter(measured: list[Measured]) -> tuple[float, float]:
    """The CPU milliseconds and the requests per second that the better quarter of the turns reached.

    Disturbances can only slow a turn down. Examples are other processes of the machine, and a scheduler that puts all
    threads of a process on one processor, which doubles the cost of a request.
    """
    return (
        quantiles((each.cpu for each in measured), n=4)[0],
        quantiles((each.run.per_second for each in measured), n=4)[2],
    )


def answering(installation: Installation) -> list[psutil.Process]:
    """The programs of the installation, PostgreSQL and the Redis-protocol server."""
    return [psutil.Process(process.pid) for process in installation.processes] + databases(installation)


def databases(installation: Installation) -> list[psutil.Process]:
    """PostgreSQL and the Redis-protocol server."""
    return [*installation.postgres.processes(), *installation.valkey.processes()]


def _cpu(servers: list[psutil.Process]) -> float:
    """The CPU seconds of these processes and all their children until now, also of children that have ended."""
    total = 0.0
    processes: set[psutil.Process] = set()
    for server in servers:
        with suppress(psutil.NoSuchProcess):
            processes |= {server, *server.children(recursive=True)}
    for process in processes:
        with suppress(psutil.NoSuchProcess):
            times = process.cpu_times()
            total += times.user + times.system + times.children_user + times.children_system
    return total


def _memory(web: subprocess.Popen[bytes]) -> float:
    """The memory of the largest web process in megabytes."""
    return max(child.memory_info().rss for child in psutil.Process(web.pid).children(recursive=True)) / 2**20


@contextmanager
def _bare(installation: Installation, answer: bytes) -> Iterator[int]:
    """Run a server that gives this answer to every request. Yields its port."""
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
    """Wait until a server accepts connections."""
    for _ in range(100):
        with suppress(OSError), socket.create_connection(("127.0.0.1", port)):
            return
        time.sleep(0.1)
    raise SystemExit(f"The server on port {port} does not answer.")


def one_connection_for_each_process(installation: Installation) -> list[socket.socket]:
    """Connections to two web processes. The beginning of the request ids shows which process has answered."""
    connections: dict[str, socket.socket] = {}
    while len(connections) < 2:
        connection = socket.create_connection(("127.0.0.1", installation.port))
        answer = send(connection, read_request(installation, 1, PATH))
        request_id = next(line for line in answer.split(b"\r\n") if line.lower().startswith(b"x-request-id: "))
        kept = connections.setdefault(request_id.decode().rpartition("-")[0], connection)
        if kept is not connection:
            connection.close()
    return list(connections.values())


def send_once(port: int, request: bytes) -> bytes:
    """Send a request on a connection of its own and return the answer."""
    with socket.create_connection(("127.0.0.1", port)) as connection:
        return send(connection, request)


def send(connection: socket.socket, request: bytes) -> bytes:
    """Send a request, wait for its answer and return it."""
    connection.sendall(request)
    received = bytearray()
    while (answer := client.complete_answer(received)) is None:
        part = connection.recv(262_144)
        if not part:
            raise SystemExit("The server has closed the connection.")
        received += part
    return answer
