"""No address is open by accident: walks the whole URL map."""

from __future__ import annotations

import re
from collections.abc import Iterator
from typing import Any, ClassVar

import pytest
from django.http import HttpResponse
from django.test import Client, RequestFactory
from django.urls import URLPattern, URLResolver, get_resolver
from rest_framework.views import APIView

from conftest import Cast, _key
from flags.states.models import Change
from flags.states.set_flag import set_flag
from flags.tests.schedules.plans import as_of, planned
from jobs.batches.creation import create_batch
from jobs.engine.models import Job
from jobs.tests.notifications.stored import subscription_and_delivery
from orgs.access import access_keys
from orgs.access.authentication import AccessKeyAuthentication
from orgs.access.caller import Caller
from orgs.access.endpoints import Endpoint
from orgs.access.models import AccessKey, Role
from orgs.access.permissions import HasRole
from orgs.tests.api import Api, kind_of
from orgs.tests.people import person
from orgs.tree.models import Organization

OPEN = {"", "openapi.json", "docs", "livez", "readyz", "version"}
OF_SOMEBODY = (
    "<id:job_id>",
    "<id:batch_id>",
    "<id:subscription_id>",
    "<id:delivery_id>",
    "<id:schedule_id>",
    "<id:number>",
    "organization:",
    "<str:prefix>",
    "<str:username>",
)
"""Parts of paths that name something which belongs to somebody."""
NOBODYS = dict.fromkeys(
    (
        "organization",
        "orgId",
        "job_id",
        "batch_id",
        "subscription_id",
        "delivery_id",
        "schedule_id",
        "task_id",
        "number",
    ),
    999_999,
)
"""The ids of things that do not exist."""
HANDLERS = ("get", "post", "put", "patch", "delete")


def patterns(resolver: URLResolver, prefix: str = "") -> Iterator[tuple[str, Any]]:
    for pattern in resolver.url_patterns:
        path = prefix + str(pattern.pattern)
        if isinstance(pattern, URLResolver):
            yield from patterns(pattern, path)
        elif isinstance(pattern, URLPattern):
            yield path, getattr(pattern.callback, "view_class", None)


ALL = [(path, view) for path, view in patterns(get_resolver()) if path.partition("/")[0] != "admin"]
ENDPOINTS = [(path, view) for path, view in ALL if path not in OPEN]
CALLS = [(path, method.upper()) for path, view in ENDPOINTS for method in HANDLERS if hasattr(view, method)]


def address(path: str, *, prefix: str = "nobodys", username: str = "nobody", **ids: int) -> str:
    filled = (
        path.replace("<str:featureFlagName>", "flag")
        .replace("<str:name>", "flag")
        .replace("<str:key>", "flag")
        .replace("<str:enabled>", "true")
    )
    filled = filled.replace("<str:prefix>", prefix).replace("<str:username>", username)
    filled = filled.replace("<str:job>", "999999").replace("<str:scheduled>", "job-999999")
    filled = filled.replace("<str:kind>", "mist")
    for name, value in ids.items():
        for converter in ("id", "organization", "top_organization"):
            filled = filled.replace(f"<{converter}:{name}>", str(value))
    assert "<" not in filled, f"this test does not know how to fill {path}"
    return f"/{filled}"


