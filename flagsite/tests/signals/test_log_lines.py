"""The shape of a log line."""

from __future__ import annotations

import io
import json
import logging
from collections.abc import MutableMapping
from typing import Any

import pytest
import structlog
from django.test import Client

from flagsite import logging as logs
from flagsite.core import actor


def line_of(event: str, style: str = "json", **fields: Any) -> str:
    """What is written for an event of ours."""
    record = logging.LogRecord("jobs.engine.lifecycle", logging.INFO, "", 0, {"event": event, **fields}, None, None)
    record._logger, record._name, record._from_structlog = None, "info", True
    return logs.formatter(style).format(record)


def test_a_json_line_has_its_frame_on_top_and_the_rest_in_data() -> None:
    line = json.loads(
        line_of("job_completed", timestamp="t", level="info", correlationId="c-1", queue="default", durationMs=1.5)
    )
    assert line == {
        "timestamp": "t", "level": "info", "event": "job_completed", "correlationId": "c-1", "logger": "",
        "data": {"queue": "default", "durationMs": 1.5},
    }  # fmt: skip


def test_a_line_of_a_library_has_the_same_shape_and_the_requests_id() -> None:
    record = logging.LogRecord("kombu", logging.WARNING, "", 0, "lost %s", ("redis://u:hunter2@host/0",), None)
    with actor.acting("api", correlation_id="c-2"):
        line = json.loads(logs.formatter("json").format(record))
    assert (line["event"], line["level"], line["logger"]) == ("lost redis://***@host/0", "warning", "kombu")
    assert line["correlationId"] == "c-2"


def test_a_line_names_the_caller_and_the_request_from_the_action_context_whatever_becomes_of_the_logs_own() -> None:
    record = logging.LogRecord("flagsite", logging.INFO, "", 0, "said", (), None)
    with actor.acting("api", actor="key:4fG6aB nightly-sync", correlation_id="c-3"):
        structlog.contextvars.clear_contextvars()
        line = json.loads(logs.formatter("json").format(record))
    assert (line["correlationId"], line["data"]) == ("c-3", {"caller": "key:4fG6aB nightly-sync"})


@pytest.mark.parametrize("who", [actor.SYSTEM, actor.UNKNOWN])
def test_a_line_about_what_no_caller_asked_for_names_none(who: str) -> None:
    record = logging.LogRecord("flagsite", logging.INFO, "", 0, "said", (), None)
    with actor.acting("worker", actor=who):
        assert "data" not in json.loads(logs.formatter("json").format(record))


def test_passwords_in_addresses_are_blanked_in_both_styles() -> None:
    for style in ("json", "console"):
        written = line_of("database_away", style, error="postgresql://flagsite:hunter2@db:5432/flagsite is away")
        assert "hunter2" not in written
        assert "db:5432" in written


def test_a_database_that_is_away_is_logged_once_a_second_with_the_number_of_lines_left_out(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    clock = [100.0]
    monkeypatch.setattr(logs, "monotonic", lambda: clock[0])
    once = logs.DatabaseAwayOnceASecond()

    def logged(event: str, **fields: object) -> MutableMapping[str, Any] | None:
        try:
            return dict(once(None, "warning", {"event": event, **fields}))
        except structlog.DropEvent:
            return None

    assert logged("database_away") == {"event": "database_away"}
    assert logged("evaluation_without_database") is None
    assert logged("readiness_check_failed", check="database") is None
    assert logged("readiness_check_failed", check="broker") is not None
    assert logged("job_created") == {"event": "job_created"}
    clock[0] += 1.1
    assert logged("database_away") == {"event": "database_away", "leftOut": 2}
    clock[0] += 1.1
    assert logged("evaluation_without_database") == {"event": "evaluation_without_database"}


def test_an_unknown_host_name_is_one_line_without_a_traceback(client: Client) -> None:
    handler = logging.StreamHandler(io.StringIO())
    handler.setFormatter(logs.formatter("json"))
    logging.getLogger().addHandler(handler)
    try:
        assert client.get("/organizations", headers={"host": "evil.example.com" + "x" * 900}).status_code == 400
    finally:
        logging.getLogger().removeHandler(handler)
    (line,) = map(json.loads, handler.stream.getvalue().splitlines())
    assert (line["event"], line["data"]["status"]) == ("request_answered", 400)
    assert "evil.example.com" in line["data"]["refusedAs"]
    assert len(line["data"]["refusedAs"]) <= 200
    assert "exception" not in line["data"]
