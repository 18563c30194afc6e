"""Deeds of the tree while workers are killed, connections are cut and messages come twice.

The client sends sets, locks, overwrites, resets, exemptions, moves and undos one after the other, and does not wait for
the jobs. In the end, each flag state has to be what the model of the conformance suite says. After a lost answer, the
client sends its request again with the same key.
"""

from __future__ import annotations

import random
import threading
import uuid
from copy import deepcopy
from typing import Any

import httpx
import pytest
from celery import Celery

from flags.tests.control.model import ACCEPTED, Model, Refused
from flagsite.development.servers import redis_url
from flagsite.tests.crash.installation import Installation, eventually, kill_session

pytestmark = [pytest.mark.slow, pytest.mark.timeout(300)]
BRANCHES, LEAVES, FLAGS, DEEDS, KILLS = 4, 40, ("checkout", "search", "sale"), 90, 4
CUT = """
SELECT pg_terminate_backend(pid) FROM pg_stat_activity
 WHERE backend_type = 'client backend' AND pid <> pg_backend_pid()
"""
IN_THE_MIDDLE = "SELECT id FROM jobs_job WHERE status = 'IN_PROGRESS' AND processed > 0"
STATES = """
SELECT organization.id, flag.key, state.enabled, state.source_id, state.locked
  FROM orgs_organization organization CROSS JOIN flags_flag flag
  LEFT JOIN flags_flagstate state ON state.organization_id = organization.id AND state.flag_id = flag.id
"""
RUNNING_ALREADY = "/problems/idempotent-request-running"


class Client:
    """Sends deeds, and carries out in the model what was accepted."""

    def __init__(self, installation: Installation, model: Model, chance: random.Random) -> None:
        self.installation, self.model, self.chance = installation, model, chance
        self.http = httpx.Client(
            base_url=f"http://127.0.0.1:{installation.port}", timeout=30,
            headers={"Authorization": f"Bearer {installation.key}"},
        )  # fmt: skip
        self.to_undo: tuple[int, Model] | None = None
        """The number of the last deed, and the model before it."""
        self.deeds: dict[str, int] = {}

    def play(self) -> None:
        """Send one random deed, and compare the answer with that of the model."""
        name = self.chance.choice(["set", "set", "lock", "overwrite", "reset", "exempt", "move", "undo"])
        before = deepcopy(self.model)
        answer, expected = getattr(self, name)(self._place(), self.chance.choice(FLAGS))
        assert answer.status_code < 500, answer.text
        said = ACCEPTED if answer.is_success else answer.json()["type"].removeprefix("/problems/")
        assert said == expected, (name, answer.text)
        if said == ACCEPTED:
            self.deeds[name] = self.deeds.get(name, 0) + 1
            number = answer.json().get("changeNumber") if name not in {"exempt", "move"} else None
            self.to_undo = (number, before) if number else None

    def set(self, place: int, flag: str, below: str = "keep") -> tuple[httpx.Response, str]:
        value = self.chance.choice([True, False])
        answer = self.send("PUT", address_of(place, flag), {"value": value, "below": below})
        return answer, self._expected(lambda: self.model.set(place, flag, value, below=below))

    def lock(self, place: int, flag: str) -> tuple[httpx.Response, str]:
        return self.set(place, flag, below="lock")

    def overwrite(self, place: int, flag: str) -> tuple[httpx.Response, str]:
        return self.set(place, flag, below="overwrite")

    def reset(self, place: int, flag: str) -> tuple[httpx.Response, str]:
        subtree = self.chance.choice([True, False])
        answer = self.send("DELETE", f"{address_of(place, flag)}?subtree={str(subtree).lower()}")
        return answer, self._expected(lambda: self.model.reset(place, flag, subtree=subtree))

    def exempt(self, place: int, flag: str) -> tuple[httpx.Response, str]:
        locked = [each for each in self.model.parents if self.model.lock(each, flag) not in {None, each}]
        place = int(str(self.chance.choice(locked))) if locked else place
        answer = self.send("PUT", f"{address_of(place, flag)}/exemption", {})
        return answer, self._expected(lambda: self.model.exempt(place, flag))

    def move(self, place: int, flag: str) -> tuple[httpx.Response, str]:
        parent = self._place()
        if self.model.parents[place] in {None, parent}:
            return self.set(place, flag)
        answer = self.send("PATCH", f"/organizations/{place}", {"parentId": parent})
        return answer, self._expected(lambda: self.model.move(place, parent))

    def undo(self, place: int, flag: str) -> tuple[httpx.Response, str]:
        """Undo the last deed: the settings are as before it. Exemptions that have ended with a lock stay ended."""
        if self.to_undo is None:
            return self.set(place, flag)
        number, before = self.to_undo
        answer = self.send("POST", f"/v1/changes/{number}/undo", {})

        def restore() -> None:
            self.model.settings = dict(before.settings)
            self.model._end_exemptions()

        return answer, self._expected(restore)

    def _place(self) -> int:
        """An organization, mostly one with many below."""
        with_children = [place for place in self.model.parents if place in set(self.model.parents.values())]
        return int(str(self.chance.choice(with_children if self.chance.random() < 0.7 else [*self.model.parents])))

    def send(self, method: str, path: str, body: Any = None) -> httpx.Response:
        key = str(uuid.uuid4())
        while True:
            try:
                answer = self.http.request(method, path, json=body, headers={"Idempotency-Key": key})
            except httpx.TransportError:
                continue
            is_running = answer.status_code == 409 and answer.json()["type"] == RUNNING_ALREADY
            if is_running:  # the connection was cut before the request could give its key back, so a minute has to pass
                self.installation.sql("UPDATE orgs_idempotentrequest SET created_at = created_at - interval '1 hour'"
                                      " WHERE status IS NULL")  # fmt: skip
            if answer.status_code < 500 and not is_running:
                return answer

    def _expected(self, deed: Any) -> str:
        try:
            deed()
        except Refused as refusal:
            return str(refusal)
        return ACCEPTED


