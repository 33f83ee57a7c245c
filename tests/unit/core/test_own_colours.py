"""The colour that a mask gives its labels is the colour of their segments."""

from __future__ import annotations

import io
from pathlib import Path

import numpy as np
import pytest
from pydicom import Dataset, dcmread
from pydicom.datadict import tag_for_keyword

from orthanc_mask2seg.config import Settings
from orthanc_mask2seg.core.colours import cielab, of_palette
from orthanc_mask2seg.core.dcmqi_labels import parse
from orthanc_mask2seg.core.segments import Naming, describe
from orthanc_mask2seg.core.terms import vocabulary
from orthanc_mask2seg.pacs.memory import MemoryArchive
from orthanc_mask2seg.service import pipeline
from tests.builders import Grid, Study, blob, study

GREEN, ORANGE = "20c040", "ff8000"


def shown(item: Dataset) -> tuple[float, float, float]:
    """CIELab of a segment, from the 16 bit numbers that DICOM has (PS3.3 C.10.7.1.1)."""
    lightness, a, b = item.RecommendedDisplayCIELabValue
    return lightness / 655.35, a / 257 - 128, b / 257 - 128


def labels() -> np.ndarray:
    result = blob(Grid())
    result[:, 20:22, 3:6] = 2
    return result


def coloured(made: Study, colours: tuple[str, ...], *, palette: bool) -> Study:
    """The mask with the colours of its labels, 0 first."""
    table = np.array([[int(c[i : i + 2], 16) for i in (0, 2, 4)] for c in colours], np.uint8)
    for data, plane in zip(made.mask, made.labels, strict=True):
        data.BitsAllocated = data.BitsStored = 8
        data.HighBit, data.PixelRepresentation = 7, 0
        if palette:
            data.PhotometricInterpretation = "PALETTE COLOR"
            data.PixelData = plane.astype(np.uint8).tobytes()
            for channel, name in enumerate(("Red", "Green", "Blue")):
                keyword = f"{name}PaletteColorLookupTable"
                content = (table[:, channel].astype("<u2") * 257).tobytes()
                data.add_new(tag_for_keyword(f"{keyword}Descriptor"), "US", [len(colours), 0, 16])
                data.add_new(tag_for_keyword(f"{keyword}Data"), "OW", content)
        else:
            data.SamplesPerPixel, data.PhotometricInterpretation, data.PlanarConfiguration = 3, "RGB", 0
            data.PixelData = table[plane].tobytes()
        data["PixelData"].VR = "OW"
    return made


def segments_of(made: Study, settings: Settings | None = None) -> list[Dataset]:
    archive: MemoryArchive = made.archive()
    mask = archive.find_series(str(made.mask[0].SeriesInstanceUID))
    ended = pipeline.run(archive, pipeline.Task(masks=(mask,), named_as_mask=True), settings or Settings())
    assert not isinstance(ended, pipeline.NotYet)
    assert ended[0].outputs, ended[0]
    return list(dcmread(io.BytesIO(archive.content(ended[0].outputs[0].orthanc_id))).SegmentSequence)


@pytest.mark.parametrize("palette", [True, False], ids=["palette", "rgb"])
def test_the_masks_colours_are_kept(palette: bool) -> None:
    """In the encoded object, to the precision of the attribute."""
    made = coloured(study(labels=labels(), description="mask"), ("000000", ORANGE, GREEN), palette=palette)
    found = sorted(shown(item) for item in segments_of(made))
    for colour, expected in zip(found, sorted((cielab(GREEN), cielab(ORANGE))), strict=True):
        assert colour == pytest.approx(expected, abs=0.5)


@pytest.mark.parametrize("palette", [True, False], ids=["palette", "rgb"])
def test_the_masks_colour_goes_before_that_of_the_organ(palette: bool) -> None:
    """A green liver stays green."""
    (item,) = segments_of(coloured(study(description="liver mask"), ("000000", GREEN), palette=palette))
    assert item.SegmentedPropertyTypeCodeSequence[0].CodeMeaning == "Liver"
    assert shown(item) == pytest.approx(cielab(GREEN), abs=0.5)


@pytest.mark.parametrize("palette", [True, False], ids=["palette", "rgb"])
def test_white_on_black_is_no_choice_of_a_colour(palette: bool) -> None:
    """A screen's white would hide the image below."""
    (item,) = segments_of(coloured(study(description="liver mask"), ("000000", "ffffff"), palette=palette))
    liver = vocabulary().match("liver")
    assert liver is not None
    assert shown(item) == pytest.approx(liver.colour, abs=0.5)


def test_white_beside_red_is_one() -> None:
    """Bone and tumour."""
    made = coloured(study(labels=labels(), description="mask"), ("000000", "ffffff", "ff0000"), palette=False)
    assert max(shown(item)[0] for item in segments_of(made)) == pytest.approx(100, abs=0.5)


def test_a_sites_term_goes_before_the_mask(tmp_path: Path) -> None:
    """A table without values teaches names and their colours, whatever the numbers of the mask."""
    table = tmp_path / "terms.csv"
    table.write_text("name,code,colour\nHerd X,52988006,#0000ff\n")
    settings = Settings(label_table=str(table))
    (item,) = segments_of(coloured(study(description="Herd X"), ("000000", GREEN), palette=True), settings)
    assert item.SegmentedPropertyTypeCodeSequence[0].CodeMeaning == "Lesion"
    assert shown(item) == pytest.approx(cielab("0000ff"), abs=0.5)


DCMQI = """{"segmentAttributes": [[{"labelID": 1, "SegmentLabel": "liver", "recommendedDisplayRGBValue": [0, 0, 255],
"SegmentedPropertyCategoryCodeSequence": {"CodeValue": "91723000", "CodingSchemeDesignator": "SCT",
"CodeMeaning": "Anatomical Structure"}, "SegmentedPropertyTypeCodeSequence": {"CodeValue": "10200004",
"CodingSchemeDesignator": "SCT", "CodeMeaning": "Liver"}}]]}"""


@pytest.mark.parametrize(
    ("table", "own", "expected"),
    [
        ("value,name,colour\n1,liver,#0000ff", GREEN, cielab("0000ff")),
        ("value,name,colour\n1,Herd X,#0000ff", GREEN, cielab("0000ff")),
        ("value,name,colour\n1,Herd X,#0000ff", None, cielab("0000ff")),
        (DCMQI, GREEN, cielab("0000ff")),
        ("1,liver", GREEN, cielab(GREEN)),
        ("value,name,code\n1,liver,10200004", GREEN, cielab(GREEN)),
        ("1,Herd X", GREEN, cielab(GREEN)),
        ("1,Herd X", None, of_palette(3)),
    ],
)  # fmt: skip
def test_who_chooses_a_colour(table: str, own: str | None, expected: tuple[float, float, float]) -> None:
    """The site's table, the mask, the table of organs, the palette."""
    colours = {1: cielab(own)} if own else None
    (spec,) = describe([1], Dataset(), Naming(table=parse(table)), colours=colours, before=3)
    assert spec.recommended_display_cielab == expected
