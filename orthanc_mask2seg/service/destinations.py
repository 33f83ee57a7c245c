"""Sends results on: every destination gets its own job for every SEG, with its own queue and its own retries.

The archive holds the SEG already, so nothing that happens here is a failure of the conversion. A delivery that is
done twice is done once: the bytes and their UIDs are the same.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, Protocol, runtime_checkable

from orthanc_mask2seg.addresses import Destination, DestinationKind
from orthanc_mask2seg.errors import ConfigurationError, Mask2SegError, NotInArchive
from orthanc_mask2seg.jobs.port import JobRequest, Jobs, Run, RunAgain
from orthanc_mask2seg.model import ArchiveKey, Outcome
from orthanc_mask2seg.pacs.dicomweb import DicomwebArchive
from orthanc_mask2seg.pacs.port import Archive

DELIVERED = "delivered"
ORIGIN = "delivery"


@runtime_checkable
class Forwarder(Protocol):
    """An archive that can send instances on by itself: Orthanc."""

    def forward(self, kind: DestinationKind, name: str, instance: ArchiveKey) -> None:
        """Send an instance to a peer or modality that the archive knows."""

    def knows_destination(self, kind: DestinationKind, name: str) -> bool:
        """Whether it knows this peer or modality."""


class Deliveries:
    """The deliveries from one archive to the destinations of the settings."""

    def __init__(self, archive: Archive, destinations: Sequence[Destination], timeout_seconds: float) -> None:
        self._archive = archive
        self._destinations = {destination.label: destination for destination in destinations}
        self._archives = {
            label: DicomwebArchive(destination.dicomweb, timeout_seconds)
            for label, destination in self._destinations.items()
            if destination.dicomweb is not None
        }

    def wrap(self, run: Run, jobs: Jobs) -> Run:
        """Work of all jobs: conversions, which ask for deliveries, and these.

        The deliveries are asked for before the conversion is recorded as done, so a sudden end loses none.
        """

        def run_any(request: JobRequest) -> dict[str, Any] | RunAgain:
            if request.destination:
                return self.deliver(request)
            answer = run(request)
            if not isinstance(answer, RunAgain):
                for order in self.orders(request, answer):
                    jobs.enqueue(order)
            return answer

        return run_any

    def orders(self, request: JobRequest, document: Mapping[str, Any]) -> list[JobRequest]:
        """One job per output of a conversion and destination."""
        if document["outcome"] != Outcome.CONVERTED:
            return []
        return [
            JobRequest(
                series_key=request.series_key,
                series_instance_uid=request.series_instance_uid,
                study_instance_uid=request.study_instance_uid,
                version=output["sop_instance_uid"],
                origin=ORIGIN,
                destination=label,
                instance_key=key,
            )
            for output in document["outputs"]
            for key in (output.get("orthanc_id") or output.get("resource"),)
            if key
            for label in self._destinations
        ]

    def deliver(self, request: JobRequest) -> dict[str, Any]:
        """Send one SEG to one destination.

        Raises
        ------
        Mask2SegError
            It is not there (yet).
        """
        destination = self._destinations.get(request.destination)
        if destination is None:
            raise ConfigurationError(f"{request.destination} is no destination any more", hint="See Destinations.")
        try:
            self._send(destination, ArchiveKey(request.instance_key))
        except NotInArchive:
            return _document(Outcome.SKIPPED, "deleted", "The segmentation is not in the archive any more.")
        except Mask2SegError as error:
            error.args = (f"{destination.label}: {error}",)
            raise
        return _document(DELIVERED, None, f"The segmentation is in {destination.label}.")

    def _send(self, destination: Destination, instance: ArchiveKey) -> None:
        archive = self._archives.get(destination.label)
        if archive is not None:
            archive.store(self._archive.content(instance))
            return
        if not isinstance(self._archive, Forwarder):
            raise ConfigurationError(f"Only Orthanc's REST API can send to a {destination.kind}")
        try:
            self._archive.forward(destination.kind, destination.name, instance)
        except NotInArchive:
            if self._archive.knows_destination(destination.kind, destination.name):
                raise
            raise ConfigurationError(
                f"Orthanc knows no {destination.kind} of the name {destination.name}",
                hint="Add it to Orthanc's configuration, then 'mask2seg jobs retry'.",
            ) from None


def _document(outcome: str, reason: str | None, detail: str) -> dict[str, Any]:
    return {"outcome": str(outcome), "reason": reason, "detail": detail, "hint": "", "outputs": []}
