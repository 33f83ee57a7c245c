"""Sends the stories to Orthanc, many at the same time, and does not give up while Orthanc is away."""

from __future__ import annotations

import hashlib
import heapq
import threading
import time
from collections.abc import Callable, Iterable, Iterator

import requests

from tests.faults.stories import Delete, Mask, Moment, Pause, Send, Story, header

RETRY_SECONDS = 0.3


class Feeder(threading.Thread):
    """Plays stories.

    Parameters
    ----------
    may_start
        Whether there is room for another story, given the masks of those that were begun.
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
        films = [Film(mask) for mask in story.masks]
        for step in story.steps:
            if isinstance(step, Pause):
                yield step.seconds
            elif isinstance(step, Send):
                for file in step.files:
                    yield from self._sent(file, [film for film in films if film.shows(file)])
                    yield step.pause
            else:
                yield from self._deleted(step, films)
        for film in films:
            film.cut(time.monotonic() + 1e9)

    def _sent(self, file: bytes, films: list[Film]) -> Iterator[float]:
        for film in films:
            film.cut()
        while not self._done("POST", "/instances", file):
            yield RETRY_SECONDS
        for film in films:
            film.take(file)

    def _deleted(self, step: Delete, films: list[Film]) -> Iterator[float]:
        for film in films:
            film.cut()
        while not self._done("DELETE", path_of(step)):
            yield RETRY_SECONDS
        for film in films:
            film.deleted(step)

    def _done(self, method: str, path: str, body: bytes | None = None) -> bool:
        try:
            answer = self._session.request(method, self._url + path, data=body, timeout=20)
        except requests.RequestException:
            return False
        if method == "DELETE" and answer.status_code == requests.codes.not_found:
            return True
        return answer.ok and (method == "DELETE" or self._whole(answer.json()))

    def _whole(self, answer: dict[str, str]) -> bool:
        """Whether Orthanc took it, and what it wrote on its disk is what it received: a full disk makes it lie."""
        if answer.get("Status") not in {"Success", "AlreadyStored"}:
            return False
        path = f"/instances/{answer['ID']}/attachments/dicom/verify-md5"
        try:
            return self._session.post(self._url + path, timeout=20).ok
        except requests.RequestException:
            return False


class Film:
    """Takes down what a mask series looks like, and for how long."""

    def __init__(self, mask: Mask) -> None:
        self._mask = mask
        self._where = {
            id(file): (p, v) for v, version in enumerate(mask.versions) for p, file in enumerate(version.files)
        }
        self._planes: dict[int, int] = {}
        self._since = 0.0

    def shows(self, file: bytes) -> bool:
        return id(file) in self._where

    def cut(self, now: float = 0.0) -> None:
        """It may look otherwise from now on."""
        if self._planes and self._since:
            moment = Moment(tuple(sorted(self._planes.items())), self._since, now or time.monotonic())
            self._mask.moments.append(moment)
        self._since = 0.0

    def take(self, file: bytes) -> None:
        """A file has arrived."""
        plane, version = self._where[id(file)]
        self._planes[plane] = version
        self._since = time.monotonic()

    def deleted(self, step: Delete) -> None:
        """A series or the study is gone."""
        if step.study or id(step.file) in self._where:
            self._planes.clear()
        self._since = time.monotonic()


def path_of(step: Delete) -> str:
    """Path of what is to be deleted (Orthanc's book, "Orthanc identifiers")."""
    data = header(step.file)
    parts = [str(data.PatientID), str(data.StudyInstanceUID)]
    if not step.study:
        parts.append(str(data.SeriesInstanceUID))
    digest = hashlib.sha1("|".join(parts).encode(), usedforsecurity=False).hexdigest()
    key = "-".join(digest[i : i + 8] for i in range(0, 40, 8))
    return f"/{'studies' if step.study else 'series'}/{key}"