ROLES = {
    "metrics": "GET reader",
    "organizations": "GET reader POST admin",
    "organizations/<organization:organization>": "GET reader PATCH admin DELETE admin",
    "organizations/<organization:organization>/ancestors": "GET reader",
    "organizations/<organization:organization>/descendants": "GET reader",
    "organizations/<organization:organization>/flags": "GET reader",
    "organizations/<organization:organization>/plan": "POST reader",
    "v1/organizations/csv": "GET reader",
    "v1/organizations/<organization:organization>/attributes": "GET reader PUT admin PATCH admin",
    "v1/organizations/<organization:organization>/flags/<str:featureFlagName>": "GET reader PUT editor DELETE editor",
    "v1/organizations/<organization:organization>/flags/<str:featureFlagName>/exemption": "PUT editor DELETE editor",
    "v1/organizations/<organization:organization>/flags/<str:featureFlagName>/plan": "POST reader",
    "v1/organizations/<organization:organization>/flagd": "GET reader",
    "v1/access-keys": "GET admin POST admin",
    "v1/access-keys/<str:prefix>": "GET admin",
    "v1/access-keys/<str:prefix>/rotate": "POST admin",
    "v1/access-keys/<str:prefix>/revoke": "POST admin",
    "v1/people": "GET admin POST admin",
    "v1/people/<str:username>": "GET admin PATCH admin",
    "v1/people/<str:username>/password": "POST admin",
    "v1/audit-log": "GET admin",
    "v1/audit-log/csv": "GET admin",
    "job-status/<id:job_id>": "GET reader",
    "jobs/<organization:organization>": "GET reader",
    "retry-job/<id:job_id>": "POST operator",
    "cancel-job/<id:job_id>": "POST operator",
    "job-retry-chain/<id:job_id>": "GET reader",
    "job-failures/<id:job_id>": "GET reader",
    "v1/notifications": "GET reader",
    "v1/notifications/subscriptions": "GET operator POST operator",
    "v1/notifications/subscriptions/<id:subscription_id>": "GET operator PATCH operator DELETE operator",
    "v1/notifications/subscriptions/<id:subscription_id>/test": "POST operator",
    "v1/notifications/subscriptions/<id:subscription_id>/rotate-secret": "POST operator",
    "v1/notifications/deliveries/replay": "POST operator",
    "v1/notifications/deliveries": "GET operator",
    "v1/notifications/deliveries/<id:delivery_id>": "GET operator",
    "v1/notifications/deliveries/<id:delivery_id>/replay": "POST operator",
    "v1/imports": "POST admin",
    "v1/imports/plan": "POST admin",
    "v1/imports/<id:job_id>": "GET reader",
    "v1/imports/<id:job_id>/apply": "POST admin",
    "v1/imports/<id:job_id>/report": "GET reader",
    "v1/imports/<id:job_id>/report.csv": "GET reader",
    "v1/flag-file": "GET reader PUT editor POST editor",
    "v1/flag-file/plan": "POST editor",
    "v1/flag-imports": "POST editor",
    "v1/flag-imports/plan": "POST editor",
    "openfeature/v0/manifest": "GET reader",
    "openfeature/v0/manifest/flags": "POST editor",
    "openfeature/v0/manifest/flags/<str:key>": "PUT editor DELETE editor",
    "v1/segments": "GET reader POST editor",
    "v1/segments/<str:key>": "GET reader PUT editor PATCH editor DELETE editor",
    "v1/segments/<str:key>/plan": "POST editor",
    "v1/segments/<str:key>/uses": "GET reader",
    "v1/feature-flags": "GET reader POST editor",
    "v1/feature-flags/<str:name>": "GET reader PUT editor PATCH editor DELETE editor",
    "v1/feature-flags/<str:name>/plan": "POST editor",
    "v1/feature-flags/<str:name>/check": "GET client POST client",
    "v1/feature-flags/<str:name>/explain": "GET reader POST reader",
    "v1/feature-flags/<str:name>/adoption": "GET reader",
    "v1/feature-flags/<str:name>/settings": "GET reader",
    "v1/organizations/<organization:organization>/settings": "GET reader",
    "v1/queues": "GET reader POST operator",
    "v1/queues/<str:name>": "GET reader PATCH operator DELETE operator",
    "v1/queues/<str:name>/pause": "POST operator",
    "v1/queues/<str:name>/resume": "POST operator",
    "v1/queue/kinds": "GET reader",
    "v1/queue/jobs": "GET reader POST operator",
    "v1/queue/jobs/<str:job>": "GET reader POST operator DELETE operator",
    "v1/queue/stats": "GET reader",
    "v1/queue/workers": "GET reader",
    "v1/queue/queues/<str:name>/pause": "POST operator",
    "v1/queue/queues/<str:name>/resume": "POST operator",
    "v1/queue/scheduled": "GET reader",
    "v1/queue/scheduled/<str:scheduled>": "DELETE operator",
    "v1/queue/schedule/<str:kind>": "POST admin",
    "v1/queue/scheduler/status": "GET reader",
    "v1/queue/batches": "GET reader POST operator",
    "v1/queue/batches/<id:batch_id>": "GET reader DELETE operator",
    "v1/queue/batches/<id:batch_id>/members": "GET reader POST operator",
    "v1/queue/batches/<id:batch_id>/retry": "POST operator",
    "v1/jobs/<id:job_id>/priority": "POST operator",
    "v1/jobs/retry-failed": "POST operator",
    "v1/jobs/clean-up": "POST operator",
    "v1/workers": "GET reader",
    "v1/periodic-tasks": "GET reader POST admin",
    "v1/periodic-tasks/<id:task_id>/run": "POST operator",
    "v1/queue/artifacts": "GET operator POST operator",
    "v1/queue/jobs/<id:job_id>/artifacts": "GET operator",
    "v1/queue/jobs/<id:job_id>/artifacts/<str:name>": "GET operator",
    "v1/periodic-tasks/<id:task_id>": "GET reader PATCH admin DELETE admin",
    "v1/tree": "GET admin",
    "v1/tree/repair": "POST admin",
    "v1/statistics": "GET reader POST operator",
    "v1/statistics/<str:name>": "GET reader",
    "v1/changes/<id:number>/undo": "POST editor",
    "v1/changes/<id:number>/undo/plan": "POST editor",
    "v1/schedules": "GET reader POST editor",
    "v1/schedules/<id:schedule_id>": "GET reader",
    "v1/schedules/<id:schedule_id>/plan": "POST editor",
    "v1/schedules/<id:schedule_id>/cancel": "POST editor",
    "v1/schedules/<id:schedule_id>/retry": "POST operator",
    "<top_organization:orgId>/<str:featureFlagName>": "GET reader",
    "<top_organization:orgId>/<str:featureFlagName>/<str:enabled>": "POST editor",
    "internal/cache/invalidate": "POST operator",
}
"""The role that each method of each address needs."""


