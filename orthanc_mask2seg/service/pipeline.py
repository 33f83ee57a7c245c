"""One job: mask series in, stored segmentation out.

A sandwich: read headers, *detect*, read candidates' headers, *match*, read mask pixels, *convert*, store. What is
between asterisks is `core` and pure; this file only carries values from one to the next.
"""

from __future__ import annotations

import hashlib
import time
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field, replace

import numpy as np
from pydicom import Dataset

from orthanc_mask2seg.config import Settings
from orthanc_mask2seg.core.convert import Converted, Matched, Placed, convert, place_labels
from orthanc_mask2seg.core.cropped import kept_of
from orthanc_mask2seg.core.fractional import convert_fractional, probabilities
from orthanc_mask2seg.core.mask_planes import planes_of_mask, probabilities_of_mask
from orthanc_mask2seg.core.match import Match
from orthanc_mask2seg.core.pixels import StoredArray
from orthanc_mask2seg.core.plane_headers import integer
from orthanc_mask2seg.core.viewers import parse_viewers
from orthanc_mask2seg.core.wording import counted
from orthanc_mask2seg.errors import ConfigurationError
from orthanc_mask2seg.model import (
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
from orthanc_mask2seg.service.companions import Companions, store_companions
from orthanc_mask2seg.service.matching import Found, Matcher
from orthanc_mask2seg.service.naming import naming_of
from orthanc_mask2seg.service.reading import template_of
from orthanc_mask2seg.service.sieve import passes_over
from orthanc_mask2seg.service.storing import Gone, Keep, KeepBeside, KeepsBeside, keep

PLANES_OF_OUTPUTS = 300
"""What is made of one segment may take as long as so many planes."""


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
        A person said that these are masks: whether they look like one is not asked. Where sources are named and this is
        not said, any of the series may be the source of the others.
    rested
        A mask that lacks slices of its source is converted as it is.
    store
        Store the result; False only shows what would happen.
    keep
        How it is stored.
    one_output
        There is room for one segmentation only.
    progress
        Told the name of each step when another one begins: match, read, convert, store.
    sized
        Told how large the work is, as the headers say: bytes of pixels of the masks, planes of masks and sources.
    """

    masks: tuple[Series, ...]
    sources: tuple[Series, ...] | None = None
    named_as_mask: bool = False
    rested: bool = True
    store: bool = True
    keep: Keep = keep
    one_output: bool = False
    progress: Callable[[str], None] = lambda _step: None
    sized: Callable[[int, int], None] = lambda _pixel_bytes, _planes: None


@dataclass(slots=True)
class _Stopwatch:
    begins: Callable[[str], None]
    seconds: dict[str, float] = field(default_factory=dict)
    told: str = ""

    @contextmanager
    def step(self, name: str) -> Iterator[None]:
        if name != self.told:
            self.told = name
            self.begins(name)
        start = time.monotonic()
        try:
            yield
        finally:
            self.seconds[name] = self.seconds.get(name, 0.0) + time.monotonic() - start


def convert_series(
    archive: Archive,
    masks: Sequence[Series],
    settings: Settings,
    *,
    rested: bool = True,
    named_as_mask: bool = False,
    sources: tuple[Series, ...] | None = None,
    progress: Callable[[str], None] = lambda _step: None,
    sized: Callable[[int, int], None] = lambda _pixel_bytes, _planes: None,
    keep: Keep = keep,
) -> Result | NotYet:
    """Convert one series that may be a mask, as the service does; see `Task` and `run`."""
    task = Task(
        masks=tuple(masks), sources=sources, rested=rested, named_as_mask=named_as_mask, progress=progress, sized=sized,
        keep=keep,
    )  # fmt: skip
    ended = run(archive, task, settings)
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
    watch = _Stopwatch(task.progress)
    masks = _with_others_of_study(archive, task.masks, settings) if settings.merge == "study" else task.masks
    matcher = Matcher(
        archive,
        settings,
        sources=task.sources,
        named_as_mask=task.named_as_mask,
        not_sources=frozenset(m.series_instance_uid for m in masks if task.named_as_mask or task.sources is None),
    )
    results: list[Result] = []
    groups: dict[tuple[Uid, str], list[Found]] = {}
    for series in masks:
        with watch.step("match"):
            found = matcher.find(series)
        if isinstance(found, Refusal):
            if series in task.masks:
                results.append(_refused(found, (series.series_instance_uid,), watch))
            continue
        waiting = None if task.rested else _not_yet(found)
        if waiting is not None and series in task.masks:
            return waiting
        source = found.match.source
        groups.setdefault((source.series.series_instance_uid, source.phase), []).append(found)
    if task.one_output and len(groups) > 1:
        raise ConfigurationError(
            f"the masks lie on {len(groups)} different sources, so they become {len(groups)} segmentations",
            hint="Name a folder with -o, not a file.",
        )
    task.sized(*_size(found for group in groups.values() for found in group))
    own = {m.series_instance_uid for m in task.masks}
    for group in groups.values():
        if own & {f.image.series.series_instance_uid for f in group}:
            results = [*_convert_group(archive, group, task, settings, watch), *results]
    return tuple(results)


def _size(founds: Iterable[Found]) -> tuple[int, int]:
    """Bytes of pixels of masks, uncompressed, and planes of these and of their sources."""
    pixel_bytes = planes = 0
    for found in founds:
        first = found.image.volume.planes[0]
        bits = integer(found.image.header(first).get("BitsAllocated")) or 16
        count = len(found.image.volume.planes)
        pixel_bytes += first.geometry.rows * first.geometry.columns * count * bits // 8
        planes += count + len(found.match.source.volume.planes)
    return pixel_bytes, planes


def _not_yet(found: Found) -> NotYet | None:
    if found.match.resampled:
        return NotYet(detail="no image series with the grid of the mask is there yet", missing=0)
    if found.match.missing:
        total = len(found.match.source.volume.planes)
        verb = "is" if found.match.missing == 1 else "are"
        return NotYet(
            detail=f"{found.match.missing} of {total} slices {verb} not there yet", missing=found.match.missing
        )
    return None


def _with_others_of_study(archive: Archive, masks: Sequence[Series], settings: Settings) -> tuple[Series, ...]:
    """The masks with all other series of their studies that may be masks, in a lasting order."""
    found = {m.series_instance_uid: m for m in masks}
    for study in {m.study_instance_uid for m in masks}:
        for series in archive.series_of_study(study):
            if series.series_instance_uid not in found and passes_over(archive, series, settings) is None:
                found[series.series_instance_uid] = series
    return tuple(found[uid] for uid in sorted(found))


def _convert_group(
    archive: Archive,
    group: Sequence[Found],
    task: Task,
    settings: Settings,
    watch: _Stopwatch,
) -> tuple[Result, ...]:
    """Masks of one source become one segmentation; a member that is refused is reported and left out."""
    with watch.step("read"):
        template = template_of(archive, group[0].match.source)
        if settings.fractional and len(group) == 1 and group[0].called_mask:
            instances = group[0].instances
            values = instances if isinstance(instances, Refusal) else probabilities_of_mask(group[0].image, instances)
            if values is not None:
                return (_convert_fractional(archive, group[0], values, template, task, settings, watch),)
    placed: list[Placed] = []
    kept: list[Found] = []
    refused: list[Result] = []
    own = {m.series_instance_uid for m in task.masks}
    for found in group:
        labels = _place(found, settings, watch)
        uid = found.image.series.series_instance_uid
        if isinstance(labels, Placed):
            placed.append(labels)
            kept.append(found)
        elif uid in own:
            refused.append(_refused(labels, (uid,), watch, found))
    if not own & {f.image.series.series_instance_uid for f in kept}:
        return tuple(refused)
    with watch.step("convert"):
        ended = convert(
            placed,
            template,
            series_number_offset=settings.series_number_offset,
            position_tolerance=settings.position_tolerance_mm,
            naming=naming_of(settings),
            viewers=parse_viewers(settings.viewers),
        )
    if isinstance(ended, Refusal):
        uids = tuple(f.image.series.series_instance_uid for f in kept)
        return (_refused(ended, uids, watch, kept[0]), *refused)
    pixels = [p.matched.stored for p in placed]
    return (_stored(archive, ended, kept, pixels, template, task, settings, watch), *refused)


def _place(found: Found, settings: Settings, watch: _Stopwatch) -> Placed | Refusal:
    """Take all pixels of a mask and put its labels on the grid of its source."""
    threshold = (settings.threshold or None) if found.called_mask else None
    if isinstance(found.instances, Refusal):
        return found.instances
    with watch.step("convert"):
        stored = planes_of_mask(found.image, found.instances, threshold=threshold)
        if isinstance(stored, Refusal):
            return stored
        matched = Matched(mask=found.image, match=found.match, stored=stored)
        return place_labels(matched, maximum_volume_change=settings.maximum_volume_change)


def _convert_fractional(
    archive: Archive,
    found: Found,
    values: Sequence[StoredArray] | Refusal,
    template: Dataset,
    task: Task,
    settings: Settings,
    watch: _Stopwatch,
) -> Result:
    uids = (found.image.series.series_instance_uid,)
    if isinstance(values, Refusal):
        return _refused(values, uids, watch, found)
    eight_bit = found.image.headers[0].get("BitsStored") == 8
    quantised = probabilities(values, settings.fractional_maximum, eight_bit=eight_bit)
    if isinstance(quantised, Refusal):
        return _refused(quantised, uids, watch, found)
    with watch.step("convert"):
        mask = Matched(mask=found.image, match=found.match, stored=values)
        ended = convert_fractional(
            mask,
            quantised,
            template,
            series_number_offset=settings.series_number_offset,
            naming=naming_of(settings),
        )
    if isinstance(ended, Refusal):
        return _refused(ended, uids, watch, found)
    return _stored(archive, ended, [found], [values], template, task, settings, watch)


def _stored(
    archive: Archive,
    ended: Converted,
    group: Sequence[Found],
    pixels: Sequence[Sequence[StoredArray]],
    template: Dataset,
    task: Task,
    settings: Settings,
    watch: _Stopwatch,
) -> Result:
    if not task.store:
        return _converted(ended, group, (), watch)
    with watch.step("store"):
        masks, source = [f.image.series for f in group], group[0].match.source.series
        kept = task.keep(archive, ended.segmentation, masks, source)
    if isinstance(kept, Gone):
        uids = tuple(mask.series_instance_uid for mask in masks)
        return Result(
            outcome=Outcome.SKIPPED,
            reason=kept.reason,
            detail=kept.detail,
            source_series_uid=source.series_instance_uid,
            mask_series_uids=uids,
            seconds=watch.seconds,
        )
    seg, beside = _output(kept.receipt, hashlib.sha256(kept.content).hexdigest()), Companions()
    if len(settings.outputs) > 1:
        pixel_bytes, planes = _size(group)
        task.sized(pixel_bytes, planes + PLANES_OF_OUTPUTS * len(ended.segmentation.segments))
        with watch.step("outputs"):
            image = group[0].match.source
            replaced = [one.sop_instance_uid for one in kept.earlier if one.state == "deleted"]
            keep_beside = _keeping_beside(archive, task, kept.receipt, masks, source)
            beside = store_companions(archive, settings, image, template, kept.content, seg, keep_beside, replaced)
    digests = tuple(digest_of_mask(planes) for planes in pixels)
    result = _converted(ended, group, (seg, *beside.outputs), watch)
    evidence = (*result.evidence, *beside.evidence)
    return replace(result, mask_sha256=digests, evidence=evidence, earlier=kept.earlier)


def _keeping_beside(
    archive: Archive, task: Task, seg: Receipt, masks: Sequence[Series], source: Series
) -> KeepBeside | None:
    """Who stores what is made of a segmentation, so that it goes with it."""
    keeper: object = task.keep
    if not isinstance(keeper, KeepsBeside):
        return None
    return lambda content: keeper.keep_beside(archive, seg.key, content, masks, source)


def digest_of_mask(planes: Sequence[StoredArray]) -> str:
    """SHA-256 of what a mask holds, hexadecimal: of those planes, in the order of the volume, that hold anything."""
    digest = hashlib.sha256()
    for index, plane in enumerate(kept_of(planes)):
        if plane.any():
            where = f"{plane.shape} {plane.fill} {plane.row} {plane.column} {plane.values.shape}"
            digest.update(f"{index} {plane.values.dtype.str} {where}\n".encode())
            digest.update(np.ascontiguousarray(plane.values).data)
    return digest.hexdigest()


def _output(receipt: Receipt, sha256: str) -> OutputReport:
    return OutputReport(
        kind="SEG",
        sop_instance_uid=receipt.sop_instance_uid,
        series_uid=receipt.series_instance_uid,
        path=receipt.path,
        orthanc_id=None if receipt.path or receipt.resource else receipt.key,
        resource=receipt.resource,
        sha256=sha256,
    )


def _converted(
    ended: Converted,
    group: Sequence[Found],
    outputs: tuple[OutputReport, ...],
    watch: _Stopwatch,
) -> Result:
    matched = group[0].match
    evidence = [text for found in group for text in found.evidence]
    return Result(
        outcome=Outcome.CONVERTED,
        detail=_sentence(ended.segmentation, matched),
        source_series_uid=matched.source.series.series_instance_uid,
        mask_series_uids=tuple(f.image.series.series_instance_uid for f in group),
        candidates=matched.candidates,
        evidence=(*evidence, *ended.evidence),
        segments=ended.segmentation.segments,
        outputs=outputs,
        seconds=watch.seconds,
    )


def _sentence(segmentation: Segmentation, matched: Match) -> str:
    count = len(segmentation.segments)
    planes = len(matched.source.volume.planes)
    text = f"{counted(count, 'segment')} on {counted(planes, 'source slice')}"
    if matched.resampled:
        text += "; resampled from another grid"
    if matched.missing:
        verb = "is" if matched.missing == 1 else "are"
        text += f"; {counted(matched.missing, 'slice')} without a mask slice {verb} empty"
    return text


def _refused(refusal: Refusal, uids: tuple[Uid, ...], watch: _Stopwatch, found: Found | None = None) -> Result:
    matched = found.match if found else None
    quiet = refusal.reason in {Reason.NOT_A_MASK, Reason.EMPTY_MASK}
    return Result(
        outcome=Outcome.SKIPPED if quiet else Outcome.REFUSED,
        reason=refusal.reason,
        detail=refusal.detail,
        hint=refusal.hint,
        source_series_uid=matched.source.series.series_instance_uid if matched else None,
        mask_series_uids=uids,
        candidates=refusal.candidates or (matched.candidates if matched else ()),
        evidence=tuple(dict.fromkeys((*refusal.evidence, *(found.evidence if found else ())))),
        seconds=watch.seconds,
    )
