"""What the demo's story makes of the answers that it gets."""

from __future__ import annotations

from typing import Any

from flagsite.development.demo import story


class Answers:
    """Answers in the place of the API's, one after the other."""

    def __init__(self, *answers: dict[str, Any]) -> None:
        self._answers = list(answers)

    def get(self, path: str) -> dict[str, Any]:
        return self._answers.pop(0)


def test_the_last_look_at_a_job_is_made_when_it_is_final() -> None:
    runs, fails, ended = (
        {"id": 1, "status": status, "final": status == "COMPLETED"}
        for status in ("IN_PROGRESS", "RETRYING", "COMPLETED")
    )
    assert list(story._poll_job(Answers(runs, fails, ended, ended), "/job-status/1")) == [runs, fails, ended]
