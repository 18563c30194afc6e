"""Unleash's server, with a database of its own on the servers of the installation.

Its frontend API evaluates all flags for one context, and answers with those that are on.
"""

from __future__ import annotations

import json
import time
from contextlib import suppress
from typing import Any

import httpx
from psycopg.conninfo import conninfo_to_dict

from bench import client, translated_rules
from bench.installation import Installation, free_port
from bench.mixed_flags import DEFAULT_VARIANT, VARIANTS, MixedFlag
from bench.node_programs import node, packages
from bench.peer_programs import own_database
from bench.rule_sets import Context

NAME = "Unleash's server"
PATH = "/api/frontend"
ENVIRONMENT = "development"
FRONTEND_TOKEN, ADMIN_TOKEN = f"*:{ENVIRONMENT}.bench-frontend", "*:*.bench-admin"
WAIT_SECONDS = 120
UNLIMITED = "100000000"


class UnleashServer:
    """A running server with these flags."""

    name = NAME

    def __init__(self, installation: Installation, flags: list[MixedFlag]) -> None:
        """Start the server, which first creates its tables, and define the flags."""
        self.port = free_port()
        database = conninfo_to_dict(own_database(installation, "unleash"))
        program = packages(installation) / "node_modules" / "unleash-server" / "dist" / "server.js"
        self.process = installation.launch(
            [str(node(installation)), str(program)], log_name="unleash", NODE_ENV="production", HTTP_HOST="127.0.0.1",
            HTTP_PORT=str(self.port), LOG_LEVEL="error", CHECK_VERSION="false", SEND_TELEMETRY="false",
            DATABASE_HOST=str(database["host"]), DATABASE_NAME=str(database["dbname"]), DATABASE_PASSWORD="",
            DATABASE_USERNAME=str(database["user"]), DATABASE_SSL="false", INIT_FRONTEND_API_TOKENS=FRONTEND_TOKEN,
            INIT_ADMIN_API_TOKENS=ADMIN_TOKEN, SDK_API_RATE_LIMIT_PER_MINUTE=UNLIMITED,
            TOKEN_AUTHENTICATION_RATE_LIMIT_PER_MINUTE=UNLIMITED,
        )  # fmt: skip
        self._off = {flag.name: None if flag.has_objects else False for flag in flags}
        headers = {"Authorization": ADMIN_TOKEN}
        with httpx.Client(base_url=f"http://127.0.0.1:{self.port}", headers=headers, timeout=60) as http:
            _wait(http)
            for flag in flags:
                _define(http, flag)

    def request(self, user: str, context: Context) -> bytes:
        """The bytes of a request of all flags for a user."""
        body = {"context": translated_rules.unleash_context(user, context)}
        return client.post(self.port, PATH, FRONTEND_TOKEN, json.dumps(body).encode())

    def values(self, answer: bytes) -> dict[str, Any]:
        """The values in an answer. A flag that is not in it is off."""
        flags = json.loads(answer.partition(b"\r\n\r\n")[2])["toggles"]
        return self._off | {flag["name"]: _value(flag["variant"]) for flag in flags}


def _value(variant: dict[str, Any]) -> Any:
    return json.loads(variant["payload"]["value"]) if "payload" in variant else True


def _wait(http: httpx.Client) -> None:
    end_at = time.monotonic() + WAIT_SECONDS
    while time.monotonic() < end_at:
        with suppress(httpx.TransportError):
            if http.get("/health").status_code == 200:
                return
        time.sleep(0.2)
    raise SystemExit(f"{NAME} does not answer; its log has the reason.")


def _define(http: httpx.Client, flag: MixedFlag) -> None:
    """Create the flag, its strategies, and turn it on in the environment if a strategy may turn it on for somebody."""
    features = "/api/admin/projects/default/features"
    _sent(http, features, {"name": flag.name, "type": "release"})
    strategies = translated_rules.unleash_rules(flag.rules)
    if flag.enabled:
        strategies = [{"name": "default", "parameters": {}, "constraints": []}]
    if flag.has_objects:
        strategies[0]["variants"] = [
            {
                "name": name, "weight": 1000 if name == DEFAULT_VARIANT else 0, "stickiness": "default",
                "weightType": "variable" if name == DEFAULT_VARIANT else "fix",
                "payload": {"type": "json", "value": json.dumps(value)},
            }
            for name, value in VARIANTS.items()
        ]  # fmt: skip
    for strategy in strategies:
        _sent(http, f"{features}/{flag.name}/environments/{ENVIRONMENT}/strategies", strategy)
    if strategies:
        _sent(http, f"{features}/{flag.name}/environments/{ENVIRONMENT}/on", {})


def _sent(http: httpx.Client, path: str, body: dict[str, Any]) -> None:
    answer = http.post(path, json=body)
    if not answer.is_success:
        raise SystemExit(f"{NAME} refuses {path}: {answer.text}")
