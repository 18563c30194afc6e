"""The usage report: how often flags were evaluated, for how many organizations they are on, and which are not used."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, date, datetime
from typing import Any

from flags.definitions.models import Flag
from flags.definitions.visible_flags import visible_flags
from flags.evaluation.effective_value import EffectiveValue
from flags.insights.usage_store import ALL_FLAGS, beginning_of, first_kept_day
from flags.insights.variant_shares import NUMBER, Shares, VariantKeys, served_to_all, variant_shares
from flags.reports.colours import BLUE, GREEN, GREY
from flags.reports.figures import CellType, Chart, Column, Figures, KeyFigure, Row, Series, Table
from flags.reports.period import Period
from flags.reports.scope import ReportScope
from flags.states.selectors import off_for_everybody_among
from flagsite.core.db.streamed_rows import streamed

TITLE = "Usage of flags"
CHARTED_FLAGS = 10
EVALUATIONS = """
SELECT used.day, used.flag_id, sum(used.evaluations)::bigint
  FROM flags_flaguseday used {join}
 WHERE used.day BETWEEN %(first)s AND %(last)s GROUP BY used.day, used.flag_id
"""
LAST_EVALUATED = """
SELECT used.flag_id, max(used.last_evaluated_at) FROM flags_flaguse used {join} GROUP BY used.flag_id
"""
STORED = """
SELECT state.flag_id, {number}, count(*) FILTER (WHERE state.enabled), count(*)
  FROM flags_flagstate state {join} WHERE state.enabled IS NOT NULL GROUP BY state.flag_id, {number}
"""
ORGANIZATIONS = "SELECT count(*) FROM orgs_organization organization {join}"
STATES = """
SELECT organization.id, organization.key, organization.name, flag.key, state.enabled, source.key, state.updated_at,
       state.variant
  FROM orgs_organization organization {join}
  JOIN flags_flagstate state ON state.organization_id = organization.id AND state.enabled IS NOT NULL
  JOIN flags_flag flag ON flag.id = state.flag_id AND flag.id = ANY(%(flags)s)
  LEFT JOIN orgs_organization source ON source.id = state.source_id AND {in_scope}
 ORDER BY organization.id, state.flag_id
