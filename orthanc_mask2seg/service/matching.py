"""One mask to its source: reads what `core` needs to detect and to match, and asks it."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace

from pydicom import Dataset

from orthanc_mask2seg.config import Settings
from orthanc_mask2seg.core.census import FEW_VALUES, Census
from orthanc_mask2seg.core.detect import (
    CLEAR_MASK,
    coincidence,
    header_evidence,
    link_evidence,
    mask_evidence,
    may_be_source,
    says_mask,
    weight,
)
from orthanc_mask2seg.core.match import GOOD_SCORE, Match, match
from orthanc_mask2seg.core.pixels import Kept
from orthanc_mask2seg.core.plane_headers import SOME_WITHOUT_POSITION
from orthanc_mask2seg.core.rules import Verdict
from orthanc_mask2seg.core.trust import BY_REFERENCE, TRUSTED, borrow_positions, place_by_references
from orthanc_mask2seg.core.wording import counted
from orthanc_mask2seg.model import ArchiveKey, Evidence, ImageSeries, Reason, Refusal, Series, Uid
from orthanc_mask2seg.pacs.part10 import digest_of
from orthanc_mask2seg.pacs.port import Archive
from orthanc_mask2seg.service.reading import (
    MASK_SAMPLES,
    MaskFiles,
    census_of,
    files_of,
    first_header,
    headers_of,
    open_mask,
    open_stacks,
    samples_of,
)
from orthanc_mask2seg.service.roles import Others, Roles, texts
from orthanc_mask2seg.service.sieve import rule_for

ANY_PROBABILITY = 1e-9
"""Threshold that looks only at whether a probability is above 0."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Found:
    """A mask with its source, and why it is a mask.

    Attributes
    ----------
    instances
        Pixels of the mask's files; or why they cannot be had.
    called_mask
        A person, a rule or its SeriesDescription calls it a mask: its grey levels may be cut or kept as fractions.
    """

    image: ImageSeries
    instances: tuple[Kept, ...] | Refusal
    match: Match
    evidence: tuple[str, ...]
    called_mask: bool = False


