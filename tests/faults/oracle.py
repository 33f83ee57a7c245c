"""What became of every mask, found without the product: what Orthanc holds is read by hand, and so is the history.

For every mask there is exactly one segmentation, whose voxels are those of its last version; or none, and a reason
in the history. Every file that was sent, and not deleted by its sender, is there byte for byte. There is nothing else.
"""

from __future__ import annotations

import hashlib
import io
from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import requests
from pydicom import Dataset, dcmread

from tests.faults.plan import orthanc_id
from tests.faults.proxy import Store
from tests.faults.stories import Mask, Points, Story, comparable
from tests.frames import frames_of

History = Mapping[str, Sequence[Mapping[str, Any]]]


@dataclass
class Verdict:
    """How it ended; each complaint is one mask (or one file) that is not as it has to be."""

    lost: list[str] = field(default_factory=list)
    duplicated: list[str] = field(default_factory=list)
    wrong: list[str] = field(default_factory=list)

    @property
    def right(self) -> bool:
        return not (self.lost or self.duplicated or self.wrong)

    @property
    def counts(self) -> str:
        return f"lost {len(self.lost)} duplicated {len(self.duplicated)} wrong {len(self.wrong)}"

    def lines(self) -> list[str]:
        kinds = (("lost", self.lost), ("duplicated", self.duplicated), ("wrong", self.wrong))
        return [f"{kind}: {text}" for kind, texts in kinds for text in texts]


UNREADABLE: Points = ("unreadable",)
"""What a file says that is no segmentation any more."""


def points_of_seg(content: bytes) -> tuple[str, Points]:
    """StudyInstanceUID of a segmentation, and the places of its voxels (PS3.3 C.7.6.2.1.1), segment by segment."""
    data = dcmread(io.BytesIO(content))
    shared = data.SharedFunctionalGroupsSequence[0]
    found: dict[int, list[np.ndarray]] = {int(s.SegmentNumber): [] for s in data.SegmentSequence}
    for item, number, frame in frames_of(data):
        position = np.array(_group(item, shared, "PlanePositionSequence").ImagePositionPatient, float)
        cosines = np.array(_group(item, shared, "PlaneOrientationSequence").ImageOrientationPatient, float)
        spacing = np.array(_group(item, shared, "PixelMeasuresSequence").PixelSpacing, float)
        rows, columns = np.nonzero(frame)
        places = position + columns[:, None] * cosines[:3] * spacing[1] + rows[:, None] * cosines[3:] * spacing[0]
        found[number].append(places)
    return str(data.StudyInstanceUID), comparable(
        [np.concatenate([np.empty((0, 3)), *found[n]]) for n in sorted(found)]
    )


def _group(item: Dataset, shared: Dataset, name: str) -> Dataset:
    return (item if name in item else shared)[name].value[0]


class Pacs:
    """Orthanc, asked directly."""

    def __init__(self, url: str, auth: tuple[str, str]) -> None:
        self._url = url
        self._session = requests.Session()
        self._session.auth = auth
        self._session.headers["Accept-Encoding"] = "identity"
        self._read: dict[str, tuple[str, Points]] = {}
        self._segs: frozenset[str] = frozenset()

    def segmentations(self, *, anew: bool = False) -> list[tuple[str, Points]]:
        """StudyInstanceUID and voxels of each one there is."""
        found = {}
        for series in self._get("/series?expand").json():
            if series["MainDicomTags"].get("Modality") == "SEG":
                for instance in series["Instances"]:
                    known = None if anew else self._read.get(instance)
                    found[instance] = known or self._points_of(instance)
        self._segs = frozenset(found)
        self._read = {instance: one for instance, one in found.items() if one[1] != UNREADABLE}
        return list(found.values())

    def _points_of(self, instance: str) -> tuple[str, Points]:
        """What was broken on the way, and Orthanc took all the same, has to be mended: it holds no mask's voxels."""
        content = self._get(f"/instances/{instance}/file").content
        try:
            return points_of_seg(content)
        except (AttributeError, KeyError, IndexError, ValueError, TypeError, EOFError):
            return str(
                self._get(f"/instances/{instance}/study").json()["MainDicomTags"]["StudyInstanceUID"]
            ), UNREADABLE

    def digests(self) -> dict[str, str]:
        """Orthanc's name of every file that is no segmentation, and its SHA-1."""
        segs = set(self._segs)
        others = [i for i in self._get("/instances").json() if i not in segs]
        with ThreadPoolExecutor(4) as pool:
            return dict(zip(others, pool.map(self._digest, others), strict=True))

    def _digest(self, instance: str) -> str:
        return digest(self._get(f"/instances/{instance}/file").content)

    def _get(self, path: str) -> requests.Response:
        answer = self._session.get(self._url + path, timeout=60)
        answer.raise_for_status()
        return answer


def digest(content: bytes) -> str:
    return hashlib.sha1(content, usedforsecurity=False).hexdigest()


