"""Run the program of another job queue (`other_queue.py`), with an empty store of its own on the same servers."""

from __future__ import annotations

import json
import os
import subprocess
from dataclasses import dataclass, field
from typing import Any

import redis
from psycopg.conninfo import make_conninfo

from bench.in_process import peers_python
from bench.installation import ROOT, Installation
from flagsite.development import servers


@dataclass(frozen=True, slots=True)
class Peer:
    """Another job queue: its program, and the number of its Redis database if it has no tables."""

    name: str
    program: str
    redis: int | None = None
    environment: dict[str, str] = field(default_factory=dict)


PROCRASTINATE = Peer("procrastinate", "procrastinate_jobs")
PEERS = (
    PROCRASTINATE,
    Peer("django-tasks-db", "django_tasks_jobs"),
    Peer("RQ", "rq_jobs", redis=5),
    Peer("Celery", "celery_jobs", redis=6),
    Peer("Celery, late acknowledgement", "celery_jobs", redis=7, environment={"LATE": "1"}),
)


def run(installation: Installation, peer: Peer, *arguments: object) -> Any:
    """Return what the program of the peer prints as JSON."""
    url = own_database(installation, peer.program) if peer.redis is None else _own_redis(installation, peer.redis)
    command = [peers_python(installation), ROOT / "bench" / f"{peer.program}.py", url, *map(str, arguments)]
    environment = {name: value for name, value in os.environ.items() if name != "DJANGO_SETTINGS_MODULE"}
    with (installation.folder / f"{peer.program}.log").open("ab") as log:
        done = subprocess.run(
            command, env=environment | peer.environment, cwd=installation.folder, check=True, stdout=subprocess.PIPE,
            stderr=log,
        )  # fmt: skip
    return json.loads(done.stdout.splitlines()[-1])


def own_database(installation: Installation, name: str) -> str:
    """Return the URL of an empty database on the server of the installation."""
    installation.sql(f"DROP DATABASE IF EXISTS {name} WITH (FORCE)")
    installation.sql(f"CREATE DATABASE {name}")
    return make_conninfo(installation.database_url, dbname=name)


def _own_redis(installation: Installation, number: int) -> str:
    """Return the URL of an empty Redis database on the server of the installation."""
    url = servers.redis_url(installation.folder).replace("db=0", f"db={number}")
    with redis.Redis.from_url(url) as connection:
        connection.flushdb()
    return url