def test_the_addresses_and_their_roles_are_those_of_the_contract() -> None:
    found = {
        path: " ".join(f"{method} {role.value}" for method, role in view.roles.items()) for path, view in ENDPOINTS
    }
    assert found == ROLES
    assert {path for path, _ in ALL} == OPEN | set(ROLES)


@pytest.mark.parametrize("path", ROLES)
def test_a_key_with_the_role_below_is_refused_and_one_with_the_role_is_not(cast: Cast, path: str) -> None:
    words = ROLES[path].split()
    filled = address(path, **NOBODYS)
    for method, needed in zip(words[::2], words[1::2], strict=True):
        order = list(Role)
        number = order.index(Role(needed))
        answers = {role: Api(_key(f"{role}", role)).send(method, filled) for role in order[max(0, number - 1) :]}
        for role, answer in answers.items():
            refused = answer.status_code == 403 and kind_of(answer) == "not-permitted"
            assert refused == (order.index(role) < number), (method, role)


def test_no_page_of_the_admin_site_is_open_to_everybody(db: None) -> None:
    open_pages = []
    for path in {path for path, _ in patterns(get_resolver()) if path.startswith("admin/")}:
        filled = re.sub(r"<(int|id):\w+>", "1", re.sub(r"<(str|path|slug|username):\w+>", "1", path))
        answer = Client().get(f"/{filled}")
        is_shut = answer.status_code in (301, 302, 403, 404) or "HX-Refresh" in answer
        if not is_shut:
            open_pages.append(path)
    assert sorted(open_pages) == ["admin/login/"]


