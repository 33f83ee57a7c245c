"""One mask to its source: reads what `core` needs to detect and to match, and asks it."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace

from pydicom import Dataset

from orthanc_mask2seg.config import Settings
from orthanc_mask2seg.core.detect import (
    CLEAR_MARGIN,
    CLEAR_MASK,
    mask_evidence,
    may_be_source,
    says_mask,
    weight,
)
from orthanc_mask2seg.core.match import GOOD_SCORE, Match, match, refers_to
from orthanc_mask2seg.core.rules import Verdict
from orthanc_mask2seg.core.trust import TRUSTED, borrow_positions
from orthanc_mask2seg.core.voxels import Census
from orthanc_mask2seg.model import Evidence, ImageSeries, Reason, Refusal, Series, Uid
from orthanc_mask2seg.pacs.port import Archive
from orthanc_mask2seg.service.reading import (
    MASK_SAMPLES,
    SOURCE_SAMPLES,
    headers_of,
    open_mask,
    open_stacks,
    sample_image,
    sample_series,
)
from orthanc_mask2seg.service.sieve import rule_for

ANY_PROBABILITY = 1e-9
"""Threshold that looks only at whether a probability is above 0."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Found:
    """A mask with its source, and why it is a mask.

    Attributes
    ----------
    called_mask
        A person, a rule or its SeriesDescription calls it a mask: its grey levels may be cut or kept as fractions.
    """

    image: ImageSeries
    match: Match
    evidence: tuple[str, ...]
    called_mask: bool = False


@dataclass(frozen=True, slots=True, kw_only=True)
class _Mask:
    """A mask on its way, with what was seen of it."""

    series: Series
    headers: tuple[Dataset, ...]
    census: Census
    evidence: tuple[Evidence, ...]
    named: bool


