"""Which series of a study are images, and which are masks themselves: a mask is never the source of another mask."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

from orthanc_mask2seg.core.census import Census
from orthanc_mask2seg.core.detect import CLEAR_MARGIN, looks_like_mask, mask_evidence, weight
from orthanc_mask2seg.core.match import refers_to, spoiled
from orthanc_mask2seg.core.references import links_of_planes
from orthanc_mask2seg.model import Evidence, ImageSeries, Reason, Refusal, Series, Uid
from orthanc_mask2seg.pacs.port import Archive
from orthanc_mask2seg.service.reading import SOURCE_SAMPLES, sample_image, sample_series


@dataclass(frozen=True, slots=True, kw_only=True)
class Others:
    """The other series of a mask's study, or those that a person named as its source.

    Attributes
    ----------
    named
        A person named this one series as the source.
    """

    sources: tuple[ImageSeries, ...]
    unusable: tuple[tuple[Series, Refusal], ...]
    named: bool = False


def texts(evidence: Sequence[Evidence]) -> tuple[str, ...]:
    """Evidence with its weights, for people."""
    return tuple(f"{e.text} ({e.weight:+.2f})" for e in evidence)


class Roles:
    """Tells images from masks by a few of their planes, each series looked at once."""

    def __init__(self, archive: Archive) -> None:
        self._archive = archive
        self._seen: dict[str, Census | Refusal] = {}

    def census(self, source: ImageSeries) -> Census | Refusal:
        """Of a few planes of a series."""
        key = f"{source.series.key} {source.phase}"
        if key not in self._seen:
            self._seen[key] = sample_image(self._archive, source, SOURCE_SAMPLES)
        return self._seen[key]

    def few_valued(self, source: ImageSeries) -> bool:
        """Whether a series has as few values as a mask."""
        census = self.census(source)
        return isinstance(census, Census) and census.discrete

    def an_image(self, others: Others) -> bool:
        """Whether any of them is surely an image, wherever it lies."""
        if any(self._many_valued(self.census(s)) for s in others.sources):
            return True
        damaged = [series for series, refusal in others.unusable if spoiled(refusal)]
        return any(self._many_valued(sample_series(self._archive, s, SOURCE_SAMPLES)) for s in damaged)

    @staticmethod
    def _many_valued(census: Census | Refusal) -> bool:
        if isinstance(census, Refusal):
            return census.reason is Reason.NOT_DISCRETE
        return not census.discrete

    def referring(self, image: ImageSeries, others: Others) -> list[ImageSeries]:
        """Series that say that they were made from this one.

        A series that was itself made from an image, plane by plane, is not meant: masks are made from masks, too.
        """
        shared = {p.sop_instance_uid for s in others.sources for p in s.volume.planes}
        found = [s for s in others.sources if refers_to(s, image, shared)]
        if not found or any(self._made_from(image, s) and not self.few_valued(s) for s in others.sources):
            return []
        return found

    @staticmethod
    def _made_from(image: ImageSeries, source: ImageSeries) -> bool:
        return all(len(found) == 1 for found in links_of_planes(image, source))

    def masks_among(
        self,
        fitting: Sequence[ImageSeries],
        others: Others,
        image: ImageSeries,
        own: Sequence[Evidence],
        *,
        named: bool,
    ) -> dict[Uid, Refusal]:
        """Fitting series that cannot be the source, because they are masks themselves.

        Parameters
        ----------
        image, own, named
            The mask, the evidence that it is one, and whether a person or a rule said so.
        """
        few_valued = {s.series.series_instance_uid: s for s in fitting if self.few_valued(s)}
        if not few_valued or others.named:
            return {}
        alone = not self.an_image(others)
        return {
            uid: _a_mask(theirs, alone=alone)
            for uid, source, theirs in self._with_evidence(few_valued)
            if not (alone and _more_of_an_image(source, theirs, image, own, named=named))
        }

    def _with_evidence(
        self, few_valued: dict[Uid, ImageSeries]
    ) -> Iterator[tuple[Uid, ImageSeries, tuple[Evidence, ...]]]:
        for uid, source in few_valued.items():
            census = self.census(source)
            if isinstance(census, Census):
                yield uid, source, mask_evidence(source.headers[0], census)


def _more_of_an_image(
    source: ImageSeries, theirs: Sequence[Evidence], image: ImageSeries, own: Sequence[Evidence], *, named: bool
) -> bool:
    """Whether a few-valued series, in a study without any other image, is the image that ours was drawn on."""
    referred = refers_to(image, source)
    if refers_to(source, image) or looks_like_mask(source.headers[0], referred=referred):
        return False
    return referred or named or weight(own) - weight(theirs) >= CLEAR_MARGIN


def _a_mask(theirs: Sequence[Evidence], *, alone: bool) -> Refusal:
    why = "looks like a mask itself" if alone else "looks like a mask itself, beside a series that is surely an image"
    return Refusal(
        reason=Reason.NOT_A_MASK,
        detail=f"{why}: {'; '.join(texts(theirs))}",
        hint="Name it as the only source if it is an image: mask2seg convert MASK --source SERIES.",
        evidence=texts(theirs),
    )