"""
"""The source of a flag state may be above the organizations of the report, and is not named then."""
COUNT, SHARE, TIME = CellType.COUNT, CellType.SHARE, CellType.TIME


@dataclass(frozen=True, slots=True)
class FlagFigures:
    """The figures of one flag. `evaluations` are those by its name; `on` and `off` are numbers of organizations.

    `variants` has the organizations with each variant; it is empty for a boolean flag.
    """

    flag: Flag
    evaluations: int
    last: datetime | None
    on: int
    off: int
    is_used: bool
    is_off_for_everybody: bool
    variants: Shares

    @property
    def state(self) -> str:
        """What a reader must know of the flag to understand its figures."""
        words = [("archived", self.flag.archived), ("killed", self.flag.killed)]
        return ", ".join(word for word, holds in words if holds) or (
            "off by a prerequisite" if self.is_off_for_everybody else ""
        )


@dataclass(frozen=True, slots=True)
class _Counts:
    """What the database counted, by flag."""

    by_day: Mapping[tuple[date, int], int]
    in_period: Mapping[int, int]
    last_day_of_all: date | None
    last: Mapping[int, datetime]
    stored: Mapping[int, Sequence[tuple[int, int, int]]]
    """By flag: numbers of variants, each with the organizations that are on, and with all that have a value."""
    organizations: int

    def stored_states(self, flag_id: int) -> int:
        """Return the number of organizations for which somebody has set the flag."""
        return sum(organizations for _, _, organizations in self.stored.get(flag_id, ()))


def figures_of(scope: ReportScope, period: Period, *, details: bool) -> Figures:
    """Return the figures of the usage report; with `details`, with the flag state of each organization and flag."""
    counts = _count(scope, period)
    flags = list(visible_flags(scope.caller).order_by("key"))
    off = off_for_everybody_among(flag.key for flag in flags)
    rows = [_figures_of(flag, counts, off.get(flag.key)) for flag in flags]
    rows.sort(key=lambda row: (-row.evaluations, row.flag.key))
    by_name, with_all = _by_day(counts, period, {flag.pk for flag in flags})
    tables = [_flag_table(rows), _day_table(period, by_name, with_all), _flag_day_table(period, counts, flags)]
    tables.append(_unused_table([row for row in rows if not row.is_used]))
    if any(row.variants for row in rows):
        tables.append(_variant_table(rows))
    if details:
        tables.append(_state_table(scope, counts, flags))
    return Figures(
        key_figures=_key_figures(rows, counts, sum(by_name), sum(with_all)),
        charts=_charts(rows, period, by_name, with_all),
        tables=tables,
        notes=_notes(period),
        is_empty=not (any(by_name) or any(with_all)),
    )


def _count(scope: ReportScope, period: Period) -> _Counts:
    days = scope.rows(EVALUATIONS.format(join=scope.join("used.organization_id")), first=period.first, last=period.last)
    last = scope.rows(LAST_EVALUATED.format(join=scope.join("used.organization_id")))
    stored: dict[int, list[tuple[int, int, int]]] = defaultdict(list)
    for flag_id, *row in scope.rows(STORED.format(join=scope.join("state.organization_id"), number=NUMBER)):
        stored[flag_id].append((row[0], row[1], row[2]))
    ((organizations,),) = scope.rows(ORGANIZATIONS.format(join=scope.join("organization.id")))
    in_period: dict[int, int] = defaultdict(int)
    for _, flag_id, count in days:
        in_period[flag_id] += count
    return _Counts(
        by_day={(day, flag_id): count for day, flag_id, count in days},
        in_period=in_period,
        last_day_of_all=max((day for day, flag_id, _ in days if flag_id == ALL_FLAGS), default=None),
        last=dict(last),
        stored=stored,
        organizations=organizations,
    )


def _figures_of(flag: Flag, counts: _Counts, off: EffectiveValue | None) -> FlagFigures:
    """Return the figures of a flag. Evaluations of all flags before its creation do not count for it."""
    numbers_on = {number: on for number, on, _ in counts.stored.get(flag.pk, ())}
    unset = counts.organizations - counts.stored_states(flag.pk)
    on = sum(numbers_on.values()) + (unset if flag.enabled else 0)
    variants = variant_shares(
        flag,
        on=on,
        off=counts.organizations - on,
        numbers_on=numbers_on,
        for_everybody=served_to_all(off),
    )
    on = 0 if off else on
    beginning = beginning_of(flag)
    with_all = counts.last.get(ALL_FLAGS)
    times = [counts.last.get(flag.pk), with_all if with_all and with_all >= beginning else None]
    evaluations = counts.in_period.get(flag.pk, 0)
    last_day = counts.last_day_of_all
    is_used = bool(evaluations) or (last_day is not None and last_day >= beginning.astimezone(UTC).date())
    last = max((time for time in times if time), default=None)
    return FlagFigures(flag, evaluations, last, on, counts.organizations - on, is_used, off is not None, variants)


def _by_day(counts: _Counts, period: Period, flag_ids: set[int]) -> tuple[list[int], list[int]]:
    """Return the evaluations of each day: those of flags by their names, and those of all flags at once."""
    by_name: dict[date, int] = defaultdict(int)
    for (day, flag_id), count in counts.by_day.items():
        by_name[day] += count if flag_id in flag_ids else 0
    with_all = [counts.by_day.get((day, ALL_FLAGS), 0) for day in period.days]
    return [by_name[day] for day in period.days], with_all


def _key_figures(rows: Sequence[FlagFigures], counts: _Counts, by_name: int, with_all: int) -> list[KeyFigure]:
    used = sum(row.is_used for row in rows)
    return [
        KeyFigure("evaluationsByName", "Evaluations of one flag", by_name),
        KeyFigure("evaluationsOfAllFlags", "Evaluations of all flags at once", with_all),
        KeyFigure("flagsUsed", "Flags used", used, note=f"of {len(rows):,}"),
        KeyFigure("flagsNotUsed", "Flags not used", len(rows) - used),
        KeyFigure("organizations", "Organizations", counts.organizations),
    ]


def _charts(
    rows: Sequence[FlagFigures], period: Period, by_name: Sequence[int], with_all: Sequence[int]
) -> list[Chart]:
    days = Chart(
        "Evaluations by day",
        [day.isoformat() for day in period.days],
        [Series("One flag", BLUE, by_name), Series("All flags at once", GREY, with_all)],
        is_over_time=True,
    )
    most = [row for row in rows if row.evaluations][:CHARTED_FLAGS]
    evaluated = Chart(
        "Flags evaluated most by name",
        [row.flag.key for row in most],
        [Series("Evaluations", BLUE, [row.evaluations for row in most])],
    )
    current = [row for row in rows if not row.flag.archived][:CHARTED_FLAGS]
    adoption = Chart(
        "Share of the organizations with the flag on",
        [row.flag.key for row in current],
        [Series("On", GREEN, [_share(row.on, row.on + row.off) or 0.0 for row in current])],
        SHARE,
    )
    return [days, evaluated, adoption]


def _flag_table(rows: Sequence[FlagFigures]) -> Table:
    columns = [
        Column("flag", "Flag", width=3),
        Column("state", "State", width=1.2),
        Column("evaluations", "Evaluations", COUNT),
        Column("lastEvaluatedAt", "Last evaluated", TIME, 1.5),
        Column("organizationsOn", "On", COUNT, 0.8),
        Column("organizationsOff", "Off", COUNT, 0.8),
        Column("shareOn", "On in %", SHARE, 0.8),
    ]
    cells = [
        (row.flag.key, row.state, row.evaluations, row.last, row.on, row.off, _share(row.on, row.on + row.off))
        for row in rows
    ]
    note = (
        "Evaluations are those by the flag's name. On and off are organizations by stored value at the time of the "
        "report; a flag that is off for everybody is off in all."
    )
    return Table("flags", "Flags", columns, cells, len(cells), note, "There are no flags.")


def _variant_table(rows: Sequence[FlagFigures]) -> Table:
    columns = [
        Column("flag", "Flag", width=3),
        Column("variant", "Variant", width=2),
        Column("organizations", "Organizations", COUNT),
        Column("share", "Share in %", SHARE),
    ]
    cells = [
        (row.flag.key, share.word, share.organizations, _share(share.organizations, row.on + row.off))
        for row in rows
        for share in row.variants
    ]
    note = (
        "Organizations by the variant of their stored value at the time of the report. Boolean flags have on and off."
    )
    return Table("variants", "Variants", columns, cells, len(cells), note)


def _day_table(period: Period, by_name: Sequence[int], with_all: Sequence[int]) -> Table:
    columns = [
        Column("day", "Day (UTC)", CellType.DAY),
        Column("evaluations", "Evaluations of one flag", COUNT),
        Column("evaluationsOfAllFlags", "Evaluations of all flags at once", COUNT),
    ]
    return Table("days", "Days", columns, list(zip(period.days, by_name, with_all, strict=True)), len(period.days))


def _flag_day_table(period: Period, counts: _Counts, flags: Sequence[Flag]) -> Table:
    columns = [
        Column("day", "Day (UTC)", CellType.DAY),
        Column("flag", "Flag", width=3),
        Column("evaluations", "Evaluations", COUNT),
    ]
    cells = [
        (day, flag.key, count)
        for day in period.days
        for flag in flags
        if (count := counts.by_day.get((day, flag.pk), 0))
    ]
    return Table("flagDays", "Flags by day", columns, cells, len(cells), "Days without an evaluation are left out.")


def _unused_table(rows: Sequence[FlagFigures]) -> Table:
    columns = [
        Column("flag", "Flag", width=3),
        Column("owner", "Owner", width=1.5),
        Column("createdAt", "Created", TIME, 1.5),
        Column("lastEvaluatedAt", "Last evaluated", TIME, 1.5),
    ]
    cells = [(row.flag.key, row.flag.owner, row.flag.created_at, row.last) for row in rows]
    cells.sort(key=lambda cell: (cell[3] is not None, cell[2]))
    note = "Flags that nobody has evaluated in the period, neither by name nor together with all flags. – means never."
    return Table("unusedFlags", "Flags not used", columns, cells, len(cells), note, "All flags were used.")


def _state_table(scope: ReportScope, counts: _Counts, flags: Sequence[Flag]) -> Table:
    columns = [
        Column("organizationId", "Organization", CellType.NUMBER, 1.3),
        Column("organizationKey", "Key", width=1.5),
        Column("organizationName", "Name", width=2),
        Column("flag", "Flag", width=2),
        Column("storedValue", "Value", width=0.6),
        Column("setOn", "Set on", width=1.5),
        Column("writtenAt", "Written", TIME, 1.5),
        Column("variant", "Variant", width=1),
    ]
    ids = [flag.pk for flag in flags]
    parameters: dict[str, Any] = scope.parameters | {"flags": ids}
    count = sum(map(counts.stored_states, ids))
    statement = STATES.format(join=scope.join("organization.id"), in_scope=scope.condition("source"))
    note = "The stored values at the time of the report. Organizations without a flag state have the flag's default."
    return Table(
        "states",
        "Flag states",
        columns,
        _states(statement, parameters, {flag.key: VariantKeys(flag) for flag in flags}),
        count,
        note,
        "No flag was set on these organizations.",
    )


def _states(statement: str, parameters: Mapping[str, Any], variants: Mapping[str, VariantKeys]) -> Iterator[Row]:
    for *organization, flag, enabled, source, written_at, number in streamed(statement, parameters):
        variant = variants[flag].where(enabled=enabled, number=number)
        yield (*organization, flag, "on" if enabled else "off", source or "above", written_at, variant)


def _notes(period: Period) -> list[str]:
    if period.first >= first_kept_day():
        return []
    return [f"The evaluations of each day are kept since {first_kept_day()} (FLAG_USAGE_KEEP_DAYS)."]


def _share(part: int, whole: int) -> float | None:
    return part / whole if whole else None
