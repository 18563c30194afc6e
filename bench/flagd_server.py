"""flagd's evaluator for Node.js behind a server that does nothing else, which answers OFREP's evaluation of all flags.

flagd itself is a program in Go, which the package registries do not offer. This stand-in does less than a flag server:
it has no keys, logs and metrics.
"""

from __future__ import annotations

import json
from typing import Any

from bench import client, translated_rules
from bench.installation import Installation, free_port
from bench.mixed_flags import DEFAULT_VARIANT, VARIANTS, MixedFlag
from bench.node_programs import node, packages
from bench.reads import PATH, wait_for_server
from bench.rule_sets import Context


class FlagdServer:
    """A running server with these flags."""

    name = "flagd's evaluator for Node.js"

    def __init__(self, installation: Installation, flags: list[MixedFlag]) -> None:
        """Start the server."""
        self.port = free_port()
        folder, file = packages(installation), installation.folder / "flagd-flags.json"
        file.write_text(json.dumps({"flags": {flag.name: _definition(flag) for flag in flags}}))
        command = [str(node(installation)), str(folder / "flagd_server.mjs"), str(self.port), str(file)]
        self.process = installation.launch(command, log_name="flagd", NODE_ENV="production")
        wait_for_server(self.port)

    def request(self, user: str, context: Context) -> bytes:
        """The bytes of a request of all flags for a user."""
        body = {"context": {"targetingKey": user, **context}}
        return client.post(self.port, PATH, "none", json.dumps(body).encode())

    def values(self, answer: bytes) -> dict[str, Any]:
        """The values in an answer."""
        return {flag["key"]: flag["value"] for flag in json.loads(answer.partition(b"\r\n\r\n")[2])["flags"]}


def _definition(flag: MixedFlag) -> dict[str, Any]:
    if flag.has_objects:
        return {"state": "ENABLED", "variants": VARIANTS, "defaultVariant": DEFAULT_VARIANT}
    targeting = {"targeting": translated_rules.flagd_targeting(flag.rules)} if flag.rules else {}
    default = "on" if flag.enabled else "off"
    return {"state": "ENABLED", "variants": {"on": True, "off": False}, "defaultVariant": default, **targeting}
