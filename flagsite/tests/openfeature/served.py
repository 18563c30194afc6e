"""A running Flagsite as OpenFeature's clients find it: web, worker and the process that tells of changes."""

from __future__ import annotations

import itertools
import json
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import httpx
from psycopg import sql

from flagsite.development.servers.server_commands import events_command, web_command
from flagsite.tests.crash.installation import Installation, eventually, free_port, kill_session
from orgs.access.models import AccessKey

ROOT, NORTH, SOUTH = 1, 2, 5
"""The tree: a root, two regions, and two stores below each. The stores' ids follow their region's."""
NORTH_STORE, SOUTH_STORE = 3, 6
NORTH_KEY, NORTH_STORE_KEY, SOUTH_STORE_KEY = "o0-0", "o0-1", "o1-1"


class Served(Installation):
    """An installation with everything that clients talk to."""

    def __init__(self, folder: Path) -> None:
        super().__init__(folder)
        self.events_port = free_port()
        self.page_port = free_port()
        self.page_origin = f"http://localhost:{self.page_port}"
        """Another origin than Flagsite's 127.0.0.1, so that browsers ask for CORS."""
        self.environment |= {
            "EVENTS_URL": f"http://127.0.0.1:{self.events_port}",
            "CORS_ORIGINS": self.page_origin,
            "FLAGS_INLINE_ROWS": "1",  # what goes to more than one organization is written by the worker
        }
        self.north_key = ""
        self._marks = itertools.count()

    @property
    def url(self) -> str:
        """What clients take as their base URL."""
        return f"http://127.0.0.1:{self.port}"

    def start(self) -> None:
        """Start all processes, plant the tree and make a key that sees the north only."""
        super().start()
        self.run(*events_command(self.events_port))
        self.start_worker(concurrency=1)
        self.plant_tree(branches=2, leaves=2)
        self.north_key = self.new_key("north", organization=NORTH)
        eventually(self.events_are_told, within=20)

    def events_are_told(self) -> bool:
        """Whether the process that tells of changes answers."""
        return _answers(f"http://127.0.0.1:{self.events_port}/livez")

    def new_key(self, name: str, *, organization: int | None = None, role: str = "reader") -> str:
        """Make an access key, for everything or for one subtree."""
        key, prefix, hashed = AccessKey.objects.key_generator.generate()
        self.sql(
            "INSERT INTO orgs_accesskey (id, name, prefix, hashed_key, role, organization_id, created, revoked)"
            " VALUES (%s, %s, %s, %s, %s, %s, now(), false)",
            [f"{prefix}.{hashed}", name, prefix, hashed, role, organization],
        )
        return str(key)

    def revoke(self, key: str) -> None:
        """Make the key invalid."""
        self.sql("UPDATE orgs_accesskey SET revoked = true WHERE prefix = %s", [key.partition(".")[0]])

    def define(self, key: str, **columns: Any) -> None:
        """Make a flag, or change its definition; returns when the web process knows it."""
        mark = str(next(self._marks))
        with self.connection() as connection, connection.transaction():  # whoever knows the second knows the first
            connection.execute(_upsert({"description": "", **columns, "key": key}))
            connection.execute(
                _upsert({"description": "", "environments": json.dumps({mark: True}), "key": "tests.mark"})
            )
        eventually(lambda: self.evaluated("tests.mark", environment=mark).get("value") is True, within=5)

    def switch(self, organization_id: int, flag: str, *, on: bool) -> None:
        """Set a flag on an organization over HTTP, as another client would; returns before all below it have it."""
        self.set_flag(organization_id, flag, on)

    def switch_and_wait(self, organization_id: int, flag: str, *, on: bool) -> None:
        """As `switch`; returns when every web process says so."""
        job = self.set_flag(organization_id, flag, on)
        eventually(lambda: self.chain_ended(job), within=20)
        eventually(lambda: self.evaluated(flag, organizationId=organization_id)["value"] is on, within=5)

    def evaluated(self, flag: str, **context: Any) -> dict[str, Any]:
        """One flag, asked without a client library."""
        answer = self.post(f"/ofrep/v1/evaluate/flags/{flag}", json={"context": context})
        return dict(answer.json())

    def bulk(self, key: str = "", **context: Any) -> httpx.Response:
        """All flags, asked without a client library."""
        return httpx.post(
            f"{self.url}/ofrep/v1/evaluate/flags",
            json={"context": context},
            headers={"Authorization": f"Bearer {key or self.key}"},
        )

    def events_address(self, key: str = "", **context: Any) -> str:
        """Where changes are told to whoever evaluates so."""
        return str(self.bulk(key, **context).json()["eventStreams"][0]["url"])

    @contextmanager
    def another_web(self, **environment: str) -> Iterator[str]:
        """Another web server on the same data, with other settings; its URL."""
        port, usual = free_port(), self.environment
        self.environment = usual | environment
        web = self.run(*web_command(port, workers=1))
        self.environment = usual
        try:
            eventually(lambda: _answers(f"http://127.0.0.1:{port}/livez"), within=20)
            yield f"http://127.0.0.1:{port}"
        finally:
            kill_session(web)
            self.processes.remove(web)


def _upsert(values: dict[str, Any]) -> sql.Composed:
    return sql.SQL("INSERT INTO flags_flag ({}) VALUES ({}) ON CONFLICT (key) DO UPDATE SET {}").format(
        sql.SQL(", ").join(map(sql.Identifier, values)),
        sql.SQL(", ").join(sql.Literal(value) for value in values.values()),
        sql.SQL(", ").join(sql.SQL("{0} = EXCLUDED.{0}").format(sql.Identifier(name)) for name in values),
    )


def _answers(url: str) -> bool:
    try:
        return httpx.get(url).is_success
    except httpx.TransportError:
        return False
