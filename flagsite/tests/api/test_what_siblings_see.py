"""A bound caller reads nothing that only another customer has, at any address of the API and of the admin site."""

from __future__ import annotations

import re
from collections.abc import Iterator
from itertools import product
from typing import Any

import pytest
from django.contrib.auth.models import User
from django.test import Client
from django.urls import URLPattern, URLResolver, get_resolver

from conftest import Cast, _key
from flags.definitions import service
from flags.definitions.models import Flag
from flags.schedules.models import FlagSchedule
from flags.states.models import Change
from flags.states.set_flag import set_flag
from flags.tests.schedules.plans import planned
from flagsite.core.db import clock
from jobs.batches.creation import create_batch
from jobs.batches.models import Batch
from jobs.engine.models import Job, JobFailure
from jobs.notifications.models import Delivery, Subscription
from jobs.tests.notifications.stored import subscription_and_delivery
from orgs.access import access_keys
from orgs.access.models import Role
from orgs.tests.api import Api
from orgs.tests.people import person, signed_in
from orgs.tree import tree_operations

pytestmark = pytest.mark.django_db
OURS, THEIRS, SHARED = "ours", "xq-flag", "shared"
SECRET = re.compile(r"xq-[a-z-]+")
"""Every text that only rival has begins with xq-."""
PARAMETER = re.compile(r"<(?:\w+:)?(\w+)>")


@pytest.fixture
def ids(cast: Cast) -> dict[str, list[Any]]:
    """The values of each parameter of a path, of acme and of rival, who has secrets in whatever Flagsite stores."""
    for number, organization in enumerate((cast.rival, cast.rival_store)):
        tree_operations.rename(organization_id=organization.pk, name=f"xq-name-{'ab'[number]}")
    key, _ = access_keys.create(name="xq-key", role=Role.ADMIN, organization=cast.rival)
    author = f"key:{key.prefix} xq-author"
    values = {
        "description": "xq-description", "owner": "xq-owner", "tags": ["xq-tag"], "whitelist": ["xq-user"],
        "salt": "xq-salt", "environments": {"xq-environment": True},
    }  # fmt: skip
    service.create(key=THEIRS, values=values, by=author, reason="xq-reason")
    service.create(key=OURS, values={}, by="user:xq-person")
    service.create(key=SHARED, values={"whitelist": ["xq-user"], "salt": "xq-salt"}, by=author, reason="xq-reason")
    for organization, flags in ((cast.acme, (OURS, SHARED)), (cast.rival, (THEIRS, SHARED))):
        by = author if organization == cast.rival else "user:olga"
        for flag in flags:
            reason = "xq-reason" if organization == cast.rival else "own reason"
            set_flag(
                organization_id=organization.pk, flag_key=flag, enabled=True, requested_by=by,
                correlation_id=f"{by[-5:]}-id", reason=reason,
            )  # fmt: skip
        planned(organization, flag=flags[0])
    FlagSchedule.objects.filter(organization=cast.rival).update(created_by=author, reason="xq-reason")
    Job.objects.filter(organization=cast.rival).update(error_message="xq-error")
    for job in Job.objects.filter(organization=cast.rival):
        JobFailure.objects.create(job=job, organization_id=cast.rival_store.pk, error="xq-failure")
    for organization, word in ((cast.acme, "own"), (cast.rival, "xq-batch")):
        create_batch(word, key=word, organization_id=organization.pk, by=word, reason=word)
        subscription_and_delivery(organization.pk, words=word)
    theirs = person("admin", bound_to=cast.rival, name="xq-person")
    own, _ = access_keys.create(name="own", organization=cast.acme)
    organizations, all_flags = [cast.acme.pk, cast.rival.pk, cast.rival_store.pk], [OURS, THEIRS, SHARED]
    return {
        "organization_id": organizations, "orgId": organizations, "organization": organizations,
        "job_id": list(Job.objects.values_list("pk", flat=True)),
        "batch_id": list(Batch.objects.values_list("pk", flat=True)),
        "subscription_id": list(Subscription.objects.values_list("pk", flat=True)),
        "delivery_id": list(Delivery.objects.values_list("pk", flat=True)),
        "job": list(Job.objects.values_list("pk", flat=True)), "kind": ["cleanup"],
        "scheduled": [f"job-{job_id}" for job_id in Job.objects.values_list("pk", flat=True)],
        "task_id": [1], "schedule_id": list(FlagSchedule.objects.values_list("pk", flat=True)),
        **dict.fromkeys(("name", "key", "featureFlagName"), all_flags), "enabled": ["true"],
        "prefix": [own.prefix, key.prefix],
        "number": list(Change.objects.values_list("number", flat=True)),
        "flag_id": list(Flag.objects.values_list("pk", flat=True)), "user_id": [theirs.pk],
        "username": [theirs.username],
    }  # fmt: skip


def patterns(resolver: URLResolver, prefix: str = "") -> Iterator[str]:
    for pattern in resolver.url_patterns:
        path = prefix + str(pattern.pattern)
        if isinstance(pattern, URLResolver):
            yield from patterns(pattern, path)
        elif isinstance(pattern, URLPattern):
            yield path.lstrip("^").removesuffix("$")


PATHS = sorted(set(patterns(get_resolver())))


