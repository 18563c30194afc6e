"""Asking every web process of an installation, which the beginnings of the ids that they give requests tell apart."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from typing import Any

import httpx

from flagsite.tests.crash.installation import Installation

MOST_CONNECTIONS = 200
"""The kernel deals connections out to the processes; so many without meeting each of them is no chance any more."""


class WebProcesses:
    """A connection to each web process."""

    def __init__(self, connections: dict[str, httpx.Client]) -> None:
        self._connections = connections

    def evaluate(self, flag: str, organization_id: int) -> list[httpx.Response]:
        """What each process says of the flag, asked by OFREP; each of them counts it as one evaluation."""
        return [_evaluated(client, flag, organization_id, by=name) for name, client in self._connections.items()]

    def values(self, flag: str, organization_id: int) -> list[Any]:
        """The flag's value in each process; None from one that does not know the flag."""
        return [answer.json().get("value") for answer in self.evaluate(flag, organization_id)]


@contextmanager
def each_web_process(installation: Installation) -> Iterator[WebProcesses]:
    """Connect to all web processes; an organization with the id 1 is there."""
    found: dict[str, httpx.Client] = {}
    with ExitStack() as stack:
        for _ in range(MOST_CONNECTIONS):
            client = stack.enter_context(_connection(installation))
            found.setdefault(_process(_evaluated(client, "of-nobody", 1)), client)
            if len(found) == installation.web_workers:
                break
        assert len(found) == installation.web_workers
        yield WebProcesses(found)


def _connection(installation: Installation) -> httpx.Client:
    """One that stays with the process that has taken it."""
    return httpx.Client(
        base_url=f"http://127.0.0.1:{installation.port}",
        headers={"Authorization": f"Bearer {installation.key}"},
        limits=httpx.Limits(max_connections=1, keepalive_expiry=None),
        timeout=20,
    )


def _evaluated(client: httpx.Client, flag: str, organization_id: int, *, by: str = "") -> httpx.Response:
    context = {"context": {"organizationId": organization_id}}
    answer = client.post(f"/ofrep/v1/evaluate/flags/{flag}", json=context)
    assert not by or _process(answer) == by, "the connection was lost, and another process has taken the next"
    return answer


def _process(answer: httpx.Response) -> str:
    return answer.headers["X-Request-ID"].rpartition("-")[0]
