"""The doctor's judgement of segmentations by anybody: it never stumbles."""

from __future__ import annotations

import copy
import io
from collections.abc import Iterator

import highdicom as hd
import numpy as np
import pytest
from pydicom import DataElement, Dataset, dcmread
from pydicom.sequence import Sequence
from pydicom.sr.codedict import codes

from orthanc_mask2seg.config import Settings
from orthanc_mask2seg.core.diagnosis import ALL, Level, by_code
from orthanc_mask2seg.core.display import Seen, diagnose, verdicts
from orthanc_mask2seg.core.display_checks import SEG_CHECKS
from orthanc_mask2seg.model import ArchiveKey
from orthanc_mask2seg.pacs.orthanc_checks import PACS_CHECKS
from orthanc_mask2seg.service import pipeline
from tests.builders import Grid, study, to_bytes

SEEN = Seen(found=True, sequences=frozenset(), retrieved=False, frames=400)


@pytest.fixture(scope="module")
def made() -> tuple[Dataset, list[Dataset]]:
    whole = study(Grid(rows=16, columns=16, planes=4), seed=99)
    archive = whole.archive()
    mask = archive.find_series(str(whole.mask[0].SeriesInstanceUID))
    ended = pipeline.run(archive, pipeline.Task(masks=(mask,), named_as_mask=True), Settings())
    assert isinstance(ended, tuple)
    content = archive.content(ArchiveKey(ended[0].outputs[0].orthanc_id or ""))
    return dcmread(io.BytesIO(content)), whole.image


def paths(data: Dataset, above: tuple[tuple[int, int], ...] = ()) -> Iterator[tuple[tuple[int, int], ...]]:
    """Every element, as (item, tag) on the way to it; of long sequences only the first item."""
    for element in data:
        yield (*above, (0, element.tag))
        if element.VR == "SQ" and element.value:
            yield from paths(element.value[0], (*above, (0, element.tag)))


def holder(data: Dataset, path: tuple[tuple[int, int], ...]) -> tuple[Dataset, int]:
    for _, tag in path[:-1]:
        data = data[tag].value[0]
    return data, path[-1][1]


@pytest.mark.parametrize("how", ["removed", "emptied", "replaced"])
def test_whatever_is_missing_or_empty_it_answers(made: tuple[Dataset, list[Dataset]], how: str) -> None:
    seg, images = made
    tried = 0
    for path in paths(seg):
        data = copy.deepcopy(seg)
        inside, tag = holder(data, path)
        element = inside[tag]
        if how == "removed":
            del inside[tag]
        elif how == "emptied":
            inside[tag] = DataElement(tag, element.VR, Sequence() if element.VR == "SQ" else None)
        elif element.VR in {"US", "UL"}:
            inside[tag] = DataElement(tag, element.VR, [1, 2, 3])
        elif element.VR == "SQ":
            inside[tag] = DataElement(tag, "SQ", Sequence([Dataset()]))
        else:
            continue
        for sources in (images, None, [Dataset()]):
            findings = diagnose(data, sources, SEEN)
            assert len(verdicts(findings, SEEN)) == 3
        tried += 1
    assert tried > 30


def label_map(images: list[Dataset]) -> Dataset:
    """A label map of two segments as highdicom writes it."""
    labels = np.zeros((len(images), images[0].Rows, images[0].Columns), np.uint8)
    labels[1, 2:5, 3:9], labels[2, 6:9, 3:9] = 1, 2
    segments = [
        hd.seg.SegmentDescription(
            number,
            f"s{number}",
            codes.SCT.Tissue,
            codes.SCT.Tissue,
            hd.seg.SegmentAlgorithmTypeValues.MANUAL,
            display_color=hd.color.CIELabColor(50, 10, 10),
        )
        for number in (1, 2)
    ]
    buffer = io.BytesIO()
    seg = hd.seg.Segmentation(images, labels, "LABELMAP", segments, hd.UID(), 9, hd.UID(), 1, "m", "m", "1", "1")
    seg.save_as(buffer)
    return dcmread(io.BytesIO(buffer.getvalue()))


def test_a_label_map_that_describes_its_background(made: tuple[Dataset, list[Dataset]]) -> None:
    """OHIF shifts the colours; dcmqi, on which 3D Slicer builds, reads it right. Without the item all is well."""
    images = [dcmread(io.BytesIO(to_bytes(image))) for image in made[1]]
    seg = label_map(images)
    findings = diagnose(seg, images, Seen(found=True))
    assert [f.check.code for f in findings if not f.ok] == ["seg_background"]
    assert [v.displays for v in verdicts(findings, Seen(found=True))] == ["no", "yes", "yes"]
    del seg.SegmentSequence[0]
    assert [f.check.code for f in diagnose(seg, images, Seen(found=True)) if not f.ok] == []
    seg.SegmentSequence[1].SegmentNumber = 3
    wrong = [f.check.code for f in diagnose(seg, images, Seen(found=True)) if not f.ok]
    assert wrong == ["seg_numbers", "seg_segment_empty", "seg_segment_undescribed"]


def test_a_data_set_without_anything_is_no_segmentation() -> None:
    (finding,) = diagnose(Dataset(), None, Seen())
    assert (finding.check.code, finding.level) == ("seg_class", Level.ERROR)
    assert {v.displays for v in verdicts([finding], Seen())} == {"no"}


def test_what_hides_a_segmentation_is_an_error() -> None:
    """And a check of the PACS judges no viewer."""
    assert all(check.level is Level.ERROR for check in SEG_CHECKS if check.hides)
    assert all(check.hides <= ALL for check in SEG_CHECKS)
    assert not any(check.hides for check in PACS_CHECKS)
    assert len(by_code((*SEG_CHECKS, *PACS_CHECKS))) == len(SEG_CHECKS) + len(PACS_CHECKS)
