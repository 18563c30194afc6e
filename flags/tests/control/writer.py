"""Rows that jobs write one at a time and in any order, as a simulation without a database.

A job has a change number and the organizations of a subtree. There are two rules by which it writes a row:

- `path`: compute the value anew from the settings, and give the row the highest change number of the path. Write only
  if the row has a lower number.
- `blind`: write the value of the job's own change, with the number of this change, unless a setting that lies below the
  change decides about the row. This is today's rule, extended without much thought. It is the control: it goes wrong.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Literal

from flags.tests.control.model import Answer, Id, Model

Rule = Literal["path", "blind"]
FLAG = "f"


@dataclass(slots=True)
class Row:
    """What is stored for one organization."""

    number: int = 0
    value: bool | None = None
    source: Id | None = None


@dataclass(slots=True)
class Work:
    """A job: the organizations of a subtree that it has not written yet."""

    number: int
    top: Id
    keeps: bool
    """Whether settings below the top stay."""
    rest: list[Id]


@dataclass(slots=True)
class Writers:
    """The rows of one flag, the numbers of the settings, and the jobs that are under way."""

    rule: Rule
    model: Model = field(default_factory=Model)
    rows: dict[Id, Row] = field(default_factory=dict)
    numbers: dict[Id, int] = field(default_factory=dict)
    """The number of the last decision on an organization, also if nothing is set there any more."""
    jobs: list[Work] = field(default_factory=list)
    last: int = 0

    def accepted(self, top: Id, *, keeps: bool = True, ended: list[Id] | None = None) -> None:
        """A step was accepted on `top`: give it the next number, and start a job for everything below."""
        self.last += 1
        self.numbers.update(dict.fromkeys([top, *(ended or [])], self.last))
        self.jobs.append(Work(self.last, top, keeps, self.model.subtree(top)))

    def created(self, organization: Id) -> None:
        """A new organization takes over what its parent has stored, and the jobs above it reach it later."""
        parent = self.model.parents[organization]
        above = self.rows[parent] if parent is not None else Row()
        self.rows[organization] = Row(above.number, above.value, above.source)
        if self.rule == "path":
            answer = self.model.answer(organization, FLAG)
            self.rows[organization] = Row(self._stamp(organization), answer.value, answer.source)
        for job in self.jobs:
            if job.top in self.model.path(organization):
                job.rest.append(organization)

    def write(self, which: int, organization: int) -> None:
        """One of the jobs writes one of the organizations that it has not written yet."""
        job = self.jobs[which % len(self.jobs)]
        if job.rest:
            self._write(job, job.rest.pop(organization % len(job.rest)))
        if not job.rest:
            self.jobs.remove(job)

    def begin_again(self, which: int) -> None:
        """The worker of a job was killed, and the job starts anew."""
        job = self.jobs[which % len(self.jobs)]
        if job.top in self.model.parents:
            job.rest = self.model.subtree(job.top)

    def finish(self) -> None:
        """Write everything that is left."""
        while self.jobs:
            self.write(len(self.jobs) - 1, 0)

    def wrong(self) -> dict[Id, tuple[Row, Answer]]:
        """The rows that are not what the model says."""
        answers = {each: self.model.answer(each, FLAG) for each in self.model.parents}
        return {
            each: (self.rows[each], answer)
            for each, answer in answers.items()
            if (self.rows[each].value, self.rows[each].source) != (answer.value, answer.source)
        }

    def _stamp(self, organization: Id) -> int:
        return max(self.numbers.get(each, 0) for each in self.model.path(organization))

    def _write(self, job: Work, organization: Id) -> None:
        if organization not in self.model.parents or job.top not in self.model.path(organization):
            return  # deleted, or moved away
        row, answer = self.rows[organization], self.model.answer(organization, FLAG)
        if self.rule == "path":
            number = self._stamp(organization)
            if row.number < number:
                self.rows[organization] = Row(number, answer.value, answer.source)
        elif row.number < job.number and not (job.keeps and self._is_decided_below(job.top, row)):
            top = self.model.answer(job.top, FLAG) if job.keeps else answer
            self.rows[organization] = Row(job.number, top.value, top.source)

    def _is_decided_below(self, top: Id, row: Row) -> bool:
        return row.source not in {None, top} and row.source in self.model.parents and (
            top in self.model.path(row.source)
        )  # fmt: skip
