"""Files read by their likeness to the first are read as pydicom reads them, and what is not like it is noticed."""

from __future__ import annotations

import io

import numpy as np
import pytest
from pydicom import Dataset, dcmread

from orthanc_mask2seg.core import alike
from orthanc_mask2seg.core.alike import AlikeFiles
from orthanc_mask2seg.core.pixels import Decoded, decode
from orthanc_mask2seg.model import Refusal
from tests.builders import Grid, image_series, to_bytes


def files(values: np.ndarray, **tags: object) -> list[bytes]:
    return [to_bytes(d) for d in image_series(Grid(planes=len(values)), values=values, **tags)]


def values(kind: type, bits: int | None = None) -> np.ndarray:
    """All values of so many bits, or of all."""
    info = np.iinfo(kind)
    low, high = (int(info.min), int(info.max)) if bits is None else (-(2 ** (bits - 1)), 2 ** (bits - 1) - 1)
    if bits is not None and info.min == 0:
        low, high = 0, 2**bits - 1
    return np.random.default_rng(3).integers(low, high, (3, 24, 20), kind, endpoint=True)


def without_pydicom(contents: list[bytes], monkeypatch: pytest.MonkeyPatch) -> list[Decoded | Refusal]:
    """Decode all; only the first by `pixels.decode`, or an assertion fails."""
    reader = AlikeFiles()
    first = reader.decode(contents[0])
    with monkeypatch.context() as patch:
        patch.setattr(alike, "decode", lambda _: pytest.fail("it was not taken as alike"))
        return [first, *(reader.decode(content) for content in contents[1:])]


@pytest.mark.parametrize("kind", [np.uint8, np.int8, np.uint16, np.int16, np.uint32, np.int32])
@pytest.mark.parametrize("stored", [None, 5])
def test_what_is_alike_is_read_as_pydicom_reads_it(
    kind: type, stored: int | None, monkeypatch: pytest.MonkeyPatch
) -> None:
    contents = files(values(kind, stored), **({"BitsStored": stored, "HighBit": stored - 1} if stored else {}))
    for content, found in zip(contents, without_pydicom(contents, monkeypatch), strict=True):
        expected = decode(content)
        assert isinstance(expected, Decoded)
        assert isinstance(found, Decoded)
        np.testing.assert_array_equal(found.frames, expected.frames)
        assert found.frames.dtype == expected.frames.dtype
        assert found.word == expected.word
        assert (found.coloured, found.lossy, found.floating) == (False, False, False)
        for element in expected.header:
            if element.tag.group == 0x0028 or element.keyword in {"SOPInstanceUID", "SOPClassUID"}:
                assert found.header[element.tag] == element


@pytest.mark.parametrize("kind", [np.uint8, np.int8, np.uint16, np.int16])
def test_bits_above_bits_stored_are_read_by_pydicom(kind: type) -> None:
    """Where the first slice has none of them."""
    contents = files(np.concatenate([values(kind, 5)[:1], values(kind)]), BitsStored=5, HighBit=4)
    reader = AlikeFiles()
    for content in contents:
        found, expected = reader.decode(content), decode(content)
        assert isinstance(found, Decoded)
        assert isinstance(expected, Decoded)
        np.testing.assert_array_equal(found.frames, expected.frames)
        assert found.word == expected.word


def changed(content: bytes, name: str, value: object) -> bytes:
    data = dcmread(io.BytesIO(content))
    setattr(data, name, value)
    return to_bytes(data)


@pytest.mark.parametrize(
    ("name", "value"),
    [("RescaleSlope", "2"), ("PhotometricInterpretation", "MONOCHROME1"), ("BitsStored", 12), ("NumberOfFrames", 1),
     ("PixelSpacing", [2, 2])],
)  # fmt: skip
def test_what_is_described_otherwise_is_read_by_pydicom(name: str, value: object) -> None:
    contents = files(values(np.uint16))
    reader = AlikeFiles()
    reader.decode(contents[0])
    other = changed(contents[1], name, value)
    found, expected = reader.decode(other), decode(other)
    assert isinstance(found, Decoded)
    assert isinstance(expected, Decoded)
    assert found.header == expected.header
    np.testing.assert_array_equal(found.frames, expected.frames)


def test_damage_is_refused_as_ever() -> None:
    contents = files(values(np.uint16))
    reader = AlikeFiles()
    assert isinstance(reader.decode(contents[0]), Decoded)
    position = contents[1].index(b"-120.5\\")
    for bad in (
        contents[1][:position] + b"-12x.5" + contents[1][position + 6 :],
        contents[1][:-10],
        contents[1][:200],
        b"",
    ):
        found, expected = reader.decode(bad), decode(bad)
        if isinstance(expected, Refusal):
            assert found == expected
        else:  # pydicom makes the best of it
            assert isinstance(found, Decoded)
            assert found.header == expected.header
            np.testing.assert_array_equal(found.frames, expected.frames)


def test_a_series_of_other_syntaxes_is_read() -> None:
    """Implicit VR after explicit, and the other way round."""
    contents = files(values(np.int16))
    data: Dataset = dcmread(io.BytesIO(contents[1]))
    data.file_meta.TransferSyntaxUID = "1.2.840.10008.1.2"
    target = io.BytesIO()
    data.save_as(target, implicit_vr=True, little_endian=True)
    for order in ([contents[0], target.getvalue()], [target.getvalue(), contents[0]]):
        reader = AlikeFiles()
        for content in order:
            found, expected = reader.decode(content), decode(content)
            assert isinstance(found, Decoded)
            assert isinstance(expected, Decoded)
            np.testing.assert_array_equal(found.frames, expected.frames)
