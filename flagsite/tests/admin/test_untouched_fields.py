"""A person who saves a page changes only what this person has touched."""

from __future__ import annotations

import re
from html import unescape
from typing import Any

import pytest
from django.contrib.auth.models import User
from django.test import Client
from django_celery_beat.models import IntervalSchedule, PeriodicTask

from flags.definitions.models import Flag

pytestmark = pytest.mark.django_db
TAGS = ["a,b", "c", " d "]
WHITELIST = [" a ", "a\nb", "c\r\nd", "é"]


@pytest.fixture
def client() -> Client:
    client = Client()
    client.force_login(User.objects.create_superuser("root"))
    return client


@pytest.fixture
def flag() -> Flag:
    return Flag.objects.create(key="odd", tags=TAGS, whitelist=WHITELIST, description="  two\n\nlines ", owner=" me ")


def shown(client: Client, path: str) -> dict[str, Any]:
    """The fields of the page's form as a browser sends them back."""
    text = client.get(path).content.decode()
    form: dict[str, Any] = {}
    for tag in re.findall(r"<input\b[^>]*>", text):
        attributes = dict(re.findall(r'([a-z-]+)="([^"]*)"', tag))
        if attributes.get("type") in {"checkbox", "radio"} and not re.search(r"\schecked[\s>/]", tag):
            continue
        if "name" in attributes and attributes.get("type") not in {"submit", "file"}:
            value = unescape(attributes.get("value", "on" if attributes.get("type") == "checkbox" else ""))
            form[attributes["name"]] = value.replace("\r", "").replace("\n", "")
    for name, value in re.findall(r'<textarea name="([^"]+)"[^>]*>\n?(.*?)</textarea>', text, re.DOTALL):
        form[name] = re.sub(r"\r\n|\r|\n", "\r\n", unescape(value))
    for name, options in re.findall(r'<select name="([^"]+)"[^>]*>(.*?)</select>', text, re.DOTALL):
        form[name] = [unescape(value) for value in re.findall(r'<option value="([^"]*)"[^>]*selected', options)]
    return form


def saved(client: Client, flag: Flag, **changes: Any) -> Any:
    path = f"/admin/flags/flag/{flag.pk}/change/?tab=definition"
    answer = client.post(path, {**shown(client, path), **changes})
    flag.refresh_from_db()
    return answer


def test_saving_another_field_keeps_every_text_and_every_list(client: Client, flag: Flag) -> None:
    assert saved(client, flag, owner="you").status_code == 302
    assert (flag.tags, flag.whitelist, flag.description) == (TAGS, WHITELIST, "  two\n\nlines ")
    assert flag.owner == "you"


def test_saving_nothing_changes_nothing_and_no_version(client: Client, flag: Flag) -> None:
    before = flag.revision
    assert saved(client, flag).status_code == 302
    assert (flag.tags, flag.whitelist, flag.owner, flag.revision) == (TAGS, WHITELIST, " me ", before)


def test_a_list_that_the_form_cannot_show_is_changed_by_the_api_only(client: Client, flag: Flag) -> None:
    answer = saved(client, flag, tags="a,b,c,e")
    assert answer.status_code == 200
    assert "This form cannot show &#x27;a,b&#x27; as one text. Change the list with the API." in answer.content.decode()
    assert flag.tags == TAGS


def test_a_touched_list_keeps_the_spaces_of_its_other_texts(client: Client, flag: Flag) -> None:
    Flag.objects.filter(pk=flag.pk).update(tags=[" d ", "e"], whitelist=[" a "])
    assert saved(client, flag, tags=" d ,e,f").status_code == 302
    assert (flag.tags, flag.whitelist) == ([" d ", "e", "f"], [" a "])


def test_a_periodic_task_keeps_its_description(client: Client) -> None:
    every, _ = IntervalSchedule.objects.get_or_create(every=5, period="seconds")
    task = PeriodicTask.objects.create(name="mine", task="jobs.sweep", interval=every)
    PeriodicTask.objects.filter(pk=task.pk).update(description="  as it was\n")
    path = f"/admin/django_celery_beat/periodictask/{task.pk}/change/"
    form = shown(client, path)
    form.pop("enabled", None)
    assert client.post(path, form).status_code == 302
    task.refresh_from_db()
    assert (task.description, task.enabled) == ("  as it was\n", False)
