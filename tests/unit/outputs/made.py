"""Segmentations made by the pipeline, opened again on their source, with the truth beside them."""

from __future__ import annotations

from pydicom import Dataset

from orthanc_mask2seg.config import Settings
from orthanc_mask2seg.model import ImageSeries, Refusal
from orthanc_mask2seg.outputs.intensities import Intensities, instances_of, read_intensities
from orthanc_mask2seg.outputs.regions import Regions, read_regions
from orthanc_mask2seg.pacs.memory import MemoryArchive
from orthanc_mask2seg.service import pipeline
from orthanc_mask2seg.service.reading import headers_of, open_stacks
from tests.builders import Study


def converted(made: Study, **settings: object) -> tuple[MemoryArchive, bytes]:
    """An archive that holds the study, and the SEG that was made in it."""
    archive = made.archive()
    mask = archive.find_series(str(made.mask[0].SeriesInstanceUID))
    ended = pipeline.run(archive, pipeline.Task(masks=(mask,), named_as_mask=True), Settings(**settings))  # type: ignore[arg-type]
    assert isinstance(ended, tuple)
    assert ended[0].outputs, ended[0]
    seg = archive.find_series(ended[0].outputs[0].series_uid)
    return archive, archive.content(seg.instance_keys[0])


def source_of(archive: MemoryArchive, made: Study) -> ImageSeries:
    series = archive.find_series(str(made.image[0].SeriesInstanceUID))
    headers = headers_of(archive, series)
    assert not isinstance(headers, Refusal)
    stacks = open_stacks(series, headers, 0.05)
    assert not isinstance(stacks, Refusal)
    return stacks[0]


def opened(made: Study, **settings: object) -> tuple[Regions, Intensities, Dataset]:
    """The SEG of a study, all values of the source, and a full header."""
    archive, content = converted(made, **settings)
    source = source_of(archive, made)
    regions = read_regions(content, source)
    assert isinstance(regions, Regions), regions
    planes = range(len(source.volume.planes))
    values = read_intensities(source, planes, archive.contents(instances_of(source, planes)))
    assert isinstance(values, Intensities), values
    return regions, values, made.image[0]
