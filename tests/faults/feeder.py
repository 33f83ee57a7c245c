"""Sends the stories to Orthanc, many at the same time, and does not give up while Orthanc is away."""

from __future__ import annotations

import hashlib
import heapq
import threading
import time
from collections.abc import Callable, Iterable, Iterator

import requests

from tests.faults.stories import Delete, Pause, Send, Story, header

RETRY_SECONDS = 0.3


class Feeder(threading.Thread):
    """Plays stories.

    Parameters
    ----------
    may_start
        Whether there is room for another story, given the masks of those that were begun.

    Attributes
    ----------
    deleted_at
        When (monotonic) a mask series was deleted for good, by SeriesInstanceUID.
    """

    def __init__(
        self, url: str, auth: tuple[str, str], stories: Iterable[Story], may_start: Callable[[int], bool]
    ) -> None:
        super().__init__(name="feeder", daemon=True)
        self._url, self._stories, self._may_start = url, iter(stories), may_start
        self._session = requests.Session()
        self._session.auth = auth
        self._queue: list[tuple[float, int, Iterator[float]]] = []
        self._halt = threading.Event()
        self.begun: list[Story] = []
        self.masks = 0
        self.deleted_at: dict[str, float] = {}
        self.fault: Exception | None = None

    def stop(self) -> None:
        """End without finishing."""
        self._halt.set()

    def run(self) -> None:
        try:
            self._play()
        except Exception as error:  # noqa: BLE001  (told by the battery)
            self.fault = error

    def _play(self) -> None:
        more = True
        while (more or self._queue) and not self._halt.is_set():
            if more and self._may_start(self.masks):
                story = next(self._stories, None)
                more = story is not None
                if story is not None:
                    self.begun.append(story)
                    self.masks += len(story.masks)
                    heapq.heappush(self._queue, (time.monotonic(), story.number, self._told(story)))
            if not self._queue or self._queue[0][0] > time.monotonic():
                time.sleep(0.02)
                continue
            _, number, play = heapq.heappop(self._queue)
            pause = next(play, None)
            if pause is not None:
                heapq.heappush(self._queue, (time.monotonic() + pause, number, play))

    def _told(self, story: Story) -> Iterator[float]:
        """Do what a story says, and yield how long to wait."""
        for step in story.steps:
            if isinstance(step, Pause):
                yield step.seconds
            elif isinstance(step, Send):
                for file in step.files:
                    while not self._done("POST", "/instances", file):
                        yield RETRY_SECONDS
                    yield step.pause
            else:
                while not self._done("DELETE", path_of(step)):
                    yield RETRY_SECONDS
        for mask in story.masks:
            if mask.current is None:
                self.deleted_at[mask.series_uid] = time.monotonic()

    def _done(self, method: str, path: str, body: bytes | None = None) -> bool:
        try:
            answer = self._session.request(method, self._url + path, data=body, timeout=20)
        except requests.RequestException:
            return False
        if method == "DELETE" and answer.status_code == requests.codes.not_found:
            return True
        return answer.ok and (method == "DELETE" or answer.json().get("Status") in {"Success", "AlreadyStored"})


def path_of(step: Delete) -> str:
    """Path of what is to be deleted (Orthanc's book, "Orthanc identifiers")."""
    data = header(step.file)
    parts = [str(data.PatientID), str(data.StudyInstanceUID)]
    if not step.study:
        parts.append(str(data.SeriesInstanceUID))
    digest = hashlib.sha1("|".join(parts).encode(), usedforsecurity=False).hexdigest()
    key = "-".join(digest[i : i + 8] for i in range(0, 40, 8))
    return f"/{'studies' if step.study else 'series'}/{key}"
