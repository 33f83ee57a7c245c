"""The demo: puts synthetic studies and their masks into the PACS, waits for the SEGs and checks every voxel."""

from __future__ import annotations

import statistics
import time
from collections.abc import Iterable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import asdict, dataclass
from datetime import datetime, timedelta
from io import BytesIO
from typing import Any, Protocol

import highdicom as hd
import numpy as np
from pydicom import Dataset
from rich.console import Console

from orthanc_mask2seg.config import Settings
from orthanc_mask2seg.demo.study import DemoStudy, make_study, study_instance_uid, to_bytes
from orthanc_mask2seg.errors import Mask2SegError, VerificationError
from orthanc_mask2seg.model import ArchiveKey, Series, Uid
from orthanc_mask2seg.pacs.port import Archive, Progress

POLL_SECONDS = 0.1
STORE_THREADS = 6
STUDIES_PER_SEED = 100
SEG = "SEG"


class DicomwebArchive(Archive, Protocol):
    """An archive that can also be asked by QIDO-RS."""

    def qido_finds(self, series_instance_uid: Uid) -> bool:
        """Whether a search for the series by QIDO-RS finds it."""


@dataclass(frozen=True, slots=True, kw_only=True)
class DemoStudyReport:
    """What became of one study.

    Attributes
    ----------
    latency_s
        Seconds from the last mask slice stored to the SEG found by QIDO-RS; None where the mask was there before.
    already_there
        An earlier run stored this study, and its SEG was there at once.
    voxels
        Voxels of the tumour, all of them equal in the SEG.
    """

    study_instance_uid: Uid
    mask_series_uid: Uid
    segmentation_series_uid: Uid
    orthanc_study_id: ArchiveKey
    latency_s: float | None
    already_there: bool
    voxels: int


@dataclass(frozen=True, slots=True, kw_only=True)
class DemoReport:
    """What became of all.

    Attributes
    ----------
    median_latency_s
        None where every mask was there before.
    addresses
        Where to look, for a browser.
    """

    studies: tuple[DemoStudyReport, ...]
    median_latency_s: float | None
    addresses: tuple[str, ...] = ()

    def document(self) -> dict[str, Any]:
        """JSON form."""
        return asdict(self)


def run(
    archive: DicomwebArchive,
    *,
    count: int = 3,
    seed: int,
    moment: datetime | None = None,
    progress: Progress,
    timeout_s: float,
    settings: Settings | None = None,
    slices: int = 48,
    size: int = 512,
) -> DemoReport:
    """Store synthetic studies with their masks, and wait for the SEG of each.

    Parameters
    ----------
    count
        Number of studies (1 to 100).
    seed
        Another seed stores other patients; the same one finds what an earlier run stored.
    moment
        Now, in the local time of the scanner: the studies were made shortly before. The clock's by default.
    progress
        Told of every instance stored and of the waiting.
    timeout_s
        Longest wait for one SEG, seconds.
    settings
        Says at which addresses people find the PACS and the status page.

    Raises
    ------
    Mask2SegError
        A SEG did not come in time.
    VerificationError
        A SEG does not hold the voxels of the mask.
    """
    if not 1 <= count <= STUDIES_PER_SEED:
        raise ValueError(f"count must be from 1 to {STUDIES_PER_SEED}")
    now = moment or datetime.now()  # noqa: DTZ005 - local time of the scanner
    reports = []
    for number in range(count):
        child = seed * STUDIES_PER_SEED + number
        begun = _begun(archive, study_instance_uid(child, slices, size))
        progress(f"study {number + 1}: making", number, count)
        when = begun or now - timedelta(minutes=15 * (number + 1))
        study = make_study(child, slices, size, moment=when)
        reports.append(_run_study(archive, study, f"study {number + 1}", progress, timeout_s))
    waits = [report.latency_s for report in reports if report.latency_s is not None]
    return DemoReport(
        studies=tuple(reports),
        median_latency_s=statistics.median(waits) if waits else None,
        addresses=_addresses(settings, reports) if settings else (),
    )


def show(report: DemoReport, console: Console) -> None:
    """Print what happened and where to look, for people."""
    for number, study in enumerate(report.studies, start=1):
        when = "was there already" if study.latency_s is None else f"after {study.latency_s:.1f} s"
        console.print(f"study {number}: segmentation {when}, all {study.voxels} voxels right", highlight=False)
    if report.median_latency_s is not None:
        wait = f"{report.median_latency_s:.1f} s"
        console.print(f"last mask slice stored to segmentation found by QIDO-RS: median {wait}", highlight=False)
    for address in report.addresses:
        console.print(f"open {address}", highlight=False, soft_wrap=True)


