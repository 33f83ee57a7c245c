"""What the pages show, in the words of their templates."""

from __future__ import annotations

import shutil
from collections.abc import Mapping
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from orthanc_mask2seg.jobs.port import Job, JobState
from orthanc_mask2seg.service.orders import Orders
from orthanc_mask2seg.web.filters import Filter

WIDTH = 240
"""Of the longest bar of a chart, pixels."""


def row_of(job: Job, orders: Orders, *, private: bool) -> dict[str, Any]:
    """One line of the list of jobs."""
    answer = job.result or job.error or {}
    outcome = str(answer.get("outcome", "")) if job.state in {JobState.DONE, JobState.FAILED} else str(job.state)
    waits = orders.waits_for_images(job)
    return {
        "id": job.id,
        "kind": "waiting" if waits else outcome,
        "outcome": "waiting for images" if waits else outcome,
        "reason": answer.get("reason") or "",
        "detail": answer.get("detail") or "",
        "series": job.request.series_instance_uid,
        "created": moment(job.created_at),
        "updated": moment(job.updated_at),
        "attempts": job.attempts,
        "outputs": list(dict.fromkeys(str(o["kind"]) for o in answer.get("outputs") or ())) if private else [],
    }


def job_of(job: Job, orders: Orders) -> dict[str, Any]:
    """A job with all that is known of it."""
    answer = job.result or job.error or {}
    document = orders.job_document(job)
    return {
        **row_of(job, orders, private=False),
        "hint": answer.get("hint") or "",
        "step": document["step"],
        "source": answer.get("source_series_uid"),
        "segments": [_segment(one) for one in answer.get("segments") or ()],
        "evidence": list(answer.get("evidence") or ()),
        "candidates": list(answer.get("candidates") or ()),
        "outputs": [{"sha256": "", **one} for one in answer.get("outputs") or ()],
        "earlier": list(answer.get("earlier") or ()),
        "mask_sha256": [digest for digest in answer.get("mask_sha256") or () if digest],
        "seconds": dict(answer.get("seconds") or {}),
        "study": job.request.study_instance_uid,
        "version": job.request.version,
        "origin": job.request.origin,
    }


def tried_of(result: Mapping[str, Any]) -> dict[str, Any]:
    """What would become of a series: a result of which nothing is stored."""
    converted = result["outcome"] == "converted"
    return {
        "outcome": result["outcome"],
        "shown": "would be converted" if converted else f"would be {result['outcome']}",
        "reason": result.get("reason") or "",
        "detail": result.get("detail") or "",
        "hint": result.get("hint") or "",
        "source": result.get("source_series_uid"),
        "segments": [_segment(one) for one in result.get("segments") or ()],
        "evidence": list(result.get("evidence") or ()),
        "candidates": list(result.get("candidates") or ()),
    }


def _segment(segment: Mapping[str, Any]) -> dict[str, Any]:
    return {
        "number": segment["number"],
        "label": segment["label"],
        "voxels": segment["voxels"],
        "volume_ml": float(segment["volume_mm3"]) / 1000,
        "code": str(segment.get("type_code") or ""),
    }


def neighbours(wanted: Filter, offset: int, shown: int, most: int) -> tuple[str | None, str | None]:
    """Queries of the page of newer jobs, and of older ones; None where there are none."""
    newer = wanted.query(offset=max(offset - most, 0)) if offset else None
    older = wanted.query(offset=offset + most) if shown == most else None
    return newer, older


def bars_of(counts: Mapping[str, int]) -> list[dict[str, Any]]:
    """A chart of what was counted, the most frequent first."""
    largest = max(counts.values(), default=0)
    ordered = sorted(counts.items(), key=lambda item: (-item[1], item[0]))
    return [{"name": n, "count": c, "width": max(1, round(WIDTH * c / largest))} for n, c in ordered if c]


def free_space(state: Path) -> str:
    """What is left on the disk of the state, in words."""
    try:
        return f"{shutil.disk_usage(state).free / 1e9:.1f} GB"
    except OSError:
        return "unknown"


def moment(seconds: float) -> str:
    """A time as people read it, UTC."""
    return datetime.fromtimestamp(seconds, tz=UTC).strftime("%Y-%m-%d %H:%M:%S")


def inert(text: object) -> str:
    """Text without characters that steer a terminal, a log or the direction of writing."""
    return "".join(c if c.isprintable() else "\N{REPLACEMENT CHARACTER}" for c in str(text))
