"""What a file may cost is judged before anything is unpacked: bombs are refused in little memory."""

from __future__ import annotations

import io
import struct
import subprocess
import sys

import numpy as np
import pytest
from pydicom import dcmread
from pydicom.encaps import encapsulate
from pydicom.uid import JPEG2000Lossless, JPEGLSLossless, RLELossless

from orthanc_mask2seg.core import bounds
from orthanc_mask2seg.core.bounds import TooLarge, check_pixels, read_dicom
from orthanc_mask2seg.core.pixels import Decoded, decode
from orthanc_mask2seg.errors import ArchiveRejected
from orthanc_mask2seg.model import Reason, Refusal
from orthanc_mask2seg.pacs.folder_scan import scan
from orthanc_mask2seg.pacs.part10 import header_of, identity_of
from tests.builders import Grid, study, to_bytes
from tests.hostile.files import bomb

MADE = study(Grid(rows=32, columns=32, planes=3))
OVER = (bounds.MAXIMUM_INFLATED_BYTES >> 20) + 1


def slice_of_a_mask():
    return dcmread(io.BytesIO(to_bytes(MADE.mask[1])))


@pytest.fixture(scope="module")
def deflated_bomb() -> bytes:
    made = bomb(slice_of_a_mask(), OVER)
    assert len(made) < 1 << 20
    return made


def test_a_deflated_bomb_is_refused_at_every_door(deflated_bomb: bytes, tmp_path) -> None:
    """Pixels, header, identity, folder; in how little memory, see below."""
    refused = decode(deflated_bomb)
    for read in (header_of, identity_of):
        with pytest.raises(ArchiveRejected, match="TooLarge"):
            read(deflated_bomb)
    (tmp_path / "bomb.dcm").write_bytes(deflated_bomb)
    [(_, why)] = scan(tmp_path).unreadable
    assert isinstance(refused, Refusal)
    assert refused.reason is Reason.TOO_LARGE
    assert "TooLarge" in why


def test_what_inflates_to_little_is_read() -> None:
    read = decode(bomb(slice_of_a_mask(), 1))
    assert isinstance(read, Decoded)
    assert (read.frames[0] == MADE.labels[1]).all()


def codestream_says(syntax, height: int, width: int):
    data = slice_of_a_mask()
    data.compress(syntax, generate_instance_uid=False)
    raw = bytearray(data.PixelData)
    if syntax == JPEG2000Lossless:
        at = raw.find(b"\xff\x4f\xff\x51") + 8
        raw[at : at + 8] = struct.pack(">LL", width, height)
    else:
        at = raw.find(b"\xff\xf7") + 5
        raw[at : at + 4] = struct.pack(">HH", height, width)
    data.PixelData = bytes(raw)
    return to_bytes(data)


@pytest.mark.parametrize("syntax", [JPEG2000Lossless, JPEGLSLossless], ids=["JPEG 2000", "JPEG-LS"])
def test_a_codestream_larger_than_its_header_is_not_decoded(syntax) -> None:
    refused = decode(codestream_says(syntax, 60_000, 60_000))
    assert isinstance(refused, Refusal)
    assert refused.reason is Reason.TOO_LARGE
    assert "3600000000 pixels in a compressed frame" in refused.evidence[1]
    assert isinstance(decode(codestream_says(syntax, 32, 32)), Decoded), "as it is, it is read"


def test_rle_that_repeats_for_ever() -> None:
    data = slice_of_a_mask()
    data.file_meta.TransferSyntaxUID = RLELossless
    data.PixelData = encapsulate([struct.pack("<16L", 2, 64, 64, *[0] * 13) + b"\x81\x01" * 100_000])
    data["PixelData"].is_undefined_length = True
    refused = decode(to_bytes(data))
    assert isinstance(refused, Refusal)
    assert refused.reason is Reason.CORRUPT_PIXEL_DATA
    noise = slice_of_a_mask()
    noise.PixelData = np.random.default_rng(0).integers(0, 65535, 32 * 32, np.uint16).tobytes()
    noise.compress(RLELossless, generate_instance_uid=False)
    assert isinstance(decode(to_bytes(noise)), Decoded), "what does not repeat grows, and is read"


@pytest.mark.parametrize(
    ("rows", "columns", "frames", "samples"),
    [(65535, 65535, 1, 1), (8193, 8192, 1, 1), (4096, 8192, 1, 3), (1, 1, 65537, 1), (512, 512, 2049, 1)],
)
def test_matrices_of_nobody(rows: int, columns: int, frames: int, samples: int) -> None:
    with pytest.raises(TooLarge):
        check_pixels(rows, columns, frames, samples)


@pytest.mark.parametrize(("rows", "columns", "frames"), [(8192, 8192, 1), (512, 512, 2048), (1, 1, 65536)])
def test_matrices_of_somebody(rows: int, columns: int, frames: int) -> None:
    check_pixels(rows, columns, frames, 1)


def test_a_great_many_items() -> None:
    content = to_bytes(MADE.mask[1])
    at = content.rindex(b"\xe0\x7f\x10\x00")
    items = b"\xfe\xff\x00\xe0\0\0\0\0" * (bounds.MAXIMUM_ITEMS + 1)
    sequence = struct.pack("<HH2sHL", 0x0008, 0x1140, b"SQ", 0, len(items)) + items
    refused = decode(content[:at] + sequence + content[at:])
    assert isinstance(refused, Refusal)
    assert refused.reason is Reason.TOO_LARGE
    with pytest.raises(TooLarge):
        read_dicom(content[:at] + sequence + content[at:])
    read_dicom(content, most_items=0)


def test_a_damaged_deflate_stream_is_invalid() -> None:
    """zlib's own error once came through."""
    content = bytearray(bomb(slice_of_a_mask(), 1))
    at = content.index(b"1.2.840.10008.1.2.1.99") + 400
    content[at : at + 40] = b"\x07" * 40
    refused = decode(bytes(content))
    assert isinstance(refused, Refusal)
    assert refused.reason is Reason.INVALID_DICOM


_LIMITED = """
import resource, sys
from orthanc_mask2seg.core.pixels import decode
content = sys.stdin.buffer.read()
decode(content[:1000])
size = int(open("/proc/self/statm").read().split()[0]) * resource.getpagesize()
resource.setrlimit(resource.RLIMIT_AS, (size + (192 << 20), size + (192 << 20)))
print(decode(content).reason)
"""


def test_under_a_limit_of_memory(deflated_bomb: bytes) -> None:
    """A bomb needs no more than 192 MB above what the program takes anyway."""
    done = subprocess.run([sys.executable, "-c", _LIMITED], input=deflated_bomb, capture_output=True, check=False)
    assert done.stdout.decode().strip() == "too_large", done.stderr.decode()[-500:]
