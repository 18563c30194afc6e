"""Sets and changes of one large tree at once, while workers are killed. Each flag state is compared with a naive model.

The model applies the accepted requests one by one, in the order in which Flagsite accepted them, to a dictionary.
"""

from __future__ import annotations

import random
import subprocess
import threading
import time
from collections import Counter
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from typing import Any

import httpx

from bench.installation import Installation
from bench.report import Result
from flagsite.development.servers.server_commands import worker_command

SIZE = 239_000
SETS, STRUCTURAL_CHANGES, FLAGS, CLIENTS, WORKERS = 200, 150, 3, 4, 2
SECONDS_BETWEEN_KILLS = 2.0
MAX_MINUTES = 10
MOST_LARGE = 20_000
"""Organizations of the largest subtree that is moved."""
PLANT = "import django; django.setup(); from bench.tree_changes import plant_one; plant_one({})"
ACCEPTED = """
SELECT id, action, organization_id, subject, details FROM orgs_historyentry
 WHERE action IN ('flag.set', 'organization.create', 'organization.move', 'organization.delete') AND id > %s
 ORDER BY id
"""
OPEN_CHAINS = "SELECT count(*) FROM jobs_job WHERE status IN ('PENDING', 'IN_PROGRESS') OR ended_as IS NULL"


def choreography(installation: Installation, rows: int) -> Result:
    """Play the choreography and compare all flag states."""
    installation.clear()
    installation.python(PLANT.format(min(rows, SIZE)))
    installation.authorize()
    began = time.monotonic()
    model = Model(installation)
    ((last_entry,),) = installation.sql("SELECT COALESCE(max(id), 0) FROM orgs_historyentry")
    killed = _play(installation)
    seconds = time.monotonic() - began
    accepted = model.apply(installation.sql(ACCEPTED, [last_entry]))
    wrong, compared = model.compare(installation)
    minutes = (time.monotonic() - began) / 60
    installation.manage("check_tree")  # fails if the tree is damaged
    words = ", ".join(f"{count} {action}" for action, count in sorted(accepted.items()))
    return Result(
        f"flag states in a tree of {min(rows, SIZE):,} after {words}, {killed} killed workers",
        f"{wrong} of {compared:,} wrong; {minutes:.1f} minutes", "a naive model", float(wrong),
        f"0 wrong, ≤ {MAX_MINUTES} minutes", wrong == 0 and minutes <= MAX_MINUTES,
        {"accepted": dict(accepted), "killed": killed, "compared": compared, "wrong": wrong, "seconds": seconds},
    )  # fmt: skip


def _play(installation: Installation) -> int:
    """Send all requests from some clients, and kill workers meanwhile. Returns the number of kills.

    Workers stay until all jobs have ended; then they end too, so that they do not disturb the next benchmark.
    """
    done, workers = threading.Event(), list[subprocess.Popen[bytes]]()
    try:
        with ThreadPoolExecutor(CLIENTS + 1) as pool:
            kills = pool.submit(_kill_workers, installation, done, workers)
            try:
                deck = ["set"] * SETS + ["change"] * STRUCTURAL_CHANGES
                random.Random(1).shuffle(deck)
                hands = [deck[number::CLIENTS] for number in range(CLIENTS)]
                clients = [pool.submit(Client(installation, number).play, hand) for number, hand in enumerate(hands)]
                for client in clients:
                    client.result()
            finally:
                done.set()
            killed = kills.result()
        while installation.sql(OPEN_CHAINS)[0][0]:
            time.sleep(0.5)
        return killed
    finally:
        for worker in workers:
            installation.end(worker)


def _kill_workers(installation: Installation, done: threading.Event, workers: list[subprocess.Popen[bytes]]) -> int:
    """Keep workers running; kill the oldest now and then, and start another. The list has those that run."""
    start = lambda: workers.append(installation.run(*worker_command(concurrency=1)))  # noqa: E731
    for _ in range(WORKERS):
        start()
    killed = 0
    while not done.wait(SECONDS_BETWEEN_KILLS):
        installation.kill(workers.pop(0))
        killed += 1
        start()
    return killed