@dataclass(frozen=True, slots=True, kw_only=True)
class _Mask:
    """A mask on its way, with what was seen of it."""

    series: Series
    sampled: Mapping[ArchiveKey, bytes]
    census: Census
    evidence: tuple[Evidence, ...]
    named: bool

    @property
    def clear(self) -> bool:
        """Whether it may be converted, its source being found."""
        return self.named or self.census.regions or weight(self.evidence) >= CLEAR_MASK


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
        self._roles = Roles(archive)
        self._opened: dict[str, tuple[ImageSeries, ...] | Refusal] = {}

    def find(self, series: Series) -> Found | Refusal:
        """Find the source of a mask."""
        mask = self._look_at(series)
        if isinstance(mask, Refusal):
            return mask
        others = self._others(series)
        if self._sources is not None and not others.sources and not others.unusable:
            return _with_evidence(
                _named_no_image(self._sources, self._not_sources | {series.series_instance_uid}), mask
            )
        files = self._files(mask, others)
        if isinstance(files, Refusal):
            return files
        return self._placed(mask, files, others)

    def _files(self, mask: _Mask, others: Others) -> MaskFiles | Refusal:
        """All headers of a mask; with its pixels where there are images that it may lie on."""
        if others.sources:
            return files_of(self._archive, mask.series, mask.sampled)
        headers = headers_of(self._archive, mask.series)
        return headers if isinstance(headers, Refusal) else MaskFiles(headers, ())

    def _placed(self, mask: _Mask, files: MaskFiles, others: Others) -> Found | Refusal:
        series, headers = mask.series, files.headers
        image = open_mask(series, headers, self._settings.position_tolerance_mm)
        placed: tuple[str, ...] = ()
        among = others.sources
        if isinstance(image, Refusal) and image.reason is Reason.NO_GEOMETRY:
            borrowed = self._without_positions(mask, headers, image, others)
            if isinstance(borrowed, Refusal):
                return _with_evidence(borrowed, mask)
            image, source, how = borrowed
            among, placed = (source,), (how,)
        if isinstance(image, Refusal):
            return _with_evidence(image, mask)
        referring = () if mask.named else self._roles.referring(image, others)
        if referring:
            return _referred(mask, referring)
        found = self._match(mask, image, among, others)
        links = self._links(image, among, found)
        mask = replace(mask, evidence=(*mask.evidence, *links, *(() if placed else _coincidence(image, found))))
        if not mask.clear:
            return _not_discrete(mask)
        if isinstance(found, Refusal):
            return _with_evidence(found, mask)
        if found.resampled and not mask.named and not (links or header_evidence(headers[0])):
            return _only_few_values(mask, found)
        return Found(
            image=image,
            instances=files.instances,
            match=found,
            evidence=(*texts(mask.evidence), *placed),
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
        sampled = samples_of(self._archive, series, MASK_SAMPLES)
        census = census_of(sampled.values(), threshold)
        if isinstance(census, Refusal):
            return census
        evidence = mask_evidence(first_header(sampled), census) if sampled else ()
        if threshold is not None and evidence:
            cut = "above 0" if threshold == ANY_PROBABILITY else f"from {threshold:g} on"
            evidence = (replace(evidence[0], text=f"{evidence[0].text}, when values {cut} are one"), *evidence[1:])
        mask = _Mask(series=series, sampled=sampled, census=census, evidence=evidence, named=named)
        return mask if census.discrete else _not_discrete(mask)

    def _others(self, series: Series) -> Others:
        others = self._sources
        if others is None:
            others = self._archive.series_of_study(series.study_instance_uid)
        own = self._not_sources | {series.series_instance_uid}
        if self._sources and all(other.series_instance_uid in own for other in self._sources):
            own = frozenset(o.series_instance_uid for o in self._sources if self._same_files(series, o))
        sources: list[ImageSeries] = []
        unusable: list[tuple[Series, Refusal]] = []
        for other in others:
            if other.series_instance_uid in own or not may_be_source(other):
                continue
            opened = self._open(other)
            if isinstance(opened, Refusal):
                unusable.append((other, opened))
            else:
                sources += opened
        one = self._sources is not None and len({s.series_instance_uid for s in self._sources}) == 1
        return Others(sources=tuple(sources), unusable=tuple(unusable), named=one)

    def _same_files(self, series: Series, other: Series) -> bool:
        """Whether two series of one SeriesInstanceUID share a file.

        A mask may be a copy of its source with nothing replaced but the pixels; folders hold both, an archive cannot.
        """
        if set(series.instance_keys) & set(other.instance_keys):
            return True
        digests = {digest_of(content) for content in self._archive.contents(series.instance_keys)}
        return any(digest_of(content) in digests for content in self._archive.contents(other.instance_keys))

    def _open(self, series: Series) -> tuple[ImageSeries, ...] | Refusal:
        if series.key not in self._opened:
            headers = headers_of(self._archive, series)
            self._opened[series.key] = (
                headers
                if isinstance(headers, Refusal)
                else open_stacks(series, headers, self._settings.position_tolerance_mm, without_localizers=True)
            )
        return self._opened[series.key]

    def _without_positions(
        self, mask: _Mask, headers: tuple[Dataset, ...], refusal: Refusal, others: Others
    ) -> tuple[ImageSeries, ImageSeries, str] | Refusal:
        """The mask with places, the source that they are from, and how: by references, or by an order that is trusted.

        Where one series alone holds all images that the mask refers to; or has the same InstanceNumbers, and the site
        trusts these.
        """
        sources = others.sources
        tolerance = self._settings.position_tolerance_mm
        linked = [(place_by_references(mask.series, headers, s, tolerance), s) for s in sources]
        proven = self._images_of([(image, s) for image, s in linked if image is not None])
        if len(proven) > 1:
            return _several_sources([s for _, s in proven], "hold the images that the mask refers to")
        if proven:
            image, source = proven[0]
            return image, source, BY_REFERENCE.format(counted(len(image.volume.planes), "plane"))
        same_count = any(len(s.volume.planes) == len(headers) for s in sources)
        some = refusal.hint == SOME_WITHOUT_POSITION
        if not mask.named and not some and not same_count and weight(mask.evidence) < CLEAR_MASK:
            return Refusal(
                reason=Reason.NOT_A_MASK,
                detail="The series holds few values, but nothing says that it is a mask of images of its study.",
                hint="Nothing to do: screenshots and reports are not converted.",
                evidence=texts(mask.evidence),
            )
        if not self._settings.trust_order:
            return refusal
        images = [s for s in sources if not self._roles.few_valued(s)] or list(sources)
        borrowed = [(borrow_positions(mask.series, headers, source), source) for source in images]
        fitting = [(image, source) for image, source in borrowed if not isinstance(image, Refusal)]
        if len(fitting) > 1:
            return _several_sources([s for _, s in fitting], "have the InstanceNumbers of the mask")
        if not fitting:
            return next((image for image, _ in borrowed if isinstance(image, Refusal)), refusal)
        return *fitting[0], TRUSTED

    def _images_of(
        self, placed: Sequence[tuple[ImageSeries, ImageSeries]]
    ) -> Sequence[tuple[ImageSeries, ImageSeries]]:
        """Of several series that a mask refers to those that are no masks."""
        if len(placed) < 2:
            return placed
        return [(image, s) for image, s in placed if not self._roles.few_valued(s)] or placed

    def _match(self, mask: _Mask, image: ImageSeries, among: Sequence[ImageSeries], others: Others) -> Match | Refusal:
        """Match by geometry; then see which of the fitting series are images and which are masks themselves."""
        first = self._by_geometry(image, among, others.unusable)
        good = {c.series_instance_uid for c in first.candidates if c.score >= GOOD_SCORE}
        fitting = [s for s in among if s.series.series_instance_uid in good]
        masks = self._roles.masks_among(fitting, others, image, mask.evidence, named=mask.named)
        if not masks:
            return first
        rest = [s for s in among if s.series.series_instance_uid not in masks]
        series = {s.series.series_instance_uid: s.series for s in fitting}
        again = self._by_geometry(image, rest, [*others.unusable, *((series[u], r) for u, r in masks.items())])
        if isinstance(again, Refusal) and masks.keys() == good and not mask.named and not self._roles.an_image(others):
            return _others_are_masks(mask, again)
        return again

    def _by_geometry(
        self, image: ImageSeries, sources: Sequence[ImageSeries], unusable: Sequence[tuple[Series, Refusal]]
    ) -> Match | Refusal:
        return match(
            image,
            sources,
            unusable,
            self._settings.position_tolerance_mm,
            may_resample=self._settings.resample == "nearest",
        )

    def _links(
        self, image: ImageSeries, sources: Sequence[ImageSeries], found: Match | Refusal
    ) -> tuple[Evidence, ...]:
        """Evidence that the series was made from its source, or, where none was found, from an image series."""
        if isinstance(found, Match):
            return link_evidence(image, found.source)
        for source in sources:
            linked = link_evidence(image, source)
            if linked and not self._roles.few_valued(source):
                return linked
        return ()


def _coincidence(image: ImageSeries, found: Match | Refusal) -> tuple[Evidence, ...]:
    if isinstance(found, Refusal) or found.resampled:
        return ()
    return (coincidence(len(image.volume.planes)),)


def _with_evidence(refusal: Refusal, mask: _Mask) -> Refusal:
    """Add why the series was taken for a mask, which a refusal of its place does not know."""
    return replace(refusal, evidence=tuple(dict.fromkeys((*refusal.evidence, *texts(mask.evidence)))))


def _not_discrete(mask: _Mask) -> Refusal:
    values = len(mask.census.counts)
    if mask.census.discrete and values <= FEW_VALUES:
        detail = (
            f"The pixels have {counted(values, 'different value')}, but in scattered points, and nothing else says "
            "that this is a mask of images of its study."
        )
    else:
        detail = (
            f"The pixels have {values} different values, most of which form no regions: "
            "this is an image or a probability map, not a mask of labels."
        )
    return Refusal(
        reason=Reason.NOT_DISCRETE if mask.named else Reason.NOT_A_MASK,
        detail=detail,
        hint="Export the mask after thresholding, or set Threshold or Fractional."
        if mask.named
        else "Nothing to do: images are not converted. If it is a mask, ask for it: mask2seg convert SERIES.",
        evidence=(*texts(mask.evidence), _range(mask.census)),
    )


def _referred(mask: _Mask, referring: Sequence[ImageSeries]) -> Refusal:
    return Refusal(
        reason=Reason.NOT_A_MASK,
        detail="The series holds few values, but another series says that it was made from it: it is an image.",
        hint="Nothing to do: images are not converted. If it is a mask, ask for it: mask2seg convert SERIES.",
        evidence=(
            *(f"series {s.series.series_instance_uid} refers to it" for s in referring[:3]),
            *texts(mask.evidence),
        ),
    )


def _only_few_values(mask: _Mask, found: Match) -> Refusal:
    return Refusal(
        reason=Reason.NOT_A_MASK,
        detail="The series holds few values, but it lies on another grid than every image series of the study, and "
        "nothing else says that it is a mask: it may be an image.",
        hint="If it is a mask, ask for it: mask2seg convert SERIES.",
        evidence=texts(mask.evidence),
        candidates=found.candidates,
    )


def _several_sources(sources: Sequence[ImageSeries], what: str) -> Refusal:
    return Refusal(
        reason=Reason.AMBIGUOUS_SOURCE,
        detail=f"{len(sources)} image series {what}.",
        hint="Name the source series explicitly: mask2seg convert MASK --source SERIES.",
        evidence=tuple(f"series {source.series.series_instance_uid}" for source in sources),
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
