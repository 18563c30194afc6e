"""Operations on organizations in commands: their caller, their input and their answers."""

from __future__ import annotations

from typing import Any

from flagsite.core.api.input import errors_of
from flagsite.core.console.command import Answer, Refused, me
from orgs.access.caller import Caller
from orgs.access.models import Role
from orgs.tree.large_changes import StartedJob
from orgs.tree.models import Organization
from orgs.tree.serializers import NewOrganization, OrganizationChanges, PlacedOrganizationSerializer


def everything() -> Caller:
    """Return the caller of a command, who sees and may do everything."""
    return Caller(me(), Role.ADMIN)


def new_organization(*, name: str, key: str) -> dict[str, Any]:
    """Return the name and the key of a new organization, checked like those of the API. Raises Refused."""
    return _checked(NewOrganization(data={"name": name, "key": key}), "name", "key")


def new_name(name: str) -> str:
    """Return a new name, checked like that of the API. Raises Refused."""
    return str(_checked(OrganizationChanges(data={"name": name}), "name")["name"])


def answer_of(organization: Organization, done: str) -> Answer:
    """Return the answer about an organization that was created, renamed or moved."""
    document = dict(PlacedOrganizationSerializer(organization).data)
    jobs = document["jobs"]
    later = [f"Jobs write its flag states: {', '.join(map(str, jobs))}."] if jobs else []
    return Answer(document, [f"{organization.key} (id {organization.pk}, {organization.name}) is {done}.", *later])


def answer_of_job(started: StartedJob, does: str) -> Answer:
    """Return the answer about a job that carries out a change of many organizations."""
    organization = started.organization
    document = {
        "organizationId": organization.pk, "organizationKey": organization.key, "jobId": started.job_id,
    }  # fmt: skip
    words = f"Job {started.job_id} {does} {organization.key} (id {organization.pk}) with everything below it."
    return Answer(document, [words, f"To follow it: bin/manage job {started.job_id} --follow"])


def _checked(serializer: Any, *names: str) -> dict[str, Any]:
    if not serializer.is_valid():
        problems = [f"{name}: {' '.join(map(str, errors))}" for name, errors in errors_of(serializer).items()]
        raise Refused(" ".join(problems))
    return {name: serializer.validated_data[name] for name in names}
