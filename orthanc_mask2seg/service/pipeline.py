"""One job: mask series in, stored segmentation out.

A sandwich: read headers, *detect*, read candidates' headers, *match*, read mask pixels, *convert*, store. What is
between asterisks is `core` and pure; this file only carries values from one to the next.
"""

from __future__ import annotations

import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field

from orthanc_mask2seg.config import Settings
from orthanc_mask2seg.core.convert import Converted, Matched, convert, read_planes
from orthanc_mask2seg.core.detect import CLEAR_MARGIN, mask_evidence, may_be_source, weight
from orthanc_mask2seg.core.match import GOOD_SCORE, Match, match
from orthanc_mask2seg.core.voxels import Census
from orthanc_mask2seg.model import (
    Evidence,
    ImageSeries,
    Outcome,
    OutputReport,
    Reason,
    Receipt,
    Refusal,
    Result,
    Segmentation,
    Series,
    Uid,
)
from orthanc_mask2seg.pacs.port import Archive
from orthanc_mask2seg.service.reading import MASK_SAMPLES, SOURCE_SAMPLES, open_series, sample, template_of


@dataclass(frozen=True, slots=True, kw_only=True)
class NotYet:
    """The mask lacks slices of its source and has not rested: more may be on the way."""

    detail: str
    missing: int


@dataclass(frozen=True, slots=True, kw_only=True)
class Task:
    """What is asked of the pipeline.

    Attributes
    ----------
    masks
        Series that may be masks; those that match the same source become one segmentation.
    sources
        Series named as sources; None for those of each mask's study.
    named_as_mask
        A person said that these are masks: whether they look like one is not asked.
    rested
        A mask that lacks slices of its source is converted as it is.
    store
        Store the result; False only shows what would happen.
    """

    masks: tuple[Series, ...]
    sources: tuple[Series, ...] | None = None
    named_as_mask: bool = False
    rested: bool = True
    store: bool = True


@dataclass(frozen=True, slots=True, kw_only=True)
class _Candidate:
    """A mask on its way, with what was seen of it."""

    image: ImageSeries
    census: Census
    evidence: tuple[Evidence, ...]


@dataclass(slots=True)
class _Stopwatch:
    seconds: dict[str, float] = field(default_factory=dict)

    @contextmanager
    def step(self, name: str) -> Iterator[None]:
        start = time.monotonic()
        try:
            yield
        finally:
            self.seconds[name] = self.seconds.get(name, 0.0) + time.monotonic() - start


def convert_series(
    archive: Archive, masks: Sequence[Series], settings: Settings, *, rested: bool = True
) -> Result | NotYet:
    """Convert one series that may be a mask, as the service does; see `run`."""
    ended = run(archive, Task(masks=tuple(masks), rested=rested), settings)
    return ended if isinstance(ended, NotYet) else ended[0]


def run(archive: Archive, task: Task, settings: Settings) -> tuple[Result, ...] | NotYet:
    """Do a task.

    Returns
    -------
    tuple of Result, or NotYet
        One result per segmentation and one per mask that was refused.

    Raises
    ------
    Mask2SegError
        A fault: of the archive, or of this software.
    """
    watch = _Stopwatch()
    results: list[Result] = []
    groups: dict[Uid, list[tuple[_Candidate, Match]]] = {}
    opened: dict[str, ImageSeries | Refusal] = {}
    for series in task.masks:
        with watch.step("match"):
            found = _match_one(archive, series, task, settings, opened)
        if isinstance(found, Refusal):
            results.append(_refused(found, (series.series_instance_uid,), watch))
            continue
        matched = found[1]
        if matched.missing and not task.rested:
            total = len(matched.source.volume.planes)
            return NotYet(detail=f"{matched.missing} of {total} slices are not there yet", missing=matched.missing)
        groups.setdefault(matched.source.series.series_instance_uid, []).append(found)
    for group in groups.values():
        results.insert(0, _convert_group(archive, group, task, settings, watch))
    return tuple(results)