class Matcher:
    """Finds the sources of masks of one task; a source's headers are read once.

    Parameters
    ----------
    sources
        Series named as sources; None for those of each mask's study.
    named_as_mask
        A person said that the series are masks: whether they look like one is not asked.
    not_sources
        Series that are masks of the same task.
    """

    def __init__(
        self,
        archive: Archive,
        settings: Settings,
        *,
        sources: tuple[Series, ...] | None,
        named_as_mask: bool,
        not_sources: frozenset[Uid],
    ) -> None:
        self._archive = archive
        self._settings = settings
        self._sources = sources
        self._named_as_mask = named_as_mask
        self._not_sources = not_sources
        self._opened: dict[str, tuple[ImageSeries, ...] | Refusal] = {}

    def find(self, series: Series) -> Found | Refusal:
        """Find the source of a mask."""
        mask = self._look_at(series)
        if isinstance(mask, Refusal):
            return mask
        sources, unusable = self._candidates(series)
        if self._sources is not None and not sources and not unusable:
            return _with_evidence(_named_no_image(self._sources, self._not_sources), mask)
        image = open_mask(series, mask.headers, self._settings.position_tolerance_mm)
        trusted: tuple[str, ...] = ()
        if isinstance(image, Refusal) and image.reason is Reason.NO_GEOMETRY:
            borrowed = self._without_positions(mask, image, sources)
            if isinstance(borrowed, Refusal):
                return _with_evidence(borrowed, mask)
            image, sources = borrowed
            trusted = (TRUSTED,)
        if isinstance(image, Refusal):
            return _with_evidence(image, mask)
        found = self._match(mask, image, sources, unusable)
        if isinstance(found, Refusal):
            return _with_evidence(found, mask)
        return Found(
            image=image,
            match=found,
            evidence=(*texts(mask.evidence), *trusted),
            called_mask=mask.named or says_mask(series),
        )

    def _look_at(self, series: Series) -> _Mask | Refusal:
        """Sample the pixels and ask the rules of the site whether it may be a mask."""
        rule = rule_for(self._archive, series, self._settings)
        named = self._named_as_mask or (rule is not None and rule.then is Verdict.MASK)
        if rule is not None and rule.then is Verdict.IGNORE and not named:
            return Refusal(
                reason=Reason.NOT_A_MASK,
                detail="A rule of the site says that this series is to be ignored.",
                hint="See Rules in the configuration.",
                evidence=(f"the rule: {rule}",),
            )
        called_mask = named or says_mask(series)
        threshold = (self._settings.threshold or None) if called_mask else None
        if called_mask and self._settings.fractional:
            threshold = ANY_PROBABILITY
        headers = headers_of(self._archive, series)
        if isinstance(headers, Refusal):
            return headers
        census = sample_series(self._archive, series, MASK_SAMPLES, threshold)
        if isinstance(census, Refusal):
            return census
        evidence = mask_evidence(headers[0], census) if headers else ()
        mask = _Mask(series=series, headers=headers, census=census, evidence=evidence, named=named)
        clear = named or census.regions or weight(evidence) >= CLEAR_MASK
        return mask if census.discrete and clear else _not_discrete(mask)

    def _candidates(self, series: Series) -> tuple[list[ImageSeries], list[tuple[Uid, Refusal]]]:
        others = self._sources
        if others is None:
            others = self._archive.series_of_study(series.study_instance_uid)
        own = self._not_sources | {series.series_instance_uid}
        sources: list[ImageSeries] = []
        unusable: list[tuple[Uid, Refusal]] = []
        for other in others:
            if other.series_instance_uid in own or not may_be_source(other):
                continue
            opened = self._open(other)
            if isinstance(opened, Refusal):
                unusable.append((other.series_instance_uid, opened))
            else:
                sources += opened
        return sources, unusable

    def _open(self, series: Series) -> tuple[ImageSeries, ...] | Refusal:
        if series.key not in self._opened:
            headers = headers_of(self._archive, series)
            self._opened[series.key] = (
                headers
                if isinstance(headers, Refusal)
                else open_stacks(series, headers, self._settings.position_tolerance_mm)
            )
        return self._opened[series.key]

    def _without_positions(
        self, mask: _Mask, refusal: Refusal, sources: Sequence[ImageSeries]
    ) -> tuple[ImageSeries, list[ImageSeries]] | Refusal:
        """Places by InstanceNumber, where the site trusts the order and one series alone has the same numbers."""
        same_count = any(len(s.volume.planes) == len(mask.headers) for s in sources)
        if not mask.named and not same_count and weight(mask.evidence) < CLEAR_MASK:
            return Refusal(
                reason=Reason.NOT_A_MASK,
                detail="The series holds few values, but nothing says that it is a mask of images of its study.",
                hint="Nothing to do: screenshots and reports are not converted.",
                evidence=texts(mask.evidence),
            )
        if not self._settings.trust_order:
            return refusal
        images = [s for s in sources if not self._few_valued(s)] or sources
        borrowed = [(borrow_positions(mask.series, mask.headers, source), source) for source in images]
        fitting = [(image, source) for image, source in borrowed if not isinstance(image, Refusal)]
        if len(fitting) > 1:
            return Refusal(
                reason=Reason.AMBIGUOUS_SOURCE,
                detail=f"{len(fitting)} image series have the InstanceNumbers of the mask.",
                hint="Name the source series explicitly: mask2seg convert MASK --source SERIES.",
                evidence=tuple(f"series {source.series.series_instance_uid}" for _, source in fitting),
            )
        if not fitting:
            return next((image for image, _ in borrowed if isinstance(image, Refusal)), refusal)
        image, source = fitting[0]
        return image, [source]

    def _few_valued(self, source: ImageSeries) -> bool:
        census = sample_image(self._archive, source, SOURCE_SAMPLES)
        return isinstance(census, Census) and census.discrete

    def _match(
        self,
        mask: _Mask,
        image: ImageSeries,
        sources: Sequence[ImageSeries],
        unusable: list[tuple[Uid, Refusal]],
    ) -> Match | Refusal:
        """Match by geometry; then see which of the fitting series are images and which are masks themselves."""
        first = self._by_geometry(image, sources, unusable)
        good = {c.series_instance_uid for c in first.candidates if c.score >= GOOD_SCORE}
        fitting = [s for s in sources if s.series.series_instance_uid in good]
        masks = self._masks_among(mask, image, fitting)
        if not masks:
            return first
        rest = [s for s in sources if s.series.series_instance_uid not in masks]
        again = self._by_geometry(image, rest, [*unusable, *masks.items()])
        if isinstance(again, Refusal) and masks.keys() == good and not mask.named:
            return _others_are_masks(mask, again)
        return again

    def _by_geometry(
        self, image: ImageSeries, sources: Sequence[ImageSeries], unusable: Sequence[tuple[Uid, Refusal]]
    ) -> Match | Refusal:
        return match(
            image,
            sources,
            unusable,
            self._settings.position_tolerance_mm,
            may_resample=self._settings.resample == "nearest",
        )

    def _masks_among(self, mask: _Mask, image: ImageSeries, fitting: Sequence[ImageSeries]) -> dict[Uid, Refusal]:
        """Fitting series that are masks themselves.

        Beside a series that is surely an image, every few-valued one; where there is none, every one that has no
        clearly less evidence of being a mask than ours. A person's word settles the latter; so does a series that
        names the other as what it was made from.
        """
        few_valued: dict[Uid, tuple[Evidence, ...]] = {}
        for source in fitting:
            uid = source.series.series_instance_uid
            census = sample_image(self._archive, source, SOURCE_SAMPLES) if uid not in few_valued else None
            if refers_to(image, source):
                continue
            if isinstance(census, Census) and census.discrete and (census.regions or refers_to(source, image)):
                few_valued[uid] = mask_evidence(source.headers[0], census)
        if len(few_valued) == len({s.series.series_instance_uid for s in fitting}):
            own = weight(mask.evidence)
            referring = {s.series.series_instance_uid for s in fitting if refers_to(s, image)}
            few_valued = {
                uid: theirs
                for uid, theirs in few_valued.items()
                if not mask.named and (own - weight(theirs) < CLEAR_MARGIN or uid in referring)
            }
        return {
            uid: Refusal(
                reason=Reason.NOT_A_MASK,
                detail="looks like a mask itself: " + "; ".join(texts(theirs)),
                hint="Name it as the source if it is an image: mask2seg convert MASK --source SERIES.",
                evidence=texts(theirs),
            )
            for uid, theirs in few_valued.items()
        }


