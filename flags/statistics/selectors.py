"""Read the statistics as they were computed last."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from flags.errors import StatisticNotFound
from flags.statistics.figures import STATISTICS, Figures
from flags.statistics.models import Statistic


@dataclass(frozen=True, slots=True)
class ComputedStatistic:
    """A statistic, and its latest figures; `latest` is None if it was never computed."""

    figures: Figures
    latest: Statistic | None

    @property
    def points(self) -> Sequence[dict[str, Any]]:
        return self.latest.points if self.latest else []

    @property
    def largest(self) -> float:
        """The largest value of the points; 1 if all are 0."""
        return max((float(point["value"]) for point in self.points), default=0.0) or 1.0


def all_statistics() -> list[ComputedStatistic]:
    """Return all statistics with one query, in the order of their definition."""
    latest = Statistic.objects.in_bulk()
    return [ComputedStatistic(figures, latest.get(name)) for name, figures in STATISTICS.items()]


def find_statistic(name: str) -> ComputedStatistic:
    """Return the statistic with this name. Raises StatisticNotFound."""
    if name not in STATISTICS:
        raise StatisticNotFound(f"There is no statistic {name!r}. The statistics are: {', '.join(STATISTICS)}.")
    return ComputedStatistic(STATISTICS[name], Statistic.objects.filter(pk=name).first())
