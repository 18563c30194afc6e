"""OpenFeature's Manifest API, as its command line tool uses it."""

from __future__ import annotations

from typing import Any

import jsonschema
import pytest

from conftest import Cast, _key
from flags.definitions import service
from flags.definitions.models import Flag
from flags.states.set_flag import set_flag
from orgs.access.models import Role
from orgs.audit.models import AuditEntry
from orgs.tests.api import Api, kind_of

pytestmark = pytest.mark.django_db
MANIFEST, FLAGS = "/openfeature/v0/manifest", "/openfeature/v0/manifest/flags"
NEW = {"key": "new-search", "type": "boolean", "description": "Searches anew.", "defaultValue": True}
ERROR = {
    "type": "object",
    "required": ["error"],
    "properties": {
        "error": {
            "type": "object",
            "required": ["message", "status"],
            "properties": {
                "message": {"type": "string", "minLength": 1},
                "status": {"type": "integer"},
                "details": {"type": "array", "items": {"type": "object", "required": ["field", "message"]}},
            },
        }
    },
}
"""What the protocol says of errors."""


@pytest.fixture
def api(db: None) -> Api:
    return Api(_key("editor", Role.EDITOR))


def refused(response: Any) -> tuple[int, str]:
    jsonschema.validate(response.json(), ERROR)
    assert response.json()["error"]["status"] == response.status_code
    return response.status_code, kind_of(response)


def test_the_manifest_has_every_flag_that_is_not_archived_with_type_and_default(api: Api) -> None:
    service.create(key="b", values={"enabled": True, "description": "The second."}, by="user:ada")
    service.create(key="a", values={"killed": True}, by="user:ada")
    service.create(key="gone", values={"archived": True}, by="user:ada")
    answer = api.get(MANIFEST)
    assert answer.json() == {
        "flags": [
            {"key": "a", "name": "a", "type": "boolean", "description": "", "defaultValue": False},
            {"key": "b", "name": "b", "type": "boolean", "description": "The second.", "defaultValue": True},
        ]
    }
    assert answer["X-Manifest-Capabilities"] == "read,write,delete"


def test_a_reader_reads_and_a_bound_key_sees_its_own_flags_and_writes_nothing(cast: Cast, api: Api) -> None:
    for key in ("ours", "theirs"):
        service.create(key=key, values={}, by="user:ada")
    set_flag(organization_id=cast.oslo.pk, flag_key="ours", enabled=True)
    reader, bound = Api(_key("r", Role.READER)), Api(_key("b", Role.ADMIN, cast.acme))
    seen = {name: client.get(MANIFEST) for name, client in (("reader", reader), ("bound", bound))}
    assert [flag["key"] for flag in seen["reader"].json()["flags"]] == ["ours", "theirs"]
    assert [flag["key"] for flag in seen["bound"].json()["flags"]] == ["ours"]
    assert {answer["X-Manifest-Capabilities"] for answer in seen.values()} == {"read"}
    assert refused(reader.post(FLAGS, NEW)) == (403, "not-permitted")
    assert refused(bound.post(FLAGS, NEW)) == (403, "outside-of-your-subtree")
    assert refused(bound.send("PUT", f"{FLAGS}/ours", NEW | {"key": "ours"}))[0] == 403
    assert refused(bound.send("DELETE", f"{FLAGS}/ours"))[0] == 403
    assert refused(Api("").get(MANIFEST))[0] == 401


def test_a_flag_is_defined_changed_and_archived(api: Api) -> None:
    made = api.post(FLAGS, NEW | {"reason": "generated"})
    assert (made.status_code, made.json()["flag"]) == (201, NEW | {"name": "new-search"})
    service.update(key="new-search", values={"rollout_percentage": 5, "owner": "search"}, by="user:ada")
    changed = api.send("PUT", f"{FLAGS}/new-search", {"key": "new-search", "type": "boolean", "description": None})
    assert changed.json()["flag"] == NEW | {"name": "new-search", "description": ""}
    flag = Flag.objects.get()
    assert (flag.owner, str(flag.rollout_percentage), flag.enabled) == ("search", "5.000", True)
    assert changed.json()["updatedAt"] == flag.updated_at.isoformat().replace("+00:00", "Z")
    archived = api.send("DELETE", f"{FLAGS}/new-search")
    assert (archived.status_code, set(archived.json())) == (200, {"message", "archivedAt"})
    assert api.get(MANIFEST).json() == {"flags": []}
    actions = list(AuditEntry.objects.filter(subject="flag:new-search").order_by("id").values_list("action", "reason"))
    assert actions == [
        ("flag.create", "generated"), ("flag.update", ""), ("flag.update", ""), ("flag.archive", ""),
    ]  # fmt: skip