@pytest.mark.parametrize(("path", "view"), ENDPOINTS)
def test_every_view_names_a_role_for_each_of_its_methods(path: str, view: Any) -> None:
    assert issubclass(view, Endpoint)
    assert view.permission_classes == [HasRole]
    assert set(view.roles) == {method.upper() for method in HANDLERS if hasattr(view, method)}


@pytest.mark.parametrize(("path", "view"), ENDPOINTS)
def test_every_write_honours_the_idempotency_key(path: str, view: Any) -> None:
    for method in ("post", "put", "patch", "delete"):
        if hasattr(view, method):
            assert hasattr(getattr(view, method), "is_idempotent"), f"{method} {path}"


@pytest.mark.parametrize(("path", "method"), [*CALLS, *((path, "OPTIONS") for path, _ in ENDPOINTS)])
def test_without_a_key_every_endpoint_answers_401(cast: Cast, path: str, method: str) -> None:
    for api in (Api(), Api("wrongwro.wrong")):
        ids = dict.fromkeys(NOBODYS, 1) | {"organization": cast.acme.pk, "orgId": cast.acme.pk}
        response = api.send(method, address(path, **ids))
        assert (response.status_code, kind_of(response)) == (401, "not-authenticated")
        assert response["WWW-Authenticate"].startswith("Bearer")


@pytest.mark.parametrize(
    ("path", "method"),
    [call for call in CALLS if any(part in call[0] for part in OF_SOMEBODY)],
)
def test_what_belongs_to_others_does_not_exist(cast: Cast, acme_key: str, path: str, method: str) -> None:
    set_flag(organization_id=cast.rival.pk, flag_key="flag", enabled=True)
    rival, schedule = cast.rival.pk, planned(cast.rival, flag="flag")
    batch = create_batch("theirs", organization_id=rival).batch
    subscription, delivery = subscription_and_delivery(rival)
    key, _ = access_keys.create(name="theirs", organization=cast.rival)
    person("viewer", name="somebody", bound_to=cast.rival)
    foreign = address(
        path, prefix=key.prefix, username="somebody", organization=rival, orgId=rival, job_id=Job.objects.get().pk,
        number=Change.objects.get().number, schedule_id=schedule.pk, batch_id=batch.pk,
        subscription_id=subscription.pk, delivery_id=delivery.pk,
    )  # fmt: skip
    missing = address(path, **NOBODYS)
    body = {"name": "Mine"} if method == "PATCH" else None
    api = Api(acme_key)
    theirs, none = api.send(method, foreign, body), api.send(method, missing, body)
    assert (theirs.status_code, theirs.content) == (404, none.content)
    assert Organization.objects.get(pk=cast.rival.pk).name == "Rival"
    assert Job.objects.get().status == "PENDING"
    assert as_of(schedule).status == "pending"
    assert access_keys.state_of(AccessKey.objects.get(pk=key.pk)) == "valid"


@pytest.mark.parametrize("path", sorted(OPEN))
def test_what_is_open_is_open_on_purpose(db: None, path: str) -> None:
    assert Api().get(f"/{path}").status_code == 200


class Forgetful(APIView):
    """What somebody might write in a hurry: no roles."""

    authentication_classes = (AccessKeyAuthentication,)

    def get(self, request: Any) -> HttpResponse:
        return HttpResponse("secret")


class ForgetfulOfOne(Forgetful):
    roles: ClassVar = {"POST": Role.READER}


@pytest.mark.parametrize("view", [Forgetful, ForgetfulOfOne])
def test_a_view_that_forgets_its_roles_is_shut_even_for_admins(admin_key: str, view: Any) -> None:
    response = view.as_view()(RequestFactory().get("/", headers={"X-API-Key": admin_key}))
    assert response.status_code == 403


def test_a_caller_without_a_role_for_the_method_is_refused_whatever_it_is_called() -> None:
    assert Caller("key:x y", Role.READER).may(Role.READER)
    assert not Caller("key:x y", Role.READER).may(Role.EDITOR)
