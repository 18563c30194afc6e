"""An entity tag names the same version after a compressing proxy has changed it."""

from __future__ import annotations

from typing import Any

import pytest

from conftest import Cast
from flags.definitions.models import Flag
from flagsite.core.api.entity_tags import versions_in
from orgs.tests.api import Api, kind_of, wrong_fields

pytestmark = pytest.mark.django_db
FLAG = "/v1/feature-flags/checkout"
CHANGED = ["W/{0}", '"{1}-gzip"', 'W/"{1}-gzip"', '"{1}--gzip"', '"{1};br"', 'W/"{1};gzip"', '"{1}-br"', '"{1}-zstd"']


@pytest.mark.parametrize("form", [*CHANGED, '"other", W/{0}', "*"])
def test_a_proxy_may_change_the_tag(admin_key: str, form: str) -> None:
    Flag.objects.create(key="checkout")
    api = Api(admin_key)
    tag = api.get(FLAG)["ETag"]
    changed = form.format(tag, tag.strip('"'))
    assert api.send("GET", FLAG, If_None_Match=changed).status_code == 304
    assert api.patch(FLAG, {"description": "New"}, If_Match=changed).status_code == 200
    if form != "*":
        again = api.patch(FLAG, {"description": "Newer"}, If_Match=changed)
        assert (again.status_code, kind_of(again)) == (412, "flag-changed-meanwhile")


@pytest.mark.parametrize("header", ["If-Match", "If-None-Match", "If-Unmodified-Since"])
@pytest.mark.parametrize(
    "write",
    [
        ("POST", "/oslo/checkout/true", None),
        ("PATCH", "/organizations/oslo", {"name": "Renamed"}),
        ("POST", "/v1/queues/default/pause", None),
        ("POST", "/v1/feature-flags", {"name": "new"}),
    ],
)
def test_a_write_that_cannot_depend_on_a_version_refuses_the_condition(
    cast: Cast, admin_key: str, write: tuple[str, str, Any], header: str
) -> None:
    refused = Api(admin_key).send(*write, **{header: '"1"'})
    assert wrong_fields(refused) == {header}
    assert "has not carried it out" in refused.json()["errors"][0]["message"]
    assert not Flag.objects.exists()


def test_a_condition_that_a_definition_does_not_know_is_refused(admin_key: str) -> None:
    Flag.objects.create(key="checkout")
    refused = Api(admin_key).patch(FLAG, {"description": "New"}, **{"If-None-Match": "*"})
    assert wrong_fields(refused) == {"If-None-Match"}
    assert Flag.objects.get().description == ""


def test_other_tags_name_other_versions() -> None:
    assert versions_in('"5.3-bound", "5.3gzip", W/"5.3-x"') == {"5.3-bound", "5.3gzip", "5.3-x"}
    assert versions_in("5.3") == frozenset()
