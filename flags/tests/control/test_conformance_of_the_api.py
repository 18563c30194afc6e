"""The API answers every published case as the case says."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Any

import pytest
from django.test import override_settings

from flags.definitions.models import Flag
from flags.evaluation.context_loader import load_context
from flags.states.choices import Choice
from flags.states.move_planning import of_move
from flags.states.planning import of_exemption, of_reset, of_set
from flags.states.setting_rules import Below
from flags.tests.control.cases import CASES
from flags.tests.control.planting import plant, stored_values
from jobs.engine import runner
from jobs.engine.models import Job
from jobs.engine.states import Status
from orgs.tests.api import Api, kind_of
from orgs.tree import integrity
from orgs.tree.models import Organization

LONG_AGO = datetime(2000, 1, 1, tzinfo=UTC)


PLANNED = {"set", "reset", "exempt", "endExemption", "move"}
"""Steps whose plan counts the values that they change."""


class Runner:
    """Carries a case out with requests, and has its jobs carried out when the case says so."""

    def __init__(self, api: Api, work: str | None) -> None:
        self.api = api
        self.work = work

    def carry_out(self, step: dict[str, Any]) -> None:
        """Send the request of a step, and compare the answer and the number of changed values."""
        before, there_before = stored_values(), _ids()
        planned = _planned(step) if not self.work and step["do"] in PLANNED else None
        response = self._send(step)
        answer = "accepted" if response.status_code in {200, 201, 202, 204} else kind_of(response)
        assert answer == step["answer"], (step, response.content)
        if self.work:
            return
        run_jobs("oldest first")
        after, there = stored_values(), there_before & _ids()
        changed = {place for place in before.keys() | after.keys() if before.get(place) != after.get(place)}
        assert sum(organization in there for organization, _ in changed) == step["changes"], step
        if planned is not None and answer == "accepted":  # it counts with the flag's default where nothing is set
            others = {each[0] for each in changed if bool(before.get(each)) != bool(after.get(each))}
            assert planned == len(others), step

    def ask(self, question: dict[str, Any]) -> None:
        """Compare what the API says of a flag and an organization, and what evaluations read."""
        if self.work:
            run_jobs(self.work)
        address = f"/v1/organizations/key:{question['organization']}/flags/{question['flag']}"
        response = self.api.get(address)
        assert response.status_code == 200, response.content
        answer = response.json()
        source = answer["sourceOrganizationId"] and Organization.objects.get(pk=answer["sourceOrganizationId"]).key
        assert (answer["value"], source, _reason(answer)) == (
            question["value"], question["source"], question["reason"],
        ), (question, answer)  # fmt: skip
        assert _evaluated(question) == (question["value"], source, question["reason"] == "lock"), question
        assert answer["inherited"] == (source not in {None, question["organization"]})
        if "masked" in question:
            assert answer["masked"]["settings"] == question["masked"], (question, answer)

    def _send(self, step: dict[str, Any]) -> Any:
        do, key = step["do"], step["organization"]
        address = f"/v1/organizations/key:{key}/flags/{step.get('flag')}"
        parent = step.get("parent") and f"key:{step['parent']}"
        subtree = "?subtree=true" if step.get("subtree") else ""
        materialise = {"materialise": step["materialise"]} if "materialise" in step else {}
        body = {name: step[name] for name in ("value", "below", "reach", "reason") if name in step}
        method, path, content = {
            "set": ("PUT", address, body),
            "overwrite": ("POST", f"/key:{key}/{step.get('flag')}/{str(step.get('value')).lower()}", None),
            "reset": ("DELETE", address + subtree, None),
            "exempt": ("PUT", f"{address}/exemption", body),
            "endExemption": ("DELETE", f"{address}/exemption", None),
            "create": ("POST", "/organizations", {"name": key, "key": key, "parentId": parent}),
            "move": ("PATCH", f"/organizations/key:{key}", {"parentId": parent, **materialise}),
            "delete": ("DELETE", f"/organizations/key:{key}{subtree}", None),
        }[do]
        return self.api.send(method, path, content)


def _planned(step: dict[str, Any]) -> int:
    """How many organizations get other values by the plan of a step."""
    subtree = Organization.objects.get(key=step["organization"]).subtree
    if step["do"] == "move":
        parent = Organization.objects.filter(key=step["parent"] or "").first()
        return of_move(subtree, parent and parent.pk, keeps_values=step.get("materialise", False)).changed
    flag = Flag.objects.filter(key=step["flag"]).first() or Flag(key=step["flag"])
    if step["do"] in {"exempt", "endExemption"}:
        return of_exemption(subtree, flag, is_exempt=step["do"] == "exempt").effect.changed
    if step["do"] == "reset":
        return of_reset(subtree, flag, below=step.get("subtree", False)).effect.changed
    below, only_here = Below(step.get("below", "keep")), step.get("reach") == "here"
    return of_set(subtree, Choice(step["value"]).of(flag), below=below, only_here=only_here).effect.changed


def _evaluated(question: dict[str, Any]) -> tuple[bool | None, str | None, bool]:
    """The value that evaluations read, with its source, and whether it is locked."""
    organization, flag = Organization.objects.get(key=question["organization"]), Flag.objects.get(key=question["flag"])
    state = load_context(organization.pk).states.get(flag.pk)
    if state is None:
        return None, None, False
    return state.enabled, Organization.objects.get(pk=state.source_id).key, state.locked


def _ids() -> set[int]:
    return set(Organization.objects.values_list("pk", flat=True))


def _reason(answer: dict[str, Any]) -> str:
    if answer["value"] is None:
        return "default"
    if answer["lockedBy"] is not None:
        return "lock"
    return "inherited" if answer["inherited"] else "own"


def run_jobs(order: str) -> None:
    """Run all jobs that wait, one at a time, and expect that each of them succeeds."""
    first = "id" if order == "oldest first" else "-id"
    while (job := Job.objects.filter(status=Status.PENDING).order_by(first).first()) is not None:
        Job.objects.filter(status=Status.PENDING).update(run_at=LONG_AGO, priority=0)
        Job.objects.filter(pk=job.pk).update(priority=1)
        assert runner.run_next(job.queue) is not None
        job.refresh_from_db()
        assert (job.attempt_status, job.failed) == (Status.COMPLETED, 0), job.error_message


@pytest.mark.parametrize("case", CASES.values(), ids=CASES)
def test_the_api_answers_as_the_case_says(case: dict[str, Any], admin_key: str) -> None:
    plant(case["tree"])
    run = Runner(Api(admin_key), case.get("work"))
    with override_settings(FLAGS_INLINE_ROWS=0 if run.work else 1000):
        for step in case["steps"]:
            (run.ask if step["do"] == "ask" else run.carry_out)(step)
    assert integrity.find_problems().sound