class Client:
    """A client that sends random requests. An organization may be gone, or below the new parent: then it goes on."""

    def __init__(self, installation: Installation, number: int) -> None:
        self.installation = installation
        self.random = random.Random(number)
        self.http = httpx.Client(base_url=installation.http.base_url, headers=installation.http.headers, timeout=60)
        self.number = number
        self.created = 0

    def play(self, hand: list[str]) -> None:
        """Send a request for each card."""
        for card in hand:
            getattr(self, card)()

    def set(self) -> None:
        """Set a flag on an organization, mostly high up."""
        where = "ORDER BY descendant_count DESC" if self.random.random() < 0.5 else "WHERE descendant_count > 0"
        at = self._one(f"SELECT id FROM orgs_organization {where} OFFSET %s LIMIT 1", 400)
        value = self.random.choice(("true", "false"))
        self._send("POST", f"/{at}/flag-{self.random.randrange(FLAGS)}/{value}")

    def change(self) -> None:
        """Create, move or delete."""
        self.random.choice((self.create, self.move, self.move, self.delete))()

    def create(self) -> None:
        """Create an organization anywhere."""
        self.created += 1
        body = {"name": "New", "key": f"new-{self.number}-{self.created}", "parentId": self._any()}
        self._send("POST", "/organizations", body)

    def move(self) -> None:
        """Move a small or a large subtree."""
        most = self.random.choice((300, 300, 300, MOST_LARGE))
        moved = self._one(
            f"SELECT id FROM orgs_organization WHERE level > 0 AND descendant_count BETWEEN {most // 20} AND {most}"
            " ORDER BY id OFFSET %s LIMIT 1",
            20,
        )
        self._send("PATCH", f"/organizations/{moved}", {"parentId": self._any()})

    def delete(self) -> None:
        """Delete a small subtree."""
        at = self._one("SELECT id FROM orgs_organization WHERE descendant_count < 30 OFFSET %s LIMIT 1", 10_000)
        self._send("DELETE", f"/organizations/{at}?subtree=true")

    def _any(self) -> int:
        return self._one("SELECT id FROM orgs_organization ORDER BY id OFFSET %s LIMIT 1", SIZE // 4)

    def _one(self, query: str, most: int) -> int:
        for _ in range(50):
            rows = self.installation.sql(query, [self.random.randrange(most)])
            if rows:
                return int(rows[0][0])
            most = max(1, most // 2)
        raise SystemExit(f"No organization for {query!r}.")

    def _send(self, method: str, path: str, body: Any = None) -> None:
        while True:
            answer = self.http.request(method, path, json=body)
            if answer.status_code != 503:
                break
            time.sleep(float(answer.headers["Retry-After"]))
        if answer.status_code >= 500:
            raise SystemExit(f"{method} {path}: {answer.status_code} {answer.text}")


class Model:
    """The tree and the values as a dictionary: what each organization has for each flag, and from where."""

    def __init__(self, installation: Installation) -> None:
        self.installation = installation
        self.parents: dict[int, int | None] = dict(installation.sql("SELECT id, parent_id FROM orgs_organization"))
        self.children: dict[int, set[int]] = {}
        for organization, parent in self.parents.items():
            if parent is not None:
                self.children.setdefault(parent, set()).add(organization)
        self.values: dict[str, dict[int, tuple[bool, int]]] = {f"flag-{number}": {} for number in range(FLAGS)}

    def apply(self, entries: list[Any]) -> Counter[str]:
        """Apply the entries of the audit log. Sets between two changes of the tree go by their change numbers."""
        epoch, ordered = 0, []
        for number, action, *rest in entries:
            epoch += action != "flag.set"
            ordered.append((epoch, action == "flag.set", rest[2].get("changeNumber", 0), number, action, *rest))
        for *_, action, organization, subject, details in sorted(ordered, key=lambda entry: entry[:4]):
            if action == "flag.set":
                value = (details["enabled"], organization)
                self.values[subject.removeprefix("flag:")].update(dict.fromkeys(self.subtree(organization), value))
            else:
                getattr(self, action.removeprefix("organization."))(organization, details)
        return Counter(entry[1] for entry in entries)

    def subtree(self, top: int) -> list[int]:
        """Return an organization and all below it."""
        found = [top]
        for organization in found:
            found.extend(self.children.get(organization, ()))
        return found

    def create(self, organization: int, details: dict[str, Any]) -> None:
        """A created organization has what its parent has."""
        parent = details["parentId"]
        self.parents[organization] = parent
        self.children.setdefault(parent, set()).add(organization)
        for values in self.values.values():
            if parent in values:
                values[organization] = values[parent]

    def move(self, organization: int, details: dict[str, Any]) -> None:
        """A moved subtree gets what its new parent has, and keeps the rest."""
        with suppress(KeyError):
            self.children[details["before"]].remove(organization)
        self.parents[organization] = details["after"]
        self.children.setdefault(details["after"], set()).add(organization)
        for values in self.values.values():
            if details["after"] in values:
                values.update(dict.fromkeys(self.subtree(organization), values[details["after"]]))

    def delete(self, organization: int, details: dict[str, Any]) -> None:
        """A deleted subtree has nothing."""
        for gone in self.subtree(organization):
            for values in self.values.values():
                values.pop(gone, None)
            self.parents.pop(gone)
        for children in self.children.values():
            children.discard(organization)

    def compare(self, installation: Installation) -> tuple[int, int]:
        """Return how many flag states differ from the model, or are missing or too many, and how many there are."""
        wrong = compared = 0
        ids = dict(installation.sql("SELECT id, key FROM flags_flag"))
        stored: dict[str, dict[int, tuple[bool, int]]] = {key: {} for key in self.values}
        for organization, flag, enabled, source in installation.sql(
            "SELECT organization_id, flag_id, enabled, source_id FROM flags_flagstate"
        ):
            if ids.get(flag) in stored:
                stored[ids[flag]][organization] = (enabled, source)
        if set(self.parents) != {one for (one,) in installation.sql("SELECT id FROM orgs_organization")}:
            raise SystemExit("The model and Flagsite do not have the same organizations.")
        for key, values in self.values.items():
            compared += len(values)
            wrong += sum(stored[key].get(one) != value for one, value in values.items())
            wrong += len(stored[key].keys() - values.keys())
        return wrong, compared
