"""Files in every transfer syntax that can be written here, JPEG lossless by a small encoder of our own."""

from __future__ import annotations

import io
import struct
from collections.abc import Callable

import imagecodecs
import numpy as np
from pydicom import Dataset, dcmread
from pydicom.encaps import encapsulate
from pydicom.uid import (
    UID,
    DeflatedExplicitVRLittleEndian,
    ExplicitVRBigEndian,
    HTJ2KLossless,
    ImplicitVRLittleEndian,
    JPEG2000Lossless,
    JPEGLosslessSV1,
    JPEGLSLossless,
    RLELossless,
)

from tests.builders import to_bytes


def plain(data: Dataset) -> bytes:
    """Explicit VR Little Endian."""
    return to_bytes(data)


def _copy(data: Dataset) -> Dataset:
    return dcmread(io.BytesIO(to_bytes(data)))


def implicit(data: Dataset) -> bytes:
    """Implicit VR Little Endian."""
    return _written(_copy(data), ImplicitVRLittleEndian)


def deflated(data: Dataset) -> bytes:
    """Deflated Explicit VR Little Endian."""
    return _written(_copy(data), DeflatedExplicitVRLittleEndian)


def big_endian(data: Dataset) -> bytes:
    """Explicit VR Big Endian (retired): the bytes of each pixel are swapped here, pydicom does not."""
    data = _copy(data)
    for keyword, size in (("PixelData", int(data.BitsAllocated) // 8), ("FloatPixelData", 4)):
        if keyword in data and size > 1:
            raw = data[keyword].value
            swapped = np.frombuffer(raw, f"<u{size}").byteswap().tobytes()
            data[keyword].value = swapped
    if "PixelData" in data:
        data["PixelData"].VR = "OW" if int(data.BitsAllocated) > 8 else "OB"
    return _written(data, ExplicitVRBigEndian)


def _written(data: Dataset, syntax: UID) -> bytes:
    for element in data.iterall():
        element.value  # noqa: B018 - parses what was read, so that it can be written in another byte order
    data.file_meta.TransferSyntaxUID = syntax
    clean = Dataset()
    clean.update(data)
    clean.file_meta = data.file_meta
    buffer = io.BytesIO()
    clean.save_as(
        buffer,
        enforce_file_format=True,
        implicit_vr=syntax.is_implicit_VR,
        little_endian=syntax.is_little_endian,
    )
    return buffer.getvalue()


def _compressor(syntax: UID) -> Callable[[Dataset], bytes]:
    def encode(data: Dataset) -> bytes:
        data = _copy(data)
        data.compress(syntax, generate_instance_uid=False)
        return to_bytes(data)

    encode.__doc__ = syntax.name
    return encode


rle = _compressor(RLELossless)
jpeg_ls = _compressor(JPEGLSLossless)
jpeg_2000 = _compressor(JPEG2000Lossless)


def htj2k(data: Dataset) -> bytes:
    """High-Throughput JPEG 2000, lossless only."""
    data = _copy(data)
    frames = _frames(data)
    data.PixelData = encapsulate([imagecodecs.htj2k_encode(frame, reversible=True) for frame in frames])
    data["PixelData"].is_undefined_length = True
    data["PixelData"].VR = "OB"
    data.file_meta.TransferSyntaxUID = HTJ2KLossless
    return to_bytes(data)


def _frames(data: Dataset) -> np.ndarray:
    """Stored values of uncompressed pixels of one sample, shape (frames, rows, columns)."""
    kind = np.dtype(f"<{'i' if data.PixelRepresentation else 'u'}{int(data.BitsAllocated) // 8}")
    shape = int(data.get("NumberOfFrames") or 1), int(data.Rows), int(data.Columns)
    return np.frombuffer(data.PixelData, kind, count=int(np.prod(shape))).reshape(shape)


def jpeg_lossless(data: Dataset) -> bytes:
    """JPEG Lossless, first-order prediction (process 14, selection value 1)."""
    data = _copy(data)
    bits = int(data.BitsAllocated)
    frames = _frames(data).view(f"<u{bits // 8}")
    data.PixelData = encapsulate([_jpeg(frame, bits) for frame in frames])
    data["PixelData"].is_undefined_length = True
    data["PixelData"].VR = "OB"
    data.file_meta.TransferSyntaxUID = JPEGLosslessSV1
    return to_bytes(data)


_CODES = [(category, 4) for category in range(15)] + [(0b11110, 5), (0b111110, 6)]
"""Huffman code and its length for each category of differences, 0 to 16."""


def _jpeg(pixels: np.ndarray, bits: int) -> bytes:
    """A JPEG stream (T.81 annex H) of one component."""
    values = pixels.astype(np.int64)
    predicted = np.empty_like(values)
    predicted[:, 1:] = values[:, :-1]
    predicted[1:, 0] = values[:-1, 0]
    predicted[0, 0] = 1 << (bits - 1)
    differences = (values - predicted).ravel() & 0xFFFF
    differences[differences > 0x8000] -= 0x10000
    rows, columns = pixels.shape
    table = bytes([0, 0, 0, 15, 1, 1, *[0] * 10, *range(17)])
    return b"".join(
        (
            b"\xff\xd8",
            _segment(0xC3, struct.pack(">BHHB3B", bits, rows, columns, 1, 1, 0x11, 0)),
            _segment(0xC4, b"\0" + table),
            _segment(0xDA, bytes([1, 1, 0, 1, 0, 0])),
            _entropy(differences.tolist()),
            b"\xff\xd9",
        )
    )


def _segment(marker: int, body: bytes) -> bytes:
    return bytes([0xFF, marker]) + struct.pack(">H", len(body) + 2) + body


def _entropy(differences: list[int]) -> bytes:
    text = []
    for difference in differences:
        category = abs(difference).bit_length() if difference != 0x8000 else 16
        code, length = _CODES[category]
        text.append(format(code, f"0{length}b"))
        if 0 < category < 16:
            text.append(format(difference if difference > 0 else difference + (1 << category) - 1, f"0{category}b"))
    joined = "".join(text)
    joined += "1" * (-len(joined) % 8)
    return int(joined, 2).to_bytes(len(joined) // 8, "big").replace(b"\xff", b"\xff\0")


ENCODINGS: dict[str, Callable[[Dataset], bytes]] = {
    "explicit": plain,
    "implicit": implicit,
    "big_endian": big_endian,
    "deflated": deflated,
    "rle": rle,
    "jpeg_ls": jpeg_ls,
    "jpeg_2000": jpeg_2000,
    "jpeg_lossless": jpeg_lossless,
    "htj2k": htj2k,
}
"""Name to writer."""