def addresses(path: str, ids: dict[str, list[Any]]) -> Iterator[str]:
    names = PARAMETER.findall(path)
    assert set(names) <= set(ids), f"this test does not know how to fill {path}"
    for values in product(*(ids[name] for name in names)):
        yield "/" + PARAMETER.sub("{}", path).format(*values)


def secrets_in(response: Any, address: str) -> set[str]:
    """The secrets in an answer, without a flag's name that the address itself names."""
    content = response.getvalue().decode() + " ".join(map(str, response.headers.values()))
    return set(SECRET.findall(content)) - set(SECRET.findall(address))


def test_the_api_tells_a_bound_key_nothing_of_a_sibling(cast: Cast, ids: dict[str, list[Any]]) -> None:
    all_of_it = Api(_key("all", Role.ADMIN))
    for role in (Role.CLIENT, Role.READER, Role.ADMIN):
        api = Api(_key(role, role, cast.acme))
        known = 0
        for path in PATHS:
            if path.startswith("admin/") or path in {"", "docs", "openapi.json"}:
                continue
            for address in addresses(path, ids):
                answer = api.get(address)
                assert secrets_in(answer, address) == set(), address
                known += bool(secrets_in(all_of_it.get(address), address)) if role is Role.CLIENT else 0
        assert known > 10 or role is not Role.CLIENT  # this test looks for what there is


def test_the_past_tells_a_bound_key_nothing_of_a_former_owner(cast: Cast, ids: dict[str, list[Any]]) -> None:
    service.update(key=SHARED, values={"owner": "xq-owner"}, by="xq-author")
    before = clock.now().isoformat().replace("+00:00", "Z")
    tree_operations.move(organization_id=cast.rival_store.pk, parent_id=cast.acme.pk, reason="xq-reason")
    tree_operations.rename(organization_id=cast.rival_store.pk, name="Store")
    api, all_of_it = Api(_key("bound", Role.ADMIN, cast.acme)), Api(_key("all", Role.ADMIN))
    bound = signed_in("admin", bound_to=cast.acme, name="bo")
    known = 0
    for organization_id, at in product(ids["organization"], [before, *ids["number"]]):
        addresses = [f"/organizations/{organization_id}/flags?at={at}"]
        for flag in (OURS, THEIRS, SHARED):
            addresses.append(f"/{organization_id}/{flag}?at={at}")
            addresses.append(f"/v1/feature-flags/{flag}/explain?organizationId={organization_id}&userId=u&at={at}")
        for address in addresses:
            assert secrets_in(api.get(address), address) == set(), address
            known += bool(secrets_in(all_of_it.get(address), address))
        page = f"/admin/orgs/organization/{organization_id}/change/?at={before[:19]}"
        past = bound.get(page).content.decode().partition('id="past-title"')[2].partition("</section>")[0]
        assert set(SECRET.findall(past)) == set(), page
    assert known > 10


@pytest.mark.parametrize("filters", ["search=xq", "owner=xq-owner", "tag=xq-tag", "flag=xq-flag", "stale=false"])
def test_a_filter_finds_nothing_of_a_sibling(cast: Cast, ids: dict[str, list[Any]], filters: str) -> None:
    api = Api(_key("bound", Role.READER, cast.acme))
    for path in ("/v1/feature-flags", "/v1/schedules"):
        assert secrets_in(api.get(f"{path}?{filters}"), "") == set()


def pages_of_rows(ids: dict[str, list[Any]]) -> Iterator[str]:
    """The pages of single rows, of both customers."""
    rows = {
        "flags/flag": ids["flag_id"], "flags/flagschedule": ids["schedule_id"], "jobs/job": ids["job_id"],
        "jobs/batch": ids["batch_id"],
        "orgs/organization": ids["organization_id"], "auth/user": ids["user_id"],
    }  # fmt: skip
    for model, keys in rows.items():
        yield from (f"/admin/{model}/{key}/change/" for key in keys)
    for key in ids["flag_id"]:
        yield from (f"/admin/flags/flag/{key}/{page}/" for page in ("counts", "adoption", "adoption/level"))


LOOK_UPS = [
    "/admin/autocomplete/?term=xq&app_label=flags&model_name=flag&field_name=prerequisites",
    "/admin/orgs/organization/picker/?field=organization&organization=xq",
    *(f"/admin/{model}/?q=xq" for model in ("flags/flag", "jobs/job", "orgs/organization", "orgs/auditentry")),
]


def test_the_admin_site_tells_a_bound_person_nothing_of_a_sibling(cast: Cast, ids: dict[str, list[Any]]) -> None:
    lists = [f"/{path}" for path in PATHS if path.startswith("admin/") and not re.search(r"[<(?\\]", path)]
    everybody = Client()
    everybody.force_login(User.objects.create(username="root", is_staff=True, is_superuser=True))
    bound = signed_in("admin", bound_to=cast.acme, name="bo")
    known = 0
    for address in [*lists, *pages_of_rows(ids), *LOOK_UPS]:
        if "logout" in address:
            continue
        answer = bound.get(address)
        assert secrets_in(answer, f"{address} xq-x") - {"xq"} == set(), address
        known += bool(secrets_in(everybody.get(address), address))
    assert known > 10