def test_what_cannot_be_is_refused_in_the_form_of_the_protocol(api: Api) -> None:
    api.post(FLAGS, NEW)
    service.create(key="gone", values={"archived": True}, by="user:ada")
    put = f"{FLAGS}/new-search"
    assert refused(api.post(FLAGS, NEW)) == (409, "flag-exists")
    assert refused(api.post(FLAGS, NEW | {"key": "gone"})) == (409, "flag-exists")
    assert refused(api.post(FLAGS, NEW | {"key": "x", "type": "string"})) == (400, "invalid-input")
    assert refused(api.post(FLAGS, NEW | {"key": "x", "type": "text"})) == (400, "invalid-input")
    assert refused(api.post(FLAGS, NEW | {"key": "x", "defaultValue": "true"})) == (400, "invalid-input")
    assert refused(api.post(FLAGS, NEW | {"key": "x", "name": "Another name"})) == (400, "invalid-input")
    assert refused(api.send("PUT", put, NEW | {"key": "other"})) == (400, "invalid-input")
    assert refused(api.send("PUT", put, NEW | {"type": "integer"})) == (409, "flag-type-immutable")
    assert refused(api.send("PUT", f"{FLAGS}/gone", NEW | {"key": "gone"})) == (409, "flag-archived")
    assert refused(api.send("PUT", f"{FLAGS}/none", NEW | {"key": "none"})) == (404, "flag-not-found")
    for key in ("gone", "none"):
        assert refused(api.send("DELETE", f"{FLAGS}/{key}")) == (404, "flag-not-found")
    details = api.post(FLAGS, NEW | {"key": "x", "type": "string"}).json()["error"]["details"]
    assert details == [
        {"field": "defaultValue", "message": 'The value is not of the type string: a text, such as "blue".'}
    ]


@pytest.mark.parametrize(
    ("flag_type", "value", "other", "wrong"),
    [
        ("string", "control", "", 1), ("integer", 3, -1, 1.5), ("float", 0.5, 1.0, "1"),
        ("object", {"a": [1]}, {}, [1]),
    ],
)  # fmt: skip
def test_a_typed_flag_is_defined_read_and_changed(api: Api, flag_type: str, value: Any, other: Any, wrong: Any) -> None:
    new = {"key": "banner", "type": flag_type, "defaultValue": value}
    made = api.post(FLAGS, new)
    assert made.json()["flag"] == new | {"name": "banner", "description": ""}
    assert api.get("/v1/feature-flags/banner").json()["variants"] == [{"key": "default", "value": value}]
    assert Flag.objects.get().enabled
    put = f"{FLAGS}/banner"
    assert api.send("PUT", put, new | {"defaultValue": other}).json()["flag"]["defaultValue"] == other
    assert api.get("/v1/feature-flags/banner").json()["variants"] == [{"key": "default", "value": other}]
    assert api.get(MANIFEST).json()["flags"][0]["defaultValue"] == other
    assert refused(api.send("PUT", put, new | {"defaultValue": wrong})) == (400, "invalid-input")
    another = {"key": "banner", "type": "boolean", "defaultValue": True}
    assert refused(api.send("PUT", put, another)) == (409, "flag-type-immutable")
    assert api.send("PUT", put, {"key": "banner", "type": flag_type}).json()["flag"]["defaultValue"] == other


def test_a_value_that_a_variant_has_makes_it_the_default_variant(api: Api) -> None:
    variants = [{"key": "blue", "value": "#00f"}, {"key": "red", "value": "#f00"}]
    service.create(key="color", values={"type": "string", "variants": variants}, by="user:ada")
    put = f"{FLAGS}/color"
    api.send("PUT", put, {"key": "color", "type": "string", "defaultValue": "#f00"})
    read = api.get("/v1/feature-flags/color").json()
    assert (read["defaultVariant"], read["variants"], read["enabled"]) == ("red", variants, False)
    service.update(key="color", values={"default_variant": ""}, by="user:ada")
    assert api.get(MANIFEST).json()["flags"][0]["defaultValue"] == "#00f"
    api.send("PUT", put, {"key": "color", "type": "string", "defaultValue": "#0f0"})
    read = api.get("/v1/feature-flags/color").json()
    assert (read["defaultVariant"], read["variants"][-1]) == ("default", {"key": "default", "value": "#0f0"})


def test_a_float_is_written_with_a_point_also_if_the_tool_sends_none(api: Api) -> None:
    api.post(FLAGS, {"key": "ratio", "type": "float", "defaultValue": 1})
    assert b'"defaultValue":1.0' in api.get(MANIFEST).content.replace(b'": ', b'":')
