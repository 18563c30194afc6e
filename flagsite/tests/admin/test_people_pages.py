"""People: what they may do and see is changed by administrators of everything, and nobody raises anybody above them."""

from __future__ import annotations

from typing import Any

import pytest
from django.contrib.auth.models import Group, Permission, User

from conftest import Cast
from orgs.access.models import Role, StaffScope
from orgs.access.people import caller_for
from orgs.audit.models import AuditEntry
from orgs.tests.people import SUPERUSER, person, shown, signed_in

pytestmark = pytest.mark.django_db

PAGE = "/admin/auth/user/"
NO_SCOPE = {"scope-TOTAL_FORMS": "0", "scope-INITIAL_FORMS": "0"}


def form_of(user: User, **changes: Any) -> dict[str, Any]:
    """What the page of the person sends when nothing but `changes` was changed."""
    form: dict[str, Any] = {"username": user.username, "groups": [group.pk for group in user.groups.all()]}
    form |= {name: "on" for name in ("is_active", "is_superuser") if getattr(user, name)}
    return {name: value for name, value in (form | NO_SCOPE | changes).items() if value is not None}


def group(name: str) -> int:
    return Group.objects.get_or_create(name=name)[0].pk


def said() -> list[tuple[str, str, str]]:
    """The audit log: who, what, whom."""
    return list(AuditEntry.objects.order_by("id").values_list("actor", "action", "subject"))


def test_an_administrator_puts_somebody_into_a_group_and_it_is_recorded() -> None:
    user = person("viewer", name="vic")
    answer = signed_in("admin").post(f"{PAGE}{user.pk}/change/", form_of(user, groups=[group("operator")]))
    assert answer.status_code == 302
    caller = caller_for(User.objects.get(pk=user.pk))
    assert caller is not None
    assert caller.role == Role.OPERATOR
    entry = AuditEntry.objects.latest("id")
    assert (entry.actor, entry.action, entry.subject) == ("user:pat", "user.change", "user:vic")
    assert (entry.details["before"]["groups"], entry.details["after"]["groups"]) == (["viewer"], ["operator"])


def test_an_administrator_binds_somebody_to_an_organization_and_frees_them(cast: Cast) -> None:
    user = person("admin", name="nora")
    client = signed_in("admin")
    bound = {"scope-TOTAL_FORMS": "1", "scope-0-user": user.pk, "scope-0-organization": cast.north.pk}
    assert client.post(f"{PAGE}{user.pk}/change/", form_of(user, **bound)).status_code == 302
    scope = StaffScope.objects.get(user=user)
    assert scope.organization_id == cast.north.pk
    assert AuditEntry.objects.latest("id").details["after"]["scope"] == cast.north.pk
    free = bound | {"scope-INITIAL_FORMS": "1", "scope-0-id": scope.pk, "scope-0-DELETE": "on"}
    assert client.post(f"{PAGE}{user.pk}/change/", form_of(user, **free)).status_code == 302
    assert not StaffScope.objects.exists()
    entry = AuditEntry.objects.latest("id")
    assert (entry.details["before"]["scope"], entry.details["after"]["scope"]) == (cast.north.pk, None)


def test_moments_are_written_as_on_all_other_pages() -> None:
    user = person("viewer", name="vic")
    User.objects.update(last_login="2026-11-25T22:11:37Z", date_joined="2026-01-02T03:04:05Z")
    client = signed_in("admin")
    User.objects.update(last_login="2026-11-25T22:11:37Z")
    assert "2026-11-25 22:11:37 UTC" in shown(client.get(PAGE))
    assert "2026-01-02 03:04:05 UTC" in shown(client.get(f"{PAGE}{user.pk}/change/"))


def test_saving_without_a_change_leaves_no_entry() -> None:
    user = person("viewer", name="vic")
    client = signed_in("admin")
    before = said()
    assert client.post(f"{PAGE}{user.pk}/change/", form_of(user)).status_code == 302
    assert said() == before


