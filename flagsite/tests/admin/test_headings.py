"""What stands above a page: the app, the list, the thing."""

from __future__ import annotations

import re

import pytest
from django.contrib.auth.models import User
from django.test import Client

from flags.definitions import service
from orgs.tests.people import shown, signed_in

pytestmark = pytest.mark.django_db
PART = re.compile(r"truncate tracking-tight\">\s*([^<]*?)\s*</")


@pytest.fixture
def client(db: None) -> Client:
    return signed_in("admin")


def parts(client: Client, address: str) -> list[str]:
    return PART.findall(shown(client.get(address)))


def test_an_app_that_is_called_like_its_list_is_not_said_twice(client: Client) -> None:
    assert parts(client, "/admin/jobs/job/") == ["Jobs"]
    assert parts(client, "/admin/flags/flag/") == ["Flags"]
    assert parts(client, "/admin/jobs/queue/") == ["Jobs", "Queues"]
    assert parts(client, "/admin/flags/flagschedule/") == ["Flags", "Scheduled changes"]


def test_a_things_name_is_written_as_it_is(client: Client) -> None:
    flag = service.create(key="checkout", values={}, by="user:olga")
    assert parts(client, f"/admin/flags/flag/{flag.pk}/change/") == ["Flags", "checkout"]


@pytest.mark.parametrize(
    ("address", "above", "title"),
    [
        ("auth/", ["Access"], "Access"),
        ("auth/user/", ["Access", "People"], "People"),
        ("auth/user/add/", ["Access", "People", "Add person"], "Add person"),
        ("auth/group/", ["Access", "Groups"], "Groups"),
        ("jobs/job/", ["Jobs"], "Jobs"),
        ("jobs/queue/", ["Jobs", "Queues"], "Queues"),
        ("jobs/", ["Jobs"], "Jobs"),
        ("orgs/accesskey/", ["Organizations", "Access keys"], "Access keys"),
        ("flags/flag/", ["Flags"], "Flags"),
        ("django_celery_beat/", ["Periodic tasks"], "Periodic tasks"),
        ("django_celery_beat/intervalschedule/", ["Periodic tasks", "Intervals"], "Intervals"),
    ],
)
def test_headings_and_titles_are_in_the_words_of_the_product(
    client: Client, address: str, above: list[str], title: str
) -> None:
    page = shown(client.get(f"/admin/{address}"))
    assert PART.findall(page) == above
    assert " ".join(re.findall(r"<title>(.*?)</title>", page, re.DOTALL)[0].split()) == f"{title} | Flagsite"


HIDDEN = re.compile(r"<script.*?</script>|<svg.*?</svg>|<[^>]+>", re.DOTALL)
LIBRARY_WORDS = re.compile(
    r"authoriz|\busers?\b.{0,20}(?:treated|permission|able|account|option)|Permissions|Select \w+ to"
    r"|Datetime|timedelta|\(s\)|Crontab Schedule|administration",
    re.IGNORECASE,
)


def test_no_page_of_people_and_periodic_tasks_has_words_of_the_libraries(client: Client) -> None:
    pat = User.objects.get(username="pat").pk
    for address in (
        "auth/", "auth/user/", "auth/user/add/", f"auth/user/{pat}/change/", f"auth/user/{pat}/password/",
        "auth/group/", "django_celery_beat/", "django_celery_beat/periodictask/",
        "django_celery_beat/periodictask/add/", "django_celery_beat/intervalschedule/add/",
        "django_celery_beat/crontabschedule/add/",
    ):  # fmt: skip
        page = HIDDEN.sub(" ", shown(client.get(f"/admin/{address}")))
        assert [found[0] for found in LIBRARY_WORDS.finditer(" ".join(page.split()))] == [], address