def address_of(place: int, flag: str) -> str:
    return f"/v1/organizations/{place}/flags/{flag}"


def wreck(installation: Installation) -> None:
    """Kill a worker in the middle of a job, cut all connections and send wake-ups many times; again and again."""
    broker = redis_url(installation.folder).replace("unix://", "redis+socket://", 1).replace("?db=", "?virtual_host=")
    workers = [installation.start_worker(), installation.start_worker()]
    with Celery(broker=broker) as messages:
        for _ in range(KILLS):
            for _ in range(20):
                messages.send_task("jobs.work", args=["propagation"], queue="propagation")
            eventually(lambda: installation.sql(IN_THE_MIDDLE), within=60)
            kill_session(workers.pop(0))
            installation.sql(CUT)
            workers.append(installation.start_worker())


def test_each_flag_state_is_what_the_model_says(installation: Installation) -> None:
    root = installation.plant_tree(BRANCHES, LEAVES)
    model = Model(dict(installation.sql("SELECT id, parent_id FROM orgs_organization ORDER BY id")))
    client = Client(installation, model, random.Random(1))
    with client.http:
        for flag in FLAGS:
            client.send("PUT", address_of(root, flag), {"value": False})
            model.set(root, flag, False)
        installation.slow_down(0.03)
        wrecker = threading.Thread(target=wreck, args=[installation])
        wrecker.start()
        try:
            for _ in range(DEEDS):
                client.play()
        finally:
            wrecker.join()
    installation.speed_up()
    eventually(installation.all_ended, within=120)
    attempts = dict(installation.sql("SELECT ended_as, count(*) FROM jobs_job GROUP BY 1"))
    for (job_id,) in installation.sql("SELECT id FROM jobs_job WHERE parent_job_id IS NULL AND status = 'FAILED'"):
        installation.post(f"/retry-job/{job_id}")
    eventually(installation.all_ended, within=60)
    stored = {(place, flag): states for place, flag, *states in installation.sql(STATES)}
    answers = {each: model.answer(*each) for each in stored}
    expected = {each: [answer.value, answer.source, answer.reason == "lock"] for each, answer in answers.items()}
    assert {each for each in stored if stored[each] != expected[each]} == set()
    assert client.deeds.keys() == {"set", "lock", "overwrite", "reset", "exempt", "move", "undo"}
    assert attempts.get("FAILED"), f"no worker was killed in the middle of a job: {attempts}"