def judge(
    stories: Iterable[Story],
    segmentations: Iterable[tuple[str, Points]],
    histories: Sequence[History],
    digests: Mapping[str, str] | None = None,
    stores: Iterable[Store] = (),
    settle: float = 1.0,
) -> Verdict:
    """Compare what is there with what has to be there.

    Parameters
    ----------
    histories
        Of each service: SeriesInstanceUID to jobs, the newest first.
    digests
        Of all other files; None to leave them out.
    stores
        All that a service asked to store on the way.
    settle
        A mask that stood for less must not be converted, s.
    """
    verdict = Verdict()
    stories = list(stories)
    by_study: dict[str, Counter[Points]] = {}
    for study, points in segmentations:
        by_study.setdefault(study, Counter())[points] += 1
    for story in stories:
        _judge_story(story, by_study.pop(story.study_uid, Counter()), histories, verdict)
    for study, left in by_study.items():
        verdict.wrong += [f"a SEG of a study that nobody sent: {study}"] * left.total()
    if digests is not None:
        _judge_files(stories, digests, verdict)
    _judge_stores(stories, stores, settle, verdict)
    return verdict


def _judge_story(story: Story, there: Counter[Points], histories: Sequence[History], verdict: Verdict) -> None:
    for mask in story.masks:
        name = f"story {story.number} ({story.kind}), series {mask.series_uid}"
        past = sum(there.pop(v.points, 0) for v in mask.past if v.points is not None)
        now = there.pop(mask.current.points, 0) if mask.current is not None and mask.current.points is not None else 0
        if story.deleted:
            verdict.wrong += [f"{name}: the study was deleted and has a SEG"] * past
        elif mask.current is None:
            verdict.duplicated += [f"{name}: several SEGs of a deleted mask"] * max(past - 1, 0)
        elif mask.reasons and not mask.may_be_missing:
            verdict.wrong += [f"{name}: a SEG of what must be refused"] * (now + past)
            _judge_reason(name, mask, histories, verdict)
        elif not now and mask.may_be_missing:
            _judge_reason(name, mask, histories, verdict)
        elif not now:
            verdict.lost.append(f"{name}: no SEG of the last version, {past} of earlier ones")
        else:
            verdict.duplicated += [f"{name}: {now} SEGs of this version, {past} of earlier ones"] * (now + past - 1)
            _judge_end(name, mask, histories, verdict)
    verdict.wrong += [f"story {story.number} ({story.kind}): a SEG with voxels of no mask"] * there.total()


def _ends(mask: Mask, histories: Sequence[History]) -> list[Mapping[str, Any] | None]:
    """How the newest job on a mask ended, in each history; None where it did not."""
    ends: list[Mapping[str, Any] | None] = []
    for history in histories:
        jobs = history.get(mask.series_uid) or ()
        newest = max(jobs, key=lambda job: job["created_at"], default=None)
        ends.append(None if newest is None or newest["state"] == "running" else newest["result"] or newest["error"])
    return ends


def _judge_reason(name: str, mask: Mask, histories: Sequence[History], verdict: Verdict) -> None:
    for end in _ends(mask, histories):
        if end is None:
            verdict.lost.append(f"{name}: neither a SEG nor a reason in the history")
        elif end.get("reason") not in mask.reasons:
            verdict.lost.append(f"{name}: the reason is {end.get('outcome')} {end.get('reason')}")


def _judge_end(name: str, mask: Mask, histories: Sequence[History], verdict: Verdict) -> None:
    """Who comes too late, its image being deleted, may say so, though another was in time."""
    for end in _ends(mask, histories):
        if mask.may_be_missing and end is not None and end.get("reason") in mask.reasons:
            continue
        if end is None or end.get("outcome") not in {"converted", "skipped"}:
            said = "nothing" if end is None else f"{end.get('outcome')} {end.get('reason')}: {end.get('detail')}"
            verdict.lost.append(f"{name}: there is a SEG, and the history says {said}")


def _judge_files(stories: Iterable[Story], digests: Mapping[str, str], verdict: Verdict) -> None:
    left = dict(digests)
    for story in stories:
        name = f"story {story.number} ({story.kind})"
        for file in story.standing:
            there = left.pop(orthanc_id(file), None)
            if there is None:
                verdict.lost.append(f"{name}: a file that was sent is not there")
            elif there != digest(file):
                verdict.wrong.append(f"{name}: a file has other bytes than were sent last")
    verdict.wrong += [f"{instance} is there, and nobody sent it" for instance in left]


def _judge_stores(stories: Iterable[Story], stores: Iterable[Store], settle: float, verdict: Verdict) -> None:
    """Whatever was stored on the way, too, was a mask as it stood for a while: never half of one, or of two."""
    by_study = {story.study_uid: story for story in stories}
    known: dict[bytes, str] = {}
    for store in stores:
        if store.content[128:132] != b"DICM":  # it was broken on the way, and Orthanc has refused it
            continue
        key = hashlib.sha1(store.content, usedforsecurity=False).digest()
        if key not in known:
            study, points = points_of_seg(store.content)
            known[key] = _hasty(by_study.get(study), points, settle)
            verdict.wrong += [known[key]] if known[key] else []


def _hasty(story: Story | None, points: Points, settle: float) -> str:
    """Why a segmentation should never have been; '' where it was right at its time."""
    if story is None:
        return "a SEG of a study that nobody sent was stored"
    name = f"story {story.number} ({story.kind})"
    stood = [0.0]
    for mask in story.masks:
        if mask.current is not None and points == mask.current.points:
            return ""
        stood += [m.until - m.since for m in mask.moments if mask.points_at(m) == points]
    if max(stood) >= settle:
        return ""
    return (
        f"{name}: a SEG was stored of a state that stood for {max(stood):.1f} s"
        if len(stood) > 1
        else f"{name}: a SEG was stored of what never was"
    )
