"""A body whose fields are as long as the OpenAPI document allows is accepted, though it is longer than others."""

from __future__ import annotations

import json
from typing import Any

import pytest
from django.test import override_settings

from flags.definitions import rules
from flags.definitions.models import Flag
from orgs.tests.api import Api, kind_of

pytestmark = pytest.mark.django_db
LONGEST_KEY = "\N{PARTY POPPER}" * rules.MAX_TARGETING_KEY_LENGTH
"""JSON needs 12 bytes for each character: two escapes."""


def test_the_longest_whitelist_of_the_document_fits_into_the_longest_body() -> None:
    in_json = json.dumps(LONGEST_KEY).encode()
    assert (len(in_json) + 2) * rules.MAX_WHITELIST_SIZE + 12 * rules.MAX_DESCRIPTION_LENGTH < rules.LONGEST_BODY


@pytest.mark.parametrize(("method", "path"), [("POST", "/v1/feature-flags"), ("PUT", "/v1/feature-flags/wide")])
@override_settings(DATA_UPLOAD_MAX_MEMORY_SIZE=2000)
def test_a_definition_may_be_longer_than_other_bodies(admin_key: str, method: str, path: str) -> None:
    if method == "PUT":
        assert Api(admin_key).post("/v1/feature-flags", {"name": "wide"}).status_code == 201
    users = [f"{number}{LONGEST_KEY[5:]}" for number in range(100)]
    response = Api(admin_key).send(method, path, {"name": "wide", "userWhitelist": users})
    assert response.status_code in (200, 201), response.content[:300]
    assert Flag.objects.get(key="wide").whitelist == users


@pytest.mark.parametrize(
    ("path", "body"),
    [
        (
            "/v1/schedules",
            {
                "featureFlagName": "wide",
                "apply": {"userWhitelist": [LONGEST_KEY]},
                "scheduledAt": "2030-01-31T08:00:00Z",
            },
        ),
        ("/v1/feature-flags/wide/check", {"userId": LONGEST_KEY * 100}),
        ("/v1/feature-flags/wide/explain", {"userId": LONGEST_KEY * 100}),
        ("/internal/cache/invalidate", {"featureFlags": ["wide"] * 1000}),
    ],
)
@override_settings(DATA_UPLOAD_MAX_MEMORY_SIZE=2000)
def test_other_bodies_with_long_fields_may_be_longer_too(admin_key: str, path: str, body: dict[str, Any]) -> None:
    api = Api(admin_key)
    api.post("/v1/feature-flags", {"name": "wide"})
    assert api.post(path, body).status_code in (200, 201)


def test_a_body_that_is_longer_than_all_its_fields_is_refused(admin_key: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("flags.definitions.api.Definitions.longest_body", 3000)
    with override_settings(DATA_UPLOAD_MAX_MEMORY_SIZE=2000):
        response = Api(admin_key).post("/v1/feature-flags", {"name": "wide", "userWhitelist": [LONGEST_KEY]})
    assert (response.status_code, kind_of(response)) == (413, "request-too-large")


def test_an_idempotency_key_with_another_long_body_is_refused(admin_key: str) -> None:
    api = Api(admin_key)
    first = {"name": "wide", "userWhitelist": ["a"]}
    assert api.post("/v1/feature-flags", first, Idempotency_Key="one").status_code == 201
    assert api.post("/v1/feature-flags", first, Idempotency_Key="one").headers["Idempotent-Replayed"] == "true"
    other = api.post("/v1/feature-flags", {"name": "wide", "userWhitelist": ["b"]}, Idempotency_Key="one")
    assert other.status_code == 409
