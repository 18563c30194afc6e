"""docs/doors.md names each deed with its endpoint, its page and its command, and the code has no others."""

from __future__ import annotations

import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from django.contrib import admin
from django.core.management import get_commands, load_command_class
from django.urls import URLPattern, URLResolver, get_resolver

from flags.definitions import forms as flag_forms
from flags.schedules import admin as schedule_pages
from flagsite.openapi.schema import READS
from jobs.operations import bulk
from orgs.tree import forms as organization_forms

PAGE = (Path(__file__).resolve().parents[3] / "docs" / "doors.md").read_text()
DOORS = ("HTTP", "admin site", "command")
OPERATIONS = {
    "flags/flag": flag_forms.OPERATIONS,
    "flags/flagschedule": schedule_pages.OPERATIONS,
    "jobs/job": bulk.OPERATIONS,
    "orgs/organization": organization_forms.OPERATIONS,
}
"""The operations for which one address of the admin site stands, by the beginning of the address."""
PARTS_OF_PAGES = re.compile(
    r"/(live|level|under-way|askers|check|report|json|search|autocomplete|jsi18n|picker|csv)/$|^/admin/(login|logout|overview|r)/|done/$"
    r"|/(history)/$|^/admin/orgs/historyentry/|\{url\}|\{app_label\}|/\{object_id\}/$"
)
"""Addresses of the admin site that change nothing: parts of pages, and the pages of signing in and out."""
REDIRECTS = {"/admin/orgs/organization/{object_id}/delete/", "/admin/orgs/organization/import/"}
"""Pages that lead to other pages."""
READ_ONLY_CHANGE_PAGES = {"/admin/orgs/organization/{object_id}/change/"}
"""Pages whose operations have addresses of their own."""
OPEN = {"/", "/admin", "/openapi.json", "/docs", "/livez", "/readyz", "/version"}
OF_MACHINES = {"serve", "demo", "doctor", "migrate", "renew_secrets", "run_worker"}
"""Commands that run or check a machine."""


def tables() -> dict[str, list[dict[str, str]]]:
    """The rows of each table of deeds, by its heading."""
    found = {}
    for section in PAGE.split("\n## ")[1:]:
        if "| deed |" in section:
            lines = [line for line in section.splitlines() if line.startswith("| ")][2:]
            cells = [[cell.strip() for cell in line.strip("|").split("|")] for line in lines]
            found[section.partition("\n")[0]] = [dict(zip(("deed", *DOORS), row, strict=True)) for row in cells]
    return found


CHANGES, READINGS = tables().values()


def named(rows: list[dict[str, str]], door: str) -> set[str]:
    """What the cells of a door name, without queries."""
    return {name.partition("?")[0] for row in rows for name in re.findall(r"`([^`]+)`", row[door])}


def patterns(resolver: URLResolver, prefix: str = "/") -> Iterator[tuple[str, Any]]:
    for pattern in resolver.url_patterns:
        path = prefix + str(pattern.pattern)
        if isinstance(pattern, URLResolver):
            yield from patterns(pattern, path)
        elif isinstance(pattern, URLPattern):
            path = re.sub(r"<(?:\w+:)?(\w+)>", r"{\1}", path)
            yield re.sub(r"\(\?P\{(\w+)\}[^)]*\)|[\^$]", r"{\1}", path), pattern.callback


ALL = list(patterns(get_resolver()))


def endpoints() -> set[str]:
    return {
        f"{method.upper()} {path}"
        for path, view in ALL
        for method in ("get", "post", "put", "patch", "delete")
        if not path.startswith("/admin/") and path not in OPEN
        and hasattr(getattr(view, "view_class", None), method)
    }  # fmt: skip


def pages() -> set[str]:
    """The addresses of the admin site, one for each operation, and the actions of lists."""
    found = set()
    for path, _ in ALL:
        if "{operation}" in path:
            names = next(names for start, names in OPERATIONS.items() if path.startswith(f"/admin/{start}/"))
            found |= {path.replace("{operation}", name) for name in names}
        elif path.startswith("/admin/"):
            found.add(path)
    for model, page in admin.site._registry.items():
        found |= {f"/admin/{model._meta.app_label}/{model._meta.model_name}/#{name}" for name in page.actions or ()}
    return found


def writing_pages() -> set[str]:
    """Those pages on which something may change: all but those that are known to change nothing."""
    roles = {"add": "add_role", "change": "change_role", "delete": "delete_role"}
    closed = set()
    for model, page in admin.site._registry.items():
        base = f"/admin/{model._meta.app_label}/{model._meta.model_name}/"
        for operation, role in roles.items():
            if getattr(page, role) is None:
                closed.add(f"{base}add/" if operation == "add" else f"{base}{{object_id}}/{operation}/")
        closed.add(base)
    read = closed | REDIRECTS | READ_ONLY_CHANGE_PAGES | named(READINGS, "admin site") - named(CHANGES, "admin site")
    return {page for page in pages() if page not in read and not PARTS_OF_PAGES.search(page)}


def commands() -> dict[str, bool]:
    """Our commands; true for those that write, which have the option --reason."""
    found = {}
    for name, app in get_commands().items():
        if app in {"orgs", "jobs", "flags", "flagsite"} and name not in OF_MACHINES:
            parser = load_command_class(app, name).create_parser("manage.py", name)
            found[name] = any("--reason" in action.option_strings for action in parser._actions)
    return found


@pytest.mark.parametrize("row", [*CHANGES, *READINGS], ids=lambda row: row["deed"])
def test_each_deed_has_all_three_doors(row: dict[str, str]) -> None:
    for door in DOORS:
        assert row[door].startswith("✅ `"), (row["deed"], door)


def test_each_endpoint_that_a_table_names_exists_and_none_is_missing() -> None:
    read = named(READINGS, "HTTP")
    assert named(CHANGES, "HTTP") | read == endpoints()
    by_post = {name for name in read if not name.startswith("GET ")}
    assert len(by_post) == len(READS), "no write is called a read"
    assert not named(CHANGES, "HTTP") & read


def test_each_page_that_a_table_names_exists_and_no_page_that_writes_is_missing() -> None:
    both = named(CHANGES, "admin site") | named(READINGS, "admin site")
    assert both <= pages()
    assert writing_pages() <= named(CHANGES, "admin site")


def test_each_command_that_a_table_names_exists_and_none_is_missing() -> None:
    assert named(CHANGES, "command") == {name for name, writes in commands().items() if writes}
    assert {name for name, writes in commands().items() if not writes} <= named(READINGS, "command")
    assert named(READINGS, "command") <= set(commands())