def _match_one(
    archive: Archive, series: Series, task: Task, settings: Settings, opened: dict[str, ImageSeries | Refusal]
) -> tuple[_Candidate, Match] | Refusal:
    tolerance = settings.position_tolerance_mm
    image = open_series(archive, series, tolerance)
    if isinstance(image, Refusal):
        return image
    census = sample(archive, image, MASK_SAMPLES)
    if isinstance(census, Refusal):
        return census
    candidate = _Candidate(image=image, census=census, evidence=mask_evidence(image.headers[0], census))
    if not census.discrete:
        return _not_discrete(candidate, named=task.named_as_mask)
    others = archive.series_of_study(series.study_instance_uid) if task.sources is None else task.sources
    own = {m.series_instance_uid for m in task.masks}
    possible = [s for s in others if s.series_instance_uid not in own and may_be_source(s)]
    return _match_to(archive, candidate, possible, task, settings, opened)


def _not_discrete(candidate: _Candidate, *, named: bool) -> Refusal:
    values = len(candidate.census.counts)
    return Refusal(
        reason=Reason.NOT_DISCRETE if named else Reason.NOT_A_MASK,
        detail=f"The pixels have {values} different values, most of which form no regions: "
        "this is an image or a probability map, not a mask of labels.",
        hint="Export the mask after thresholding." if named else "Nothing to do: images are not converted.",
        evidence=_texts(candidate.evidence),
    )


def _texts(evidence: Sequence[Evidence]) -> tuple[str, ...]:
    return tuple(f"{e.text} ({e.weight:+.2f})" for e in evidence)


def _match_to(
    archive: Archive,
    candidate: _Candidate,
    possible: Sequence[Series],
    task: Task,
    settings: Settings,
    opened: dict[str, ImageSeries | Refusal],
) -> tuple[_Candidate, Match] | Refusal:
    """Match by geometry; then see which of the fitting series are images and which are masks themselves."""
    sources, unusable = [], []
    for series in possible:
        if series.key not in opened:
            opened[series.key] = open_series(archive, series, settings.position_tolerance_mm)
        found = opened[series.key]
        if isinstance(found, Refusal):
            unusable.append((series.series_instance_uid, found))
        else:
            sources.append(found)
    first = match(candidate.image, sources, unusable, settings.position_tolerance_mm)
    fitting = _fitting(first, sources)
    if not fitting:
        assert isinstance(first, Refusal)
        return first
    masks = _masks_among(archive, candidate, fitting, named=task.named_as_mask)
    if not masks:
        return first if isinstance(first, Refusal) else (candidate, first)
    unusable += list(masks.items())
    rest = [s for s in sources if s.series.series_instance_uid not in masks]
    again = match(candidate.image, rest, unusable, settings.position_tolerance_mm)
    if isinstance(again, Refusal) and len(masks) == len(fitting) and not task.named_as_mask:
        return _others_are_masks(candidate, again)
    return again if isinstance(again, Refusal) else (candidate, again)


def _fitting(found: Match | Refusal, sources: Sequence[ImageSeries]) -> list[ImageSeries]:
    good = {c.series_instance_uid for c in found.candidates if c.score >= GOOD_SCORE}
    return [s for s in sources if s.series.series_instance_uid in good]


def _masks_among(
    archive: Archive, candidate: _Candidate, fitting: Sequence[ImageSeries], *, named: bool
) -> dict[Uid, Refusal]:
    """Fitting series that are masks themselves.

    Beside a series that is surely an image, every few-valued one; where there is none, every one that has no clearly
    less evidence of being a mask than ours. A person's word settles the latter.
    """
    few_valued: list[tuple[ImageSeries, tuple[Evidence, ...]]] = []
    for source in fitting:
        census = sample(archive, source, SOURCE_SAMPLES)
        if not isinstance(census, Refusal) and census.discrete:
            few_valued.append((source, mask_evidence(source.headers[0], census)))
    if len(few_valued) == len(fitting):
        own = weight(candidate.evidence)
        few_valued = [(s, theirs) for s, theirs in few_valued if not named and own - weight(theirs) < CLEAR_MARGIN]
    return {
        source.series.series_instance_uid: Refusal(
            reason=Reason.NOT_A_MASK, detail="looks like a mask itself: " + "; ".join(_texts(theirs))
        )
        for source, theirs in few_valued
    }


