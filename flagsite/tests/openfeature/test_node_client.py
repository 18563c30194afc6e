"""npm's `@openfeature/ofrep-provider` on `@openfeature/server-sdk`, as they come, in node."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from flagsite.tests.openfeature import javascript_clients
from flagsite.tests.openfeature.javascript_clients import ask
from flagsite.tests.openfeature.served import NORTH, NORTH_KEY, NORTH_STORE, NORTH_STORE_KEY, SOUTH_STORE, Served

pytestmark = pytest.mark.slow


@pytest.fixture(scope="module")
def packages() -> Path:
    return javascript_clients.installed()


def question(flag: str, *, default: bool | str = False, **context: Any) -> dict[str, Any]:
    """As server.mjs takes it; a flag is asked for as what its default is."""
    return {
        "flag": flag,
        "default": default,
        "type": {bool: "boolean", str: "string"}[type(default)],
        "context": context,
    }


def test_answers_of_all_kinds_arrive_as_they_were_sent(flagsite: Served, packages: Path) -> None:
    flagsite.define("node.tree")
    flagsite.define("node.rollout", enabled=True, rollout_percentage="50.000")
    flagsite.define("node.whitelist", whitelist=["ada"])
    flagsite.switch_and_wait(NORTH, "node.tree", on=True)
    sent = flagsite.evaluated("node.tree", organizationId=NORTH_STORE)

    below, elsewhere, split, listed, unknown, nobody, stranger, text = ask(
        packages,
        flagsite.url,
        flagsite.key,
        question("node.tree", organizationKey=NORTH_STORE_KEY),
        question("node.tree", default=True, organizationId=SOUTH_STORE),
        question("node.rollout", targetingKey="user-1"),
        question("node.whitelist", targetingKey="ada"),
        question("node.nobody-made-this", default=True),
        question("node.rollout", default=True),
        question("node.tree", organizationKey="nobody-has-this-key"),
        question("node.tree", default="text"),
    )

    assert (below["value"], below["variant"], below["reason"]) == (True, "on", "TARGETING_MATCH")
    assert below["flagMetadata"] == sent["metadata"]
    assert (elsewhere["value"], elsewhere["variant"], elsewhere["reason"]) == (False, "off", "STATIC")
    assert split["reason"] == "SPLIT"
    assert split["value"] is flagsite.evaluated("node.rollout", targetingKey="user-1")["value"]
    assert (listed["value"], listed["flagMetadata"]["rule"]) == (True, "whitelist")
    assert (unknown["value"], unknown["errorCode"]) == (True, "FLAG_NOT_FOUND")
    assert (nobody["value"], nobody["errorCode"]) == (True, "TARGETING_KEY_MISSING")
    expected = "The rollout of the flag 'node.rollout' needs a targeting key, and the request has none."
    assert nobody["errorMessage"] == expected
    assert stranger["errorCode"] == "INVALID_CONTEXT"
    assert (text["value"], text["errorCode"]) == ("text", "TYPE_MISMATCH")


def test_the_base_url_may_name_the_organization(flagsite: Served, packages: Path) -> None:
    flagsite.define("node.base-url")
    flagsite.switch_and_wait(NORTH, "node.base-url", on=True)

    (answer,) = ask(
        packages, f"{flagsite.url}/organizations/{NORTH_KEY}", flagsite.north_key, question("node.base-url")
    )

    assert answer["value"] is True


def test_a_wrong_key_gives_the_default(flagsite: Served, packages: Path) -> None:
    flagsite.define("node.wrong-key", enabled=True)

    (answer,) = ask(packages, flagsite.url, "aaaaaaaa.wrong", question("node.wrong-key"))

    assert (answer["value"], answer["reason"], answer["errorCode"]) == (False, "ERROR", "GENERAL")


def test_too_many_evaluations_pause_the_client_for_a_minute_at_most(flagsite: Served, packages: Path) -> None:
    flagsite.define("node.limit", enabled=True)
    with flagsite.another_web(EVALUATION_RATE_LIMIT="1") as url:
        first, second, third = ask(packages, url, flagsite.key, *[question("node.limit")] * 3)

    assert first["value"] is True
    assert "rate limit exceeded, try again after" in second["errorMessage"]
    assert "OFREP evaluation paused due to TooManyRequests until" in third["errorMessage"]
