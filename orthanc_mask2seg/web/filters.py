"""Which jobs somebody wants to see: by state, outcome, reason, date and study."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import UTC, date, datetime
from typing import Self
from urllib.parse import urlencode

from starlette.datastructures import QueryParams

from orthanc_mask2seg.jobs.port import FOR_EVER, Job, Jobs, JobState, Verdict
from orthanc_mask2seg.model import Uid
from orthanc_mask2seg.service.orders import Orders

OUTCOMES = ("converted", "refused", "skipped", "failed")
MOST = 1000
"""Series that are looked at where a filter is by what became of them."""
DAY = 86400.0
_UID = re.compile(r"[0-9.]{1,64}")
_REASON = re.compile(r"[a-z_0-9]{1,64}")


@dataclass(frozen=True, slots=True, kw_only=True)
class Filter:
    """What is wanted; '' and () for all.

    Attributes
    ----------
    outcome, reason, study
        Of the newest job of each series, as the service remembers it.
    since, until
        First and last day (UTC) that a job was asked for.
    """

    states: tuple[JobState, ...] = ()
    outcome: str = ""
    reason: str = ""
    study: str = ""
    since: str = ""
    until: str = ""

    @classmethod
    def of(cls, query: QueryParams, *, blanks: bool = False) -> Self:
        """Read a query.

        Parameters
        ----------
        blanks
            What is empty is not set: a form sends all its fields.

        Raises
        ------
        ValueError
            Something is no state, outcome, reason code, UID or date.
        """
        asked = {name: query.get(name, "") for name in ("outcome", "reason", "study", "since", "until")}
        if not blanks and any(name in query and not value for name, value in asked.items()):
            raise ValueError("blank")
        states = tuple(JobState(name) for name in query.getlist("state") if name or not blanks)
        for name, allowed in (("reason", _REASON), ("study", _UID)):
            if asked[name] and not allowed.fullmatch(asked[name]):
                raise ValueError(name)
        if asked["outcome"] and asked["outcome"] not in OUTCOMES:
            raise ValueError("outcome")
        for name in ("since", "until"):
            if asked[name]:
                date.fromisoformat(asked[name])
        return cls(states=states, **asked)

    @property
    def named(self) -> Mapping[str, str]:
        """What is set, as in a query of one state at most."""
        values = {name: getattr(self, name) for name in ("outcome", "reason", "study", "since", "until")}
        return {**({"state": str(self.states[0])} if self.states else {}), **{n: v for n, v in values.items() if v}}

    def query(self, **more: object) -> str:
        """As a query, with something else."""
        return urlencode({**self.named, **more})

    def jobs(self, jobs: Jobs, orders: Orders, limit: int, offset: int) -> tuple[Job, ...]:
        """The jobs, newest first."""
        first, last = self._moments()
        if not (self.outcome or self.reason or self.study):
            return jobs.list(limit, offset, self.states, first, last)
        verdict, study = Verdict(self.outcome) if self.outcome else None, Uid(self.study) if self.study else None
        wanted = [
            job
            for job in orders.dealt_with(verdict, self.reason, study, MOST)
            if first <= job.created_at < last and (not self.states or job.state in self.states)
        ]
        wanted.sort(key=lambda job: job.created_at, reverse=True)
        return tuple(wanted[offset : offset + limit])

    def _moments(self) -> tuple[float, float]:
        """From when, and until before when, s since 1970."""
        first = _midnight(date.fromisoformat(self.since)) if self.since else 0.0
        last = _midnight(date.fromisoformat(self.until)) + DAY if self.until else FOR_EVER
        return first, last


def _midnight(day: date) -> float:
    return datetime(day.year, day.month, day.day, tzinfo=UTC).timestamp()
