"""Operators have every process read anew what it keeps in memory."""

from __future__ import annotations

import pytest

from conftest import Cast
from flags.definitions.models import Flag
from orgs.audit.models import AuditEntry
from orgs.tests.api import Api


@pytest.mark.django_db
def test_what_is_asked_for_is_told_and_what_is_not_there_is_named(cast: Cast, admin_key: str) -> None:
    Flag.objects.create(key="checkout")
    body = {"all": True, "organizationIds": [cast.oslo.pk, 10**15], "featureFlags": ["checkout", "nope"]}
    answer = Api(admin_key).post("/internal/cache/invalidate", body)
    assert answer.status_code == 200
    assert answer.json() == {
        "done": [{"all": True}, {"organizationId": cast.oslo.pk}, {"featureFlag": "checkout"}],
        "failed": [
            {"organizationId": 10**15, "reason": "There is no such organization."},
            {"featureFlag": "nope", "reason": "There is no such flag."},
        ],
    }
    assert AuditEntry.objects.filter(action="cache.invalidate").count() == 1


@pytest.mark.django_db
def test_a_bound_key_does_so_for_its_own_subtree_only(cast: Cast, acme_key: str) -> None:
    body = {"all": True, "organizationIds": [cast.oslo.pk, cast.rival.pk]}
    answer = Api(acme_key).post("/internal/cache/invalidate", body).json()
    assert answer["done"] == [{"organizationId": cast.oslo.pk}]
    assert len(answer["failed"]) == 2


@pytest.mark.django_db
@pytest.mark.parametrize("body", [{}, {"all": "yes"}, {"organizationIds": [""]}, {"featureFlags": [1]}, {"x": 1}])
def test_nonsense_is_refused(admin_key: str, body: dict[str, object]) -> None:
    answer = Api(admin_key).post("/internal/cache/invalidate", body)
    assert (answer.status_code, answer["Content-Type"]) == (400, "application/problem+json")