def _others_are_masks(candidate: _Candidate, refusal: Refusal) -> Refusal:
    return Refusal(
        reason=Reason.NOT_A_MASK,
        detail="The series holds few values, but nothing in its study that fits it is more of an image than it is.",
        hint="If it is a mask, name its source: mask2seg convert MASK --source SERIES.",
        evidence=_texts(candidate.evidence),
        candidates=refusal.candidates,
    )


def _convert_group(
    archive: Archive,
    group: Sequence[tuple[_Candidate, Match]],
    task: Task,
    settings: Settings,
    watch: _Stopwatch,
) -> Result:
    """Masks of one source become one segmentation."""
    uids = tuple(c.image.series.series_instance_uid for c, _ in group)
    masks = []
    with watch.step("read"):
        template = template_of(archive, group[0][1].source)
        for candidate, matched in group:
            stored = read_planes(candidate.image, archive.contents(candidate.image.series.instance_keys))
            if isinstance(stored, Refusal):
                return _refused(stored, uids, watch)
            masks.append(Matched(mask=candidate.image, match=matched, stored=stored))
    with watch.step("convert"):
        ended = convert(masks, template, series_number_offset=settings.series_number_offset)
    if isinstance(ended, Refusal):
        return _refused(ended, uids, watch, group[0][1])
    outputs: tuple[OutputReport, ...] = ()
    if task.store:
        with watch.step("store"):
            receipt = archive.store(ended.segmentation.content)
        outputs = (_output(receipt),)
    return _converted(ended, group, outputs, watch, stored=task.store)


def _output(receipt: Receipt) -> OutputReport:
    return OutputReport(
        kind="SEG",
        sop_instance_uid=receipt.sop_instance_uid,
        series_uid=receipt.series_instance_uid,
        path=receipt.path,
        orthanc_id=None if receipt.path else receipt.key,
    )


def _converted(
    ended: Converted,
    group: Sequence[tuple[_Candidate, Match]],
    outputs: tuple[OutputReport, ...],
    watch: _Stopwatch,
    *,
    stored: bool,
) -> Result:
    matched = group[0][1]
    evidence = [text for candidate, _ in group for text in _texts(candidate.evidence)]
    return Result(
        outcome=Outcome.CONVERTED,
        detail=_sentence(ended.segmentation, matched, stored=stored),
        source_series_uid=matched.source.series.series_instance_uid,
        mask_series_uids=tuple(c.image.series.series_instance_uid for c, _ in group),
        candidates=matched.candidates,
        evidence=(*evidence, *ended.evidence),
        segments=ended.segmentation.segments,
        outputs=outputs,
        seconds=watch.seconds,
    )


def _sentence(segmentation: Segmentation, matched: Match, *, stored: bool) -> str:
    count = len(segmentation.segments)
    planes = len(matched.source.volume.planes)
    text = f"{count} segment{'s' if count > 1 else ''} on {planes} source slices"
    if matched.missing:
        text += f"; {matched.missing} slices without a mask slice are empty"
    return text if stored else f"would be converted: {text}"


def _refused(refusal: Refusal, uids: tuple[Uid, ...], watch: _Stopwatch, matched: Match | None = None) -> Result:
    quiet = refusal.reason in {Reason.NOT_A_MASK, Reason.EMPTY_MASK}
    return Result(
        outcome=Outcome.SKIPPED if quiet else Outcome.REFUSED,
        reason=refusal.reason,
        detail=refusal.detail,
        hint=refusal.hint,
        source_series_uid=matched.source.series.series_instance_uid if matched else None,
        mask_series_uids=uids,
        candidates=refusal.candidates or (matched.candidates if matched else ()),
        evidence=refusal.evidence,
        seconds=watch.seconds,
    )
