"""An entity tag names the same version after a compressing proxy has changed it."""

from __future__ import annotations

import pytest

from flags.definitions.models import Flag
from flagsite.core.api.entity_tags import versions_in
from orgs.tests.api import Api, kind_of

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


def test_other_tags_name_other_versions() -> None:
    assert versions_in('"5.3-bound", "5.3gzip", W/"5.3-x"') == {"5.3-bound", "5.3gzip", "5.3-x"}
    assert versions_in("5.3") == frozenset()
