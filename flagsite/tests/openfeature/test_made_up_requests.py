"""Whatever is sent to the web process that answers evaluations, which it does before Django.

The other paths of the document have their turn in `flagsite/tests/api/test_api_schemathesis.py`.
"""

from __future__ import annotations

import pytest
from schemathesis import GenerationMode

from flagsite.tests.made_up import operation_at, send_made_up
from flagsite.tests.openfeature.served import NORTH, Served

pytestmark = pytest.mark.slow
PATHS = [
    "/ofrep/v1/evaluate/flags",
    "/ofrep/v1/evaluate/flags/{key}",
    "/organizations/{organization}/ofrep/v1/evaluate/flags",
    "/organizations/{organization}/ofrep/v1/evaluate/flags/{key}",
]
KNOWN = {"organization": str(NORTH), "key": "made-up"}


@pytest.mark.parametrize("mode", [GenerationMode.POSITIVE, GenerationMode.NEGATIVE])
@pytest.mark.parametrize("path", PATHS)
def test_no_evaluation_ends_in_a_way_that_is_not_documented(flagsite: Served, path: str, mode: GenerationMode) -> None:
    flagsite.define("made-up", rollout_percentage=50, salt="made-up")
    operation = operation_at(flagsite.url, path, "POST")
    existing = {name: value for name, value in KNOWN.items() if f"{{{name}}}" in path}
    send_made_up(operation, mode, existing=existing, key=flagsite.key)