def test_an_administrator_makes_no_superuser_whatever_is_sent() -> None:
    user = person("viewer", name="vic")
    client = signed_in("admin")
    everything = [permission.pk for permission in Permission.objects.all()[:5]]
    forms = form_of(user, is_superuser="on", user_permissions=everything)
    assert client.post(f"{PAGE}{user.pk}/change/", forms).status_code == 302
    user.refresh_from_db()
    assert not user.is_superuser
    assert not user.user_permissions.exists()
    new = {"username": "eve", "usable_password": "true", "password1": "long enough 1", "password2": "long enough 1"}
    assert client.post(f"{PAGE}add/", new | {"is_superuser": "on"}).status_code == 302
    assert not User.objects.get(username="eve").is_superuser


def test_an_administrator_changes_nothing_of_a_superuser() -> None:
    root = person(SUPERUSER, name="root")
    client = signed_in("admin")
    before = User.objects.values().get(pk=root.pk)
    shown(client.get(f"{PAGE}{root.pk}/change/"))
    assert client.post(f"{PAGE}{root.pk}/change/", form_of(root, username="mine")).status_code == 403
    assert client.get(f"{PAGE}{root.pk}/password/").status_code == 403
    passwords = {"usable_password": "true", "password1": "long enough 1", "password2": "long enough 1"}
    assert client.post(f"{PAGE}{root.pk}/password/", passwords).status_code == 403
    assert User.objects.values().get(pk=root.pk) == before


def test_a_superuser_makes_superusers() -> None:
    user = person("viewer", name="vic")
    client = signed_in(SUPERUSER)
    assert client.post(f"{PAGE}{user.pk}/change/", form_of(user, is_superuser="on")).status_code == 302
    user.refresh_from_db()
    assert user.is_superuser
    assert AuditEntry.objects.latest("id").details["after"]["superuser"] is True


def test_a_new_person_and_a_new_password_are_recorded_without_the_password() -> None:
    client = signed_in("admin")
    new = {"username": "eve", "usable_password": "true", "password1": "long enough 1", "password2": "long enough 1"}
    assert client.post(f"{PAGE}add/", new | {"groups": [group("viewer")]}).status_code == 302
    eve = User.objects.get(username="eve")
    passwords = {"usable_password": "true", "password1": "another one 2", "password2": "another one 2"}
    assert client.post(f"{PAGE}{eve.pk}/password/", passwords).status_code == 302
    eve.refresh_from_db()
    assert eve.check_password("another one 2")
    assert said()[-2:] == [("user:pat", "user.create", "user:eve"), ("user:pat", "user.password", "user:eve")]
    assert "another one" not in str(list(AuditEntry.objects.values()))


def test_ones_own_new_password_is_recorded() -> None:
    client = signed_in("viewer", name="vic")
    vic = User.objects.get(username="vic")
    vic.set_password("the old one 1")
    vic.save()
    client.force_login(vic)
    shown(client.get("/admin/password_change/"))
    passwords = {"old_password": "the old one 1", "new_password1": "another one 2", "new_password2": "another one 2"}
    answer = client.post("/admin/password_change/", passwords)
    assert (answer.status_code, answer["Location"]) == (302, "/admin/password_change/done/")
    shown(client.get(answer["Location"]))
    assert said() == [("user:vic", "user.password", "user:vic")]


def test_nobody_deletes_people_in_one_go_either() -> None:
    user = person("viewer", name="vic")
    client = signed_in(SUPERUSER)
    client.post(PAGE, {"action": "delete_selected", "_selected_action": [user.pk], "post": "yes"})
    assert User.objects.filter(pk=user.pk).exists()


def test_groups_are_explained_and_not_changed() -> None:
    client = signed_in(SUPERUSER)
    page = shown(client.get("/admin/auth/group/"))
    assert "pause, resume and change queues" in page
    assert client.post(f"/admin/auth/group/{group('admin')}/change/", {"name": "x"}).status_code == 403


def test_the_list_takes_as_many_queries_for_many_people_as_for_few(
    cast: Cast, django_assert_max_num_queries: Any
) -> None:
    client = signed_in("admin")
    counts = []
    for size in (2, 8):
        for number in range(size):
            person("operator", name=f"p{size}-{number}", bound_to=cast.oslo)
        with django_assert_max_num_queries(14) as queries:
            page = shown(client.get(PAGE))
        counts.append(len(queries))
    assert counts[0] == counts[1]
    assert "Oslo" in page
