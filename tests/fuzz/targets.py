"""What is fuzzed: each target takes bytes and lets nothing escape but what its callers expect.

A target that raises has found a fault: every reader answers strange bytes with a `Refusal`, a `Mask2SegError` or an
answer without the bad part.
"""

from __future__ import annotations

import contextlib
import functools
import json
import os
import tempfile
from collections.abc import Callable
from pathlib import Path

from pydicom import Dataset

from orthanc_mask2seg import logs
from orthanc_mask2seg.config import Settings, load, of_document
from orthanc_mask2seg.core.census import Census
from orthanc_mask2seg.core.detect import mask_evidence
from orthanc_mask2seg.core.pixels import Decoded, decode
from orthanc_mask2seg.errors import ArchiveError, ConfigurationError, Mask2SegError
from orthanc_mask2seg.model import ArchiveKey, Refusal, Result, Series, Uid
from orthanc_mask2seg.pacs import dicomweb_index, dicomweb_json, orthanc_json
from orthanc_mask2seg.pacs.dicomweb_store import judge
from orthanc_mask2seg.pacs.folder_scan import scan
from orthanc_mask2seg.pacs.memory import MemoryArchive
from orthanc_mask2seg.pacs.multipart import parts_of
from orthanc_mask2seg.pacs.part10 import header_of, identity_of
from orthanc_mask2seg.service.pipeline import convert_series
from orthanc_mask2seg.service.reading import headers_of, open_stacks
from tests.builders import Grid, Study, study, to_bytes

logs.silence_libraries()

SHARED_MEMORY = next((str(path) for path in (Path("/dev/shm"),) if os.access(path, os.W_OK)), None)


def part10(data: bytes) -> None:
    """Who an instance is, and its header."""
    for read in (identity_of, header_of):
        try:
            read(data)
        except ArchiveError:
            continue


def pixels(data: bytes) -> None:
    """From a file to stored values."""
    decoded = decode(data)
    if isinstance(decoded, Decoded):
        census = Census()
        for frame in decoded.frames[:2]:
            census.add(frame)
        mask_evidence(decoded.header, census)


@functools.cache
def _folder() -> Path:
    return Path(tempfile.mkdtemp(prefix="mask2seg-fuzz-", dir=SHARED_MEMORY))


def folder(data: bytes) -> None:
    """A file in a folder that is scanned."""
    (_folder() / "IM0001.dcm").write_bytes(data)
    found = scan(_folder())
    assert len(found.files) + len(found.unreadable) <= 1


def multipart(data: bytes) -> None:
    """An answer of WADO-RS: the first line is its media type."""
    kind, _, body = data.partition(b"\n")
    try:
        parts_of(body, kind.decode("latin-1"))
    except ArchiveError:
        return


def dicomweb(data: bytes) -> None:
    """An answer of QIDO-RS, or the metadata of a series."""
    try:
        records = json.loads(data)
    except (ValueError, RecursionError):
        return
    if not isinstance(records, list) or not all(isinstance(record, dict) for record in records):
        return  # see DicomwebHttp.records
    for record in records:
        try:
            count = dicomweb_json.number(record, dicomweb_index.COUNT)
            dicomweb_index.series_of(record, (), count or 0)
        except ArchiveError:
            continue
        judge(200, record, "1.2.3")
    _look_at(dicomweb_json.headers_from(records))


def orthanc(data: bytes) -> None:
    """An answer of Orthanc: the tags of the instances of a series, and its record."""
    try:
        with orthanc_json.understood("a fuzzer"):
            document = json.loads(data)
            headers = orthanc_json.headers_from(document["instances"].values())
            orthanc_json.series_from(document["series"], Uid("1.2"))
    except ArchiveError:
        return
    _look_at(headers)


_SERIES = Series(
    key=ArchiveKey("k"), series_instance_uid=Uid("1.2.3"), study_instance_uid=Uid("1.2"), study_key=ArchiveKey("s")
)


class _Headers(MemoryArchive):
    def __init__(self, headers: tuple[Dataset, ...]) -> None:
        super().__init__()
        self._headers = headers

    def headers(self, series: Series) -> tuple[Dataset, ...]:  # noqa: ARG002
        return self._headers


def _look_at(headers: tuple[Dataset, ...]) -> None:
    """What the service does with the headers of a series."""
    read = headers_of(_Headers(headers), _SERIES)
    if not isinstance(read, Refusal):
        open_stacks(_SERIES, read, 0.05)


def configuration(data: bytes) -> None:
    """Orthanc's configuration file with our section, and the plugin's line."""
    path = _folder().with_suffix(".json")
    path.write_bytes(data)
    with contextlib.suppress(ConfigurationError):
        load(path, {})
    try:
        document = json.loads(data)
    except (ValueError, RecursionError):
        return
    if isinstance(document, dict):
        try:
            of_document(document, Path("/"), {})
        except ConfigurationError:
            return


@functools.cache
def _made() -> Study:
    return study(Grid(rows=32, columns=32, planes=3))


@functools.cache
def _contents() -> tuple[list[bytes], list[bytes]]:
    return [to_bytes(d) for d in _made().image], [to_bytes(d) for d in _made().mask]


def conversion(data: bytes) -> None:
    """The whole pipeline, with one slice of the mask, or of the image, replaced."""
    image, mask = (list(part) for part in _contents())
    (image if data[-1:] in {b"I", b"i"} else mask)[1] = data
    archive = MemoryArchive()
    for content in (*image, *mask):
        try:
            archive.add(content)
        except ArchiveError:
            continue
    uid = str(_made().mask[0].SeriesInstanceUID)
    try:
        ended = convert_series(archive, (archive.find_series(uid),), Settings(), named_as_mask=True)
    except Mask2SegError:
        return
    assert isinstance(ended, Result)
    assert ended.reason or ended.outputs


TARGETS: dict[str, Callable[[bytes], None]] = {
    target.__name__: target
    for target in (part10, pixels, folder, multipart, dicomweb, orthanc, configuration, conversion)
}
