"""Which requests share the threads of a web process, and which have threads of their own."""

from __future__ import annotations

import pytest

from flagsite.web.lanes import EVALUATIONS, PAGES, WRITES, lane_of
from flagsite.web_server.lanes import Lane


@pytest.mark.parametrize(
    ("request_line", "lane"),
    [
        ("POST /ofrep/v1/evaluate/flags", EVALUATIONS),
        ("POST /ofrep/v1/evaluate/flags/checkout", EVALUATIONS),
        ("POST /organizations/oslo/ofrep/v1/evaluate/flags", EVALUATIONS),
        ("GET /31/checkout", EVALUATIONS),
        ("HEAD /key:jobs/checkout", EVALUATIONS),
        ("GET /v1/feature-flags/checkout/check", EVALUATIONS),
        ("POST /v1/feature-flags/checkout/check", EVALUATIONS),
        ("GET /v1/feature-flags/checkout/explain", EVALUATIONS),
        ("POST /31/checkout/true", WRITES),
        ("POST /31/ofrep/true", WRITES),
        ("POST /31/ofrep", WRITES),
        ("POST /organizations", WRITES),
        ("PATCH /organizations/oslo", WRITES),
        ("DELETE /organizations/oslo", WRITES),
        ("PUT /v1/feature-flags/checkout", WRITES),
        ("PATCH /v1/feature-flags/check", WRITES),
        ("POST /nothing", WRITES),
        ("GET /organizations", PAGES),
        ("GET /organizations/oslo", PAGES),
        ("GET /job-status/42", PAGES),
        ("GET /v1/feature-flags/check", PAGES),
        ("GET /static/flagsite.css", PAGES),
        ("GET /admin/", PAGES),
        ("POST /admin/login/", PAGES),
        ("POST /admin/orgs/organization/31/delete/do/", PAGES),
        ("GET /", PAGES),
        ("GET /metrics", PAGES),
    ],
)
def test_evaluations_writes_and_pages_have_lanes_of_their_own(request_line: str, lane: Lane) -> None:
    method, path = request_line.split(" ")
    assert lane_of({"REQUEST_METHOD": method, "PATH_INFO": path}) is lane
