"""What stands above a page: the app, the list, the thing."""

from __future__ import annotations

import re

import pytest
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
