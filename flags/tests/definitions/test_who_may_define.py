"""From which role up a caller may define, change, archive and purge flags, by HTTP and in the admin site."""

from __future__ import annotations

from datetime import timedelta
from typing import Any

import pytest
from django.utils import timezone

from conftest import Cast, _key
from flags.definitions import service
from flags.definitions.models import Flag
from flags.schedules.due import apply_due
from flags.schedules.models import FlagSchedule
from orgs.access.models import Role
from orgs.tests.api import Api, kind_of
from orgs.tests.commands import run
from orgs.tests.people import shown, signed_in

pytestmark = pytest.mark.django_db
BASE = "/v1/feature-flags"
WRITES = [("POST", BASE, {"name": "new"}), ("PUT", f"{BASE}/f", {}), ("PATCH", f"{BASE}/f", {"owner": "x"}),
          ("DELETE", f"{BASE}/f", None)]  # fmt: skip


@pytest.fixture(autouse=True)
def flag(cast: Cast) -> Flag:
    return service.create(key="f", values={}, by="user:olga")


def key(role: Role) -> Api:
    return Api(_key(str(role), role))


def in_an_hour() -> str:
    return (timezone.now() + timedelta(hours=1)).isoformat()


@pytest.mark.parametrize(("setting", "below"), [("operator", Role.EDITOR), ("admin", Role.OPERATOR)])
def test_the_setting_says_from_which_role_up_flags_are_defined(settings: Any, setting: str, below: Role) -> None:
    settings.FLAGS_DEFINED_BY = setting
    for method, path, body in WRITES:
        answer = key(below).send(method, path, body)
        assert (answer.status_code, kind_of(answer)) == (403, "not-permitted")
        assert answer.json()["detail"] == f"This needs the role {setting}; yours is {below.value}."
    assert list(Flag.objects.values_list("key", "version", "archived")) == [("f", 1, False)]
    assert [key(Role(setting)).send(*write).status_code for write in WRITES] == [201, 200, 200, 200]


def test_by_default_an_editor_defines_flags(settings: Any) -> None:
    assert settings.FLAGS_DEFINED_BY == "editor"
    assert [key(Role.EDITOR).send(*write).status_code for write in WRITES] == [201, 200, 200, 200]


def test_only_an_admin_purges_a_flag_by_http() -> None:
    service.archive(key="f", by="user:olga")
    answer = key(Role.OPERATOR).delete(f"{BASE}/f?purge=true")
    assert (answer.status_code, kind_of(answer)) == (403, "not-permitted")
    assert not Flag.objects.get().purging
    assert key(Role.ADMIN).delete(f"{BASE}/f?purge=true").status_code == 202


def test_only_an_admin_is_offered_a_purge_in_the_admin_site(flag: Flag) -> None:
    archived = service.archive(key="f", by="user:olga")
    purge = f"/admin/flags/flag/{flag.pk}/purge/do/"
    form = {"key": "f", "reason": "gone", "based_on": archived.revision}
    operator, admin = signed_in("operator", name="otto"), signed_in("admin")
    assert purge not in shown(operator.get(f"/admin/flags/flag/{flag.pk}/change/"))
    assert operator.post(purge, form).status_code == 403
    assert not Flag.objects.get().purging
    assert purge in shown(admin.get(f"/admin/flags/flag/{flag.pk}/change/"))
    assert admin.post(purge, form).status_code == 302
    assert Flag.objects.get().purging


def test_with_the_role_admin_in_the_setting_an_operator_reads_definitions_in_the_admin_site(
    settings: Any, flag: Flag
) -> None:
    settings.FLAGS_DEFINED_BY = "admin"
    operator = signed_in("operator")
    page = shown(operator.get(f"/admin/flags/flag/{flag.pk}/change/"))
    assert 'name="description"' not in page
    assert "/archive/do/" not in page
    assert operator.get("/admin/flags/flag/add/").status_code == 403
    assert operator.post(f"/admin/flags/flag/{flag.pk}/archive/do/", {"reason": "x"}).status_code == 403


def test_an_editor_defines_no_flag_by_setting_it_if_the_setting_asks_for_an_admin(settings: Any, cast: Cast) -> None:
    settings.FLAGS_DEFINED_BY = "admin"
    answer = key(Role.EDITOR).post(f"/{cast.oslo.pk}/new/true")
    assert (answer.status_code, kind_of(answer)) == (403, "not-permitted")
    assert "only somebody with the role admin who is not bound" in answer.json()["detail"]
    assert not Flag.objects.filter(key="new").exists()
    assert key(Role.EDITOR).post(f"/{cast.oslo.pk}/f/true").status_code == 200
    assert key(Role.ADMIN).post(f"/{cast.oslo.pk}/new/true").json()["created"] is True


def test_the_setting_counts_for_scheduled_changes_of_definitions_also_at_their_time(settings: Any) -> None:
    plan = {"featureFlagName": "f", "apply": {"rolloutPercentage": 5}, "scheduledAt": in_an_hour()}
    assert key(Role.EDITOR).post("/v1/schedules", plan).status_code == 201
    settings.FLAGS_DEFINED_BY = "admin"
    assert kind_of(key(Role.EDITOR).post("/v1/schedules", plan)) == "not-permitted"
    FlagSchedule.objects.update(scheduled_at=timezone.now() - timedelta(seconds=1))
    apply_due()
    schedule = FlagSchedule.objects.get()
    assert schedule.status == FlagSchedule.Status.FAILED
    assert "its role is editor by now, and the change needs admin" in schedule.last_error


def test_a_command_defines_and_purges_whatever_the_setting(settings: Any) -> None:
    settings.FLAGS_DEFINED_BY = "admin"
    assert run("archive_flag", "f").status == 0
    assert run("purge_flag", "f").status == 0