def texts(evidence: Sequence[Evidence]) -> tuple[str, ...]:
    """Evidence with its weights, for people."""
    return tuple(f"{e.text} ({e.weight:+.2f})" for e in evidence)


def _with_evidence(refusal: Refusal, mask: _Mask) -> Refusal:
    """Add why the series was taken for a mask, which a refusal of its place does not know."""
    return replace(refusal, evidence=tuple(dict.fromkeys((*refusal.evidence, *texts(mask.evidence)))))


def _not_discrete(mask: _Mask) -> Refusal:
    values = len(mask.census.counts)
    return Refusal(
        reason=Reason.NOT_DISCRETE if mask.named else Reason.NOT_A_MASK,
        detail=f"The pixels have {values} different values, most of which form no regions: "
        "this is an image or a probability map, not a mask of labels.",
        hint="Export the mask after thresholding, or set Threshold or Fractional."
        if mask.named
        else "Nothing to do: images are not converted. If it is a mask, ask for it: mask2seg convert SERIES.",
        evidence=(*texts(mask.evidence), _range(mask.census)),
    )


def _named_no_image(named: Sequence[Series], masks: frozenset[Uid]) -> Refusal:
    """What was named as the source holds nothing that a mask can be drawn on."""
    itself = any(series.series_instance_uid in masks for series in named)
    return Refusal(
        reason=Reason.NO_SOURCE_IN_STUDY,
        detail="What was named as the source is the mask itself."
        if itself
        else "What was named as the source is no image series.",
        hint="Name the series, or the folder, of the images that the mask was drawn on.",
        evidence=tuple(f"named: series {s.series_instance_uid}, Modality {s.modality or 'unknown'}" for s in named[:5])
        or ("nothing was named that holds DICOM images",),
    )


def _range(census: Census) -> str:
    if not census.counts:
        return "no image could be looked at"
    return f"values from {min(census.counts):g} to {max(census.counts):g} in the images looked at"


def _others_are_masks(mask: _Mask, refusal: Refusal) -> Refusal:
    return Refusal(
        reason=Reason.NOT_A_MASK,
        detail="The series holds few values, but nothing in its study that fits it is more of an image than it is.",
        hint="If it is a mask, name its source: mask2seg convert MASK --source SERIES.",
        evidence=texts(mask.evidence),
        candidates=refusal.candidates,
    )
