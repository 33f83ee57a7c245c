"""What a file may cost: judged by its bytes and its headers, before anything is inflated, decoded or allocated.

A few kilobytes can promise gigabytes: a deflated data set, a frame whose codestream is larger than its Rows and
Columns, runs of RLE that repeat, sequences of a million empty items.
"""

from __future__ import annotations

import io
import re
import struct
import zlib
from collections.abc import Iterator
from typing import BinaryIO

from pydicom import FileDataset, dcmread
from pydicom.encaps import generate_frames
from pydicom.filereader import _read_file_meta_info, read_preamble
from pydicom.uid import DeflatedExplicitVRLittleEndian

MAXIMUM_INFLATED_BYTES = 1 << 29
"""Bytes of a deflated data set (PS3.5 section A.5) after it is inflated."""

MAXIMUM_ITEMS = 1 << 18
"""Items of sequences in a file, and fragments of its pixel data: each costs a kilobyte of memory."""

MAXIMUM_PIXELS = 1 << 29
"""Samples of one instance: 2000 slices of 512 x 512."""

MAXIMUM_FRAME_PIXELS = 1 << 26
"""Samples of one frame: 8192 x 8192."""

MAXIMUM_FRAMES = 1 << 16
"""Frames of one instance."""

RLE_SLACK = 1024
"""Bytes that a frame of RLE may be longer than twice its pixels: what does not repeat grows by 1 in 128."""

_DEFLATED = DeflatedExplicitVRLittleEndian.encode()
_ITEM = b"\xfe\xff\x00\xe0"
_BLOCK = 1 << 20
_JPEG_2000 = re.compile(rb"\xff\x4f\xff\x51.{4}(.{16})", re.DOTALL)
_JPEG = re.compile(rb"\xff[\xc0-\xc3\xc5-\xc7\xc9-\xcb\xcd-\xcf\xf7]\x00..(.{4})", re.DOTALL)


class TooLarge(ValueError):
    """A file would take more memory than any mask of a patient. The message holds numbers only."""


def read_dicom(content: bytes, *, stop_before_pixels: bool = False, most_items: int = MAXIMUM_ITEMS) -> FileDataset:
    """Read a DICOM file, with or without preamble, from anybody.

    Parameters
    ----------
    most_items
        Items of sequences that are read; a segmentation of many frames has many.

    Raises
    ------
    TooLarge
        It would take too much memory; nothing has been unpacked.
    Exception
        Whatever pydicom raises on a file that is not right, `zlib.error` included.
    """
    if _DEFLATED in content:
        check_inflated(io.BytesIO(content), most_items)
    if (items := content.count(_ITEM)) > most_items:
        raise TooLarge(f"{items} items of sequences; at most {most_items} are read")
    return dcmread(io.BytesIO(content), stop_before_pixels=stop_before_pixels, force=True)


def check_inflated(file: BinaryIO, most_items: int = MAXIMUM_ITEMS) -> None:
    """Raise `TooLarge` where a file holds a deflated data set that is; the position in the file stays as it is."""
    start = file.tell()
    read_preamble(file, force=True)
    if _read_file_meta_info(file).get("TransferSyntaxUID") == DeflatedExplicitVRLittleEndian:
        total = items = 0
        for block in _inflated(file):
            total, items = total + len(block), items + block.count(_ITEM)
            if total > MAXIMUM_INFLATED_BYTES:
                raise TooLarge(f"more than {MAXIMUM_INFLATED_BYTES} bytes after inflating, which is the most")
            if items > most_items:
                raise TooLarge(f"more than {most_items} items of sequences after inflating, which is the most")
    file.seek(start)


def _inflated(file: BinaryIO) -> Iterator[bytes]:
    inflater = zlib.decompressobj(-zlib.MAX_WBITS)
    data = file.read(_BLOCK)
    while data and not inflater.eof:
        yield inflater.decompress(data, _BLOCK)
        data = inflater.unconsumed_tail or file.read(_BLOCK)


def check_pixels(rows: int, columns: int, frames: int, samples: int) -> None:
    """Raise `TooLarge` where a header promises more than any mask has."""
    if rows * columns * samples > MAXIMUM_FRAME_PIXELS:
        raise TooLarge(f"{rows * columns * samples} pixels in a frame; at most {MAXIMUM_FRAME_PIXELS} are read")
    if frames > MAXIMUM_FRAMES:
        raise TooLarge(f"{frames} frames; at most {MAXIMUM_FRAMES} are read")
    pixels = rows * columns * frames * samples
    if pixels > MAXIMUM_PIXELS:
        raise TooLarge(f"{pixels} pixels; at most {MAXIMUM_PIXELS} are read")


def check_compressed(pixel_data: bytes, frames: int, frame_bytes: int, *, rle: bool) -> None:
    """Look into each compressed frame before it is decoded.

    Parameters
    ----------
    frame_bytes
        Bytes of a frame after decoding, by the header.

    Raises
    ------
    TooLarge
        A frame says of itself that it is larger than any is.
    ValueError
        Frames of RLE are longer than their pixels can be.
    """
    for frame in generate_frames(pixel_data, number_of_frames=frames):
        if rle and len(frame) > 2 * frame_bytes + RLE_SLACK:
            raise ValueError("RLE that is longer than its pixels")
        if not rle and (size := _declared(frame)) > MAXIMUM_FRAME_PIXELS:
            raise TooLarge(f"{size} pixels in a compressed frame; at most {MAXIMUM_FRAME_PIXELS} are read")


def _declared(frame: bytes) -> int:
    """Pixels that a codestream of JPEG, JPEG-LS (PS3.5 section A.4) or JPEG 2000 says it has: the most it says."""
    sizes = [0]
    for found in _JPEG_2000.finditer(frame):
        width, height, left, top = struct.unpack(">4L", found[1])
        sizes.append(max(width - left, 0) * max(height - top, 0))
    if frame.startswith(b"\xff\xd8"):
        sizes += [height * width for height, width in struct.iter_unpack(">HH", b"".join(_JPEG.findall(frame)))]
    return max(sizes)
