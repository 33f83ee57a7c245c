"""The state of the service for Prometheus: numbers alone, no identifier and nothing of a patient."""

from __future__ import annotations

import time
from collections.abc import Iterator
from typing import Any

from prometheus_client import CollectorRegistry, generate_latest
from prometheus_client.core import CounterMetricFamily, GaugeMetricFamily, InfoMetricFamily, Metric
from prometheus_client.registry import Collector

from orthanc_mask2seg.jobs.port import JobState
from orthanc_mask2seg.service.status import ServiceState

CONTENT_TYPE = "text/plain; version=0.0.4; charset=utf-8"


def metrics_of(state: ServiceState) -> bytes:
    """All metrics, in Prometheus' text format."""
    registry = CollectorRegistry(auto_describe=False)
    registry.register(_Metrics(state))
    return generate_latest(registry)


class _Metrics(Collector):
    def __init__(self, state: ServiceState) -> None:
        self._state = state

    def describe(self) -> list[Metric]:
        return []

    def collect(self) -> Iterator[Metric]:
        state, watcher, jobs = self._state, self._state.watcher(), self._state.jobs
        yield InfoMetricFamily("mask2seg", "The service.", value={"version": state.version})
        yield _gauge("archive_reachable", "The PACS answered last time.", int(watcher.reachable))
        yield _gauge("paused", "The service waits for a person (see /healthz).", int(state.alarm() is not None))
        by_state = GaugeMetricFamily("mask2seg_jobs", "Jobs in the history, by state.", labels=["state"])
        for each in JobState:
            by_state.add_metric([str(each)], jobs.count(each))
        yield by_state
        oldest = jobs.oldest(JobState.WAITING, JobState.RUNNING)
        age = 0.0 if oldest is None else max(time.time() - oldest, 0.0)
        yield _gauge("oldest_unfinished_job_seconds", "Age of the oldest job that has not ended.", age)
        waiting = state.orders.masks_that_wait()
        yield _gauge("masks_waiting_for_images", "Masks whose images are not there yet.", waiting)
        yield _gauge("series_known", "Series that were dealt with.", watcher.known)
        yield _gauge("series_arriving", "Series that are watched until they are complete.", watcher.pending)
        yield _counter("journal_polls", "Looks at the journal of the PACS.", watcher.polls)
        yield _counter("scans", "Scans of all series.", watcher.scans)
        yield _counter("jobs_asked_for", "Jobs that the watcher has asked for.", watcher.enqueued)
        yield _by("jobs_ended", "Jobs that ended, by outcome.", "outcome", watcher.outcomes)
        yield _by("series_passed_over", "Series that are no masks, by reason.", "reason", watcher.passed_over)


def _gauge(name: str, words: str, value: float) -> Metric:
    return GaugeMetricFamily(f"mask2seg_{name}", words, value=value)


def _counter(name: str, words: str, value: float) -> Metric:
    return CounterMetricFamily(f"mask2seg_{name}", words, value=value)


def _by(name: str, words: str, label: str, values: Any) -> Metric:
    family = CounterMetricFamily(f"mask2seg_{name}", words, labels=[label])
    for key, value in sorted(values.items()):
        family.add_metric([key], value)
    return family
