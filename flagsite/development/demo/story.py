"""The steps of the demo over HTTP: set a flag on the root, follow the job, read the flag of some organizations."""

from __future__ import annotations

import random
import time
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

from flagsite.core import example_names as names
from flagsite.development.demo.api import Api, UnexpectedAnswer
from flagsite.development.demo.screen import Screen

FLAG = names.FLAG
JOB_TIMEOUT_SECONDS = 120.0
POLL_SECONDS = 0.1
SAMPLES_PER_LEVEL = 2
"""The number of organizations of each level whose flag the demo reads."""


@dataclass(frozen=True)
class Outcome:
    """The end of the job. `is_correct` is true if the organizations have the value that was set."""

    root: dict[str, Any]
    enabled: bool
    job: dict[str, Any]
    seconds: float
    is_correct: bool

    @property
    def succeeded(self) -> bool:
        """Whether the job completed and the organizations have the value."""
        return self.is_correct and self.job["status"] == "COMPLETED"

    def summary(self) -> dict[str, Any]:
        """The JSON object of the last line of the demo's output."""
        counts = ("totalOrganizations", "processedOrganizations", "failedOrganizations")
        return {
            "jobId": self.job["id"],
            "status": self.job["status"],
            **{name: self.job[name] for name in counts},
            "seconds": round(self.seconds, 3),
        }


def set_flag_and_follow(api: Api, screen: Screen, *, root_key: str) -> Outcome:
    """Set the flag on the root to the opposite of its value, and follow the job. Raises UnexpectedAnswer."""
    roots = api.get("/organizations", key=root_key)["results"]
    if not roots:
        raise UnexpectedAnswer(f"there is no organization with the key {root_key}")
    root = roots[0]
    state = api.get_or_none(f"/{root['id']}/{FLAG}")
    enabled = not (state and state["featureFlag"]["storedValue"])

    path = f"/{root['id']}/{FLAG}/{str(enabled).lower()}"
    screen.head(f"Switch {FLAG} {'on' if enabled else 'off'} for {root['name']} and its whole subtree")
    began = time.monotonic()
    accepted = api.post(path)
    screen.line(
        f"POST {path} → 202 Accepted, job {accepted['jobId']}, after {1000 * (time.monotonic() - began):.0f} ms"
    )
    with screen.progress() as show:
        for job in _poll_job(api, accepted["trackingUrl"]):
            show(
                job["processedOrganizations"] + job["failedOrganizations"],
                job["totalOrganizations"] or 0,
                job["status"],
            )
    seconds = time.monotonic() - began
    _show_end(screen, job, seconds)
    is_correct = job["status"] == "COMPLETED" and _read_back(api, screen, root, enabled=enabled)
    return Outcome(root, enabled, job, seconds, is_correct)


def _poll_job(api: Api, tracking_url: str) -> Iterator[dict[str, Any]]:
    """Yield the job again and again, until it is final or JOB_TIMEOUT_SECONDS are over."""
    deadline = time.monotonic() + JOB_TIMEOUT_SECONDS
    while time.monotonic() < deadline:
        job = api.get(tracking_url)
        yield job
        if job["final"]:
            return
        time.sleep(POLL_SECONDS)


def _show_end(screen: Screen, job: dict[str, Any], seconds: float) -> None:
    status = job["status"]
    if status == "COMPLETED":
        screen.done(f"{status}: {job['processedOrganizations']:,} organizations have the value", seconds)
    else:
        screen.warn(f"job {job['id']} is {status} after {seconds:.1f} s: {job['errorMessage'] or 'no reason given'}")


def _read_back(api: Api, screen: Screen, root: dict[str, Any], *, enabled: bool) -> bool:
    """Read the flag of some organizations of each level. Returns whether all have the stored value, set on the root."""
    screen.head("Read the flag of some organizations")
    organizations = {each["id"]: each for each in api.all_pages(f"/organizations/{root['id']}/descendants")}
    organizations[root["id"]] = root
    all_correct = True
    for organization in _samples_of_each_level(list(organizations.values())):
        state = api.get(f"/{organization['id']}/{FLAG}")
        value, source = state["featureFlag"]["storedValue"], state["sourceOrganizationId"]
        has_source = source == root["id"] and state["featureFlag"]["organizationId"] == organization["id"]
        is_correct = value is enabled and has_source
        all_correct = all_correct and is_correct
        screen.value(_path(organization, organizations), enabled=value, is_correct=is_correct)
    return all_correct


def _samples_of_each_level(organizations: list[dict[str, Any]]) -> list[dict[str, Any]]:
    chosen = []
    for level in sorted({each["depth"] for each in organizations}):
        of_level = [each for each in organizations if each["depth"] == level]
        chosen += random.sample(of_level, min(SAMPLES_PER_LEVEL, len(of_level)))
    return chosen


def _path(organization: dict[str, Any], organizations: dict[int, dict[str, Any]]) -> list[str]:
    names = [organization["name"]]
    while (parent := organizations.get(organization["parentId"])) is not None:
        names.insert(0, parent["name"])
        organization = parent
    return names
