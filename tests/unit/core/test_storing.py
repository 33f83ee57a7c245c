"""Bits, sign and kind of the pixels: compared where that is safe, refused where it is not."""

from __future__ import annotations

import io
from collections.abc import Callable

import numpy as np
import pytest
from pydicom import Dataset, dcmread, dcmwrite

from orthanc_mask2seg.config import Settings
from orthanc_mask2seg.core.pixels import Decoded, decode
from orthanc_mask2seg.model import Outcome, Result
from orthanc_mask2seg.pacs.memory import MemoryArchive
from orthanc_mask2seg.service import pipeline
from tests.builders import Grid, blob, image_series, mask_series, same_points, segments_of, set_pixels, to_bytes

GRID = Grid()
LABELS = blob(GRID)


def masks(stored: np.ndarray = LABELS) -> tuple[list[Dataset], list[Dataset]]:
    image = image_series(GRID)
    mask = mask_series(image, stored.astype(np.uint16), own_uids=True)
    return image, [dcmread(io.BytesIO(to_bytes(data))) for data in mask]


def convert(
    image: list[Dataset], mask: list[Dataset], settings: Settings | None = None
) -> tuple[Result, list[np.ndarray]]:
    archive = MemoryArchive()
    for data in (*image, *mask):
        archive.add(to_bytes(data))
    task = pipeline.Task(masks=(archive.find_series(str(mask[0].SeriesInstanceUID)),), named_as_mask=True)
    ended = pipeline.run(archive, task, settings or Settings())
    assert not isinstance(ended, pipeline.NotYet)
    outputs = ended[0].outputs
    if ended[0].outcome is not Outcome.CONVERTED or outputs[0].orthanc_id is None:
        return ended[0], []
    return ended[0], list(segments_of(archive.content(outputs[0].orthanc_id)).values())


def fewer_bits(mask: list[Dataset]) -> None:
    mask[1].BitsStored, mask[1].HighBit = 12, 11


def signed(mask: list[Dataset]) -> None:
    for data in mask[:3]:
        set_pixels(data, data.pixel_array.astype(np.int16))


@pytest.mark.parametrize("change", [fewer_bits, signed])
def test_bits_and_sign_may_differ_where_no_value_does(change: Callable[[list[Dataset]], None]) -> None:
    """0 and 1 are the same in 12 and 16 bits, signed or not."""
    image, mask = masks()
    change(mask)
    result, segments = convert(image, mask)
    assert result.outcome is Outcome.CONVERTED, result
    assert same_points(segments[0], GRID.points(LABELS)[1])


@pytest.mark.parametrize("change", [fewer_bits, signed])
def test_bits_and_sign_may_not_differ_where_a_value_would(change: Callable[[list[Dataset]], None]) -> None:
    """40000 is negative where it is signed, and has more than 12 bits; the slice that is cut off shows 0 and 3136."""
    image, mask = masks(LABELS.astype(np.uint16) * 40000)
    change(mask)
    result, _ = convert(image, mask)
    assert (result.outcome, result.reason) == (Outcome.REFUSED, "corrupt_pixel_data")


def test_bits_above_bits_stored_are_seen() -> None:
    """-1024 and -1023 read in 8 bits are 0 and 1: nothing of what was decoded tells, but the words do."""
    image, mask = masks()
    for data in mask:
        set_pixels(data, data.pixel_array.astype(np.int16) - 1024)
    mask[2].BitsStored, mask[2].HighBit, mask[2].PixelRepresentation = 8, 7, 0
    found = decode(to_bytes(mask[2]))
    assert isinstance(found, Decoded)
    assert found.frames.max() == 1
    assert found.word == 65536 - 1023
    result, _ = convert(image, mask)
    assert (result.outcome, result.reason) == (Outcome.REFUSED, "corrupt_pixel_data")


def test_one_label_in_two_ways_is_refused() -> None:
    """1 in 16 bits in some slices, 255 in 8 bits in the others."""
    image, mask = masks()
    for data in mask[:3]:
        set_pixels(data, (data.pixel_array * 255).astype(np.uint8))
    result, _ = convert(image, mask)
    assert (result.outcome, result.reason) == (Outcome.REFUSED, "unsupported_pixel_data")
    assert any("255" in text for text in result.evidence)


def test_the_same_values_in_two_ways_are_one() -> None:
    """8 and 16 bits."""
    image, mask = masks()
    for data in mask[:3]:
        set_pixels(data, data.pixel_array.astype(np.uint8))
    result, segments = convert(image, mask)
    assert result.outcome is Outcome.CONVERTED
    assert same_points(segments[0], GRID.points(LABELS)[1])


