"""One Flagsite for all tests with OpenFeature's clients; each makes flags of its own."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from flagsite.tests.openfeature.served import Served


@pytest.fixture(scope="session")
def flagsite(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Served]:
    """Web, worker and events as processes, on servers and a tree of their own."""
    served = Served(tmp_path_factory.mktemp("openfeature"))
    try:
        served.start()
        yield served
    finally:
        served.stop()