def _addresses(settings: Settings, reports: Iterable[DemoStudyReport]) -> tuple[str, ...]:
    explorer = f"{settings.orthanc_url.rstrip('/')}/app/explorer.html"
    found = [f"{explorer}#study?uuid={report.orthanc_study_id}" for report in reports]
    if settings.status_port:
        found.append(f"{settings.status_url(settings.status_port)}/")
    return tuple(found)


def _begun(archive: Archive, study_uid: Uid) -> datetime | None:
    """When a study began that an earlier run stored at least in part: its bytes must not differ from ours."""
    for series in archive.series_of_study(study_uid):
        if series.modality != SEG and (headers := archive.headers(series)):
            text = f"{headers[0].get('StudyDate', '')}{headers[0].get('StudyTime', '')}"
            return datetime.strptime(text[:14], "%Y%m%d%H%M%S")  # noqa: DTZ007 - local time of the scanner
    return None


def _run_study(
    archive: DicomwebArchive, study: DemoStudy, name: str, progress: Progress, timeout_s: float
) -> DemoStudyReport:
    """Store one study where it is not there yet, wait for its SEG and check it."""
    before = {series.series_instance_uid: len(series.instance_keys) for series in _series(archive, study)}
    complete = len(study.ct)
    there = before.get(study.mask_series_instance_uid, 0) >= complete
    for what, uid, images in (
        ("CT", study.ct_series_instance_uid, study.ct),
        ("mask", study.mask_series_instance_uid, study.mask),
    ):
        if before.get(uid, 0) < complete:
            _store(archive, images, f"{name}: storing the {what}", progress)
    begin = time.monotonic()
    at_once = there and _find_seg(archive, study) is not None
    series = _wait(archive, study, name, progress, timeout_s)
    latency = None if there else time.monotonic() - begin
    return DemoStudyReport(
        study_instance_uid=study.study_instance_uid,
        mask_series_uid=study.mask_series_instance_uid,
        segmentation_series_uid=series.series_instance_uid,
        orthanc_study_id=series.study_key,
        latency_s=latency,
        already_there=at_once,
        voxels=_verified(archive, series, study),
    )


def _series(archive: Archive, study: DemoStudy) -> tuple[Series, ...]:
    return archive.series_of_study(study.study_instance_uid)


def _store(archive: Archive, images: Iterable[Dataset], step: str, progress: Progress) -> None:
    """Store the images of one series, some at a time; all are there when this returns."""
    contents = [to_bytes(image) for image in images]
    with ThreadPoolExecutor(STORE_THREADS) as pool:
        for done, _ in enumerate(pool.map(archive.store, contents), start=1):
            progress(step, done, len(contents))


def _find_seg(archive: DicomwebArchive, study: DemoStudy) -> Series | None:
    """The SEG of a study that QIDO-RS finds as well."""
    for series in _series(archive, study):
        if series.modality == SEG and series.instance_keys and archive.qido_finds(series.series_instance_uid):
            return series
    return None


def _wait(archive: DicomwebArchive, study: DemoStudy, name: str, progress: Progress, timeout_s: float) -> Series:
    begin, told = time.monotonic(), -1
    while (series := _find_seg(archive, study)) is None:
        waited = time.monotonic() - begin
        if waited > timeout_s:
            raise Mask2SegError(
                f"no segmentation came within {timeout_s:g} s",
                hint="Does 'mask2seg serve' run, against the same PACS? See 'mask2seg explain "
                f"{study.mask_series_instance_uid}'.",
            )
        if int(waited) > told:
            told = int(waited)
            progress(f"{name}: waiting for the segmentation", told, int(timeout_s))
        time.sleep(POLL_SECONDS)
    return series


def _verified(archive: Archive, series: Series, study: DemoStudy) -> int:
    """Number of voxels of the tumour, after all of the SEG were compared with the labels in patient space."""
    found = segment_volume(archive.content(series.instance_keys[0]), study.ct)
    if not np.array_equal(found, study.labels):
        wrong = int(np.count_nonzero(found != study.labels))
        raise VerificationError(f"{wrong} voxels of the segmentation differ from the mask")
    return int(np.count_nonzero(found))


def segment_volume(content: bytes, ct: Iterable[Dataset]) -> np.ndarray[Any, np.dtype[np.bool_]]:
    """Read the first segment of a SEG with highdicom, placed by its own positions on the voxels of a CT.

    Parameters
    ----------
    content
        The SEG as a DICOM file.
    ct
        The images of the source series.

    Returns
    -------
    numpy.ndarray
        Boolean, indexed (plane, row, column), the plane nearest to the feet first.
    """
    seg = hd.seg.segread(BytesIO(content))
    planes = sorted(ct, key=lambda image: float(image.ImagePositionPatient[2]))
    target = hd.get_volume_from_series(planes)
    volume = seg.get_volume(segment_numbers=[1], combine_segments=True).match_geometry(target)
    array = volume.array > 0
    ascending = target.affine[2, 0] > 0
    return np.asarray(array if ascending else array[::-1], dtype=np.bool_)