# ---------------------------------------------------------------- floating point


def floating(values: np.ndarray, *, double: bool = False) -> tuple[list[Dataset], list[Dataset]]:
    image, mask = masks()
    for data, plane in zip(mask, values, strict=True):
        for keyword in ("PixelData", "BitsStored", "HighBit", "PixelRepresentation"):
            del data[keyword]
        data.BitsAllocated = 64 if double else 32
        if double:
            data.DoubleFloatPixelData = plane.astype("<f8").tobytes()
        else:
            data.FloatPixelData = plane.astype("<f4").tobytes()
        data.RescaleSlope, data.RescaleIntercept = "1", "0"
    return image, mask


def probabilities() -> np.ndarray:
    """Ramps in the middle slices, nothing at all in the first, and 1 all over a part of the last."""
    rows, columns = np.mgrid[: GRID.rows, : GRID.columns]
    ramp = 1 / (1 + np.exp((np.hypot(rows - 10.3, columns - 9.1) - 5) / 1.5))
    values = np.stack([ramp] * GRID.planes)
    values[0] = 0
    values[-1] = ramp > 0.5
    return values.astype(np.float32)


def test_an_empty_slice_does_not_change_the_kind_of_a_map() -> None:
    """It is refused as a map, cut, or kept, but never corrupt."""
    values = probabilities()
    result, _ = convert(*floating(values))
    assert (result.outcome, result.reason) == (Outcome.REFUSED, "not_discrete")
    result, segments = convert(*floating(values), Settings(threshold=0.5))
    assert result.outcome is Outcome.CONVERTED
    assert same_points(segments[0], GRID.points((values >= 0.5).astype(np.uint8))[1])
    result, _ = convert(*floating(values), Settings(fractional=True))
    assert result.outcome is Outcome.CONVERTED
    distinct = len(np.unique(values))
    assert any(f"{distinct} distinct values" in text for text in result.evidence), result.evidence


@pytest.mark.parametrize(("low", "high"), [(0, 0.5), (0.25, 0.75), (-0.5, 0)])
@pytest.mark.parametrize("double", [False, True])
def test_two_fractions_are_a_mask(low: float, high: float, double: bool) -> None:
    """0 and 0.5 as 0 and 1."""
    result, segments = convert(*floating(np.where(LABELS > 0, high, low), double=double))
    assert result.outcome is Outcome.CONVERTED, result
    assert same_points(segments[0], GRID.points(LABELS)[1])


# ---------------------------------------------------------------- files without meta information


@pytest.mark.parametrize("implicit", [True, False])
def test_a_data_set_alone_is_decoded(implicit: bool) -> None:
    """Neither preamble nor file meta information, as in old exports."""
    _, mask = masks()
    data = mask[2]
    del data.file_meta
    data.preamble = None
    buffer = io.BytesIO()
    dcmwrite(buffer, data, implicit_vr=implicit, little_endian=True, enforce_file_format=False)
    found = decode(buffer.getvalue())
    assert isinstance(found, Decoded), found
    assert (found.frames[0] == LABELS[2]).all()


# ---------------------------------------------------------------- palettes


def test_the_rows_of_a_table_are_for_the_indices_of_a_palette(tmp_path) -> None:
    """1 is the liver, whatever its colour; and it is shown in that."""
    table = tmp_path / "table.csv"
    table.write_text("1,liver\n2,spleen\n", encoding="utf-8")
    labels = LABELS.copy()
    labels[:, 20:22, 3:6] = 2
    image, mask = masks(labels)
    for data, plane in zip(mask, labels, strict=True):
        set_pixels(data, plane.astype(np.uint8))
        data.PhotometricInterpretation = "PALETTE COLOR"
        for name, values in (("Red", (0, 255, 255)), ("Green", (0, 0, 0)), ("Blue", (0, 0, 0))):
            keyword = f"{name}PaletteColorLookupTable"
            setattr(data, f"{keyword}Descriptor", [3, 0, 16])
            data[f"{keyword}Descriptor"].VR = "US"
            setattr(data, f"{keyword}Data", (np.array(values, "<u2") * 257).tobytes())
    result, segments = convert(image, mask, Settings(label_table=str(table)))
    assert [s.label for s in result.segments] == ["liver", "spleen"]
    for found, number in zip(segments, (1, 2), strict=True):
        assert same_points(found, GRID.points(labels)[number])
