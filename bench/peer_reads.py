"""Evaluations of 100 flags over HTTP beside other flag servers with the same flags, rules and users."""

from __future__ import annotations

import json
import random
import time
from typing import Any, Protocol

import psutil

from bench import client
from bench.flagd_server import FlagdServer
from bench.installation import Installation
from bench.mixed_flags import MixedFlag, mixed_flags
from bench.planted_flags import plant_flags
from bench.reads import PATH, Measured, answering, better_quarter, databases, measured_run, send_once, warm_up
from bench.report import Result, say
from bench.rule_sets import Context, contexts
from bench.unleash_server import UnleashServer

CHECKED = 200
REQUESTS_OF_A_TURN = 3_000
ROUNDS = 8
PLANT_STATES = """
INSERT INTO flags_flagstate (organization_id, flag_id, source_id, change_number, job_id, updated_at, enabled)
SELECT organization.id, flag.id, 1, 1, NULL, now(), flag.key = ANY (%(enabled)s)
  FROM orgs_organization organization CROSS JOIN flags_flag flag
 ORDER BY organization.id, flag.id
"""
SECONDS_UNTIL_ANSWERED = 60.0


class FlagServer(Protocol):
    """A running server that has the flags."""

    name: str
    port: int

    def request(self, user: str, context: Context) -> bytes:
        """The bytes of a request of all flags for a user."""

    def values(self, answer: bytes) -> dict[str, Any]:
        """The values in an answer."""


class Flagsite:
    """Our own server, whose users are in random organizations."""

    name = "Flagsite"

    def __init__(self, installation: Installation, flags: list[MixedFlag], descendants: int) -> None:
        """Plant the flags and their states, and fill the evaluation cache."""
        installation.create_trees(descendants)
        ((self._organizations,),) = installation.sql("SELECT count(*) FROM orgs_organization")
        plant_flags(installation, flags)
        installation.sql(PLANT_STATES, {"enabled": [flag.name for flag in flags if flag.enabled]})
        installation.sql("VACUUM (ANALYZE) flags_flagstate")
        self.port = installation.port
        self._key = str(installation.http.headers["Authorization"]).removeprefix("Bearer ")
        self._random = random.Random(1)
        warm_up(installation, self._organizations)

    def request(self, user: str, context: Context) -> bytes:
        """The bytes of a request of all flags for a user."""
        organization = self._random.randint(1, self._organizations)
        body = {"context": {"targetingKey": user, "organizationId": organization, **context}}
        return client.post(self.port, PATH, self._key, json.dumps(body).encode())

    def values(self, answer: bytes) -> dict[str, Any]:
        """The values in an answer."""
        return {flag["key"]: flag["value"] for flag in json.loads(answer.partition(b"\r\n\r\n")[2])["flags"]}


def peer_reads(installation: Installation, rows: int) -> list[Result]:
    """Measure an evaluation of 100 flags by Flagsite and by other servers, in turns.

    Before it measures, the benchmark checks that all of them give the same values.
    """
    flags, programs = mixed_flags(), answering(installation)
    users = [(f"user-{number}", context) for number, context in enumerate(contexts(REQUESTS_OF_A_TURN * (ROUNDS + 1)))]
    unleash, flagd = UnleashServer(installation, flags), FlagdServer(installation, flags)
    servers: list[FlagServer] = [Flagsite(installation, flags, max(1000, rows // 100)), unleash, flagd]
    own = {server.name: psutil.Process(server.process.pid) for server in (unleash, flagd)}
    counted = {
        Flagsite.name: programs,
        unleash.name: [own[unleash.name], *databases(installation)],
        flagd.name: [own[flagd.name]],
    }
    turns: dict[str, list[Measured]] = {server.name: [] for server in servers}
    requests = {}
    try:
        for server in servers:
            requests[server.name] = [server.request(*user) for user in users]
            _check(server, flags, users)
        for number in range(ROUNDS + 1):
            for server in servers if number % 2 else reversed(servers):
                turn = requests[server.name][number * REQUESTS_OF_A_TURN : (number + 1) * REQUESTS_OF_A_TURN]
                measured = measured_run(installation, server.port, turn, of=counted[server.name])
                if number:  # the first round warms up
                    turns[server.name].append(measured)
    finally:
        installation.end(unleash.process)
        installation.end(flagd.process)
    assert {status for each in turns.values() for one in each for status in one.run.statuses} == {200}
    return _results(turns)


def _check(server: FlagServer, flags: list[MixedFlag], users: list[tuple[str, Context]]) -> None:
    """Exit if the server gives another value than the flags mean. Its first answer may come from before the flags."""
    end_at = time.monotonic() + SECONDS_UNTIL_ANSWERED
    for user, context in users[:CHECKED]:
        expected = {flag.name: flag.value(context) for flag in flags}
        while (values := server.values(send_once(server.port, server.request(user, context)))) != expected:
            if time.monotonic() > end_at:
                wrong = {name: values.get(name) for name in expected if values.get(name) != expected[name]}
                raise SystemExit(f"{server.name} gives wrong values for {context}: {wrong}")
            time.sleep(0.5)
    say(f"{server.name}: {CHECKED} users got the values that the rules mean")


def _results(turns: dict[str, list[Measured]]) -> list[Result]:
    """One result for each other server, all of them with our own figure."""
    cpu = {name: better_quarter(measured)[0] for name, measured in turns.items()}
    ours = cpu.pop(Flagsite.name)
    figures = {
        name: {"cpu_milliseconds": [each.cpu for each in measured],
               "per_second": [each.run.per_second for each in measured], "bytes": len(measured[-1].run.last)}
        for name, measured in turns.items()
    }  # fmt: skip
    return [
        Result(
            "all of 100 flags, 40 typed and 30 with 5 rules of 3 clauses", f"{ours:.3f} ms CPU",
            f"{name} {figure:.3f} ms", ours / figure, "< 1 ×", ours < figure, figures,
        )
        for name, figure in cpu.items()
    ]  # fmt: skip
