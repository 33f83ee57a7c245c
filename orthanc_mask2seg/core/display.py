"""Will this segmentation display, in each viewer, and if not, why: pure, of values that were gathered elsewhere."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass

import numpy as np
from pydicom import Dataset
from pydicom.uid import (
    DeflatedExplicitVRLittleEndian,
    ExplicitVRLittleEndian,
    ImplicitVRLittleEndian,
    RLELossless,
    SegmentationStorage,
)

from orthanc_mask2seg.core.diagnosis import Finding, Level, Verdict, Viewer
from orthanc_mask2seg.core.display_checks import BY_CODE, LABEL_MAP_SEGMENTATION
from orthanc_mask2seg.core.display_frames import (
    BINARY,
    LABELMAP,
    Frame,
    frames_of,
    pixels_wrong,
    planes_by_reference,
    segments_with_voxels,
    syntax_of,
)
from orthanc_mask2seg.core.geometry import DIRECTION_TOLERANCE
from orthanc_mask2seg.model import Plane, PlaneGeometry

POSITION_TOLERANCE_MM = 1e-3
"""OHIF takes frames for those of a slice that lies within this."""

SPACING_TOLERANCE_MM = 1e-3

NAMED = 5
"""Frames or segments that the evidence names before it only counts them."""

NEEDED_SEQUENCES = frozenset(
    {
        "ReferencedSeriesSequence",
        "SegmentSequence",
        "SharedFunctionalGroupsSequence",
        "PerFrameFunctionalGroupsSequence",
    }
)
"""Without these in its metadata, a segmentation is nothing to OHIF."""

_SYNTAXES = frozenset({ExplicitVRLittleEndian, ImplicitVRLittleEndian, DeflatedExplicitVRLittleEndian, RLELossless})
_WINDOW = ("RescaleIntercept", "RescaleSlope", "WindowCenter", "WindowWidth")


@dataclass(frozen=True, slots=True, kw_only=True)
class Seen:
    """What the archive answered; None where it could not be asked.

    Attributes
    ----------
    instances
        Number of instances in the series.
    found
        A QIDO-RS search tells of the series.
    sequences
        Keywords of the sequences in the metadata of the series (WADO-RS).
    retrieved
        WADO-RS gives the instance byte for byte.
    frames
        HTTP status of the answer to a request for the first frame.
    """

    instances: int = 1
    found: bool | None = None
    sequences: frozenset[str] | None = None
    retrieved: bool | None = None
    frames: int | None = None


class _Findings(list[Finding]):
    """Findings in the making."""

    def note(self, code: str, ok: bool, *evidence: str) -> None:
        self.append(Finding(check=BY_CODE[code], ok=ok, evidence=evidence))

    def note_list(self, code: str, what: str, wrong: Sequence[object]) -> None:
        """Note a check that fails where anything is wrong."""
        self.note(code, not wrong, *([f"{what} {_listed(wrong)}"] if wrong else ()))


def _listed(items: Sequence[object]) -> str:
    shown = ", ".join(str(item) for item in items[:NAMED])
    return shown if len(items) <= NAMED else f"{shown} and {len(items) - NAMED} more"


def diagnose(seg: Dataset, sources: Sequence[Dataset] | None, seen: Seen) -> tuple[Finding, ...]:
    """Check a segmentation.

    Parameters
    ----------
    seg
        The whole instance, pixel data included.
    sources
        Headers of the series that it says it lies on; None where the archive does not hold that.
    seen
        What the archive answered.

    Returns
    -------
    tuple of Finding
        One per check that could be asked.
    """
    found = _Findings()
    is_seg = seg.get("SOPClassUID") in {SegmentationStorage, LABEL_MAP_SEGMENTATION}
    found.note("seg_class", is_seg)
    if not is_seg:
        return tuple(found)
    frames = frames_of(seg)
    _check_header(found, seg, seen)
    _check_segments(found, seg, frames)
    _check_frames(found, seg, frames)
    _check_source(found, seg, frames, sources)
    _check_answers(found, seg, seen)
    return tuple(found)


def verdicts(findings: Iterable[Finding], seen: Seen) -> tuple[Verdict, ...]:
    """Whether each viewer shows it, and why not."""
    findings = tuple(findings)
    return tuple(_verdict(viewer, findings, seen) for viewer in Viewer)


def _verdict(viewer: Viewer, findings: Sequence[Finding], seen: Seen) -> Verdict:
    because = tuple(f.check.code for f in findings if f.level is Level.ERROR and viewer in f.check.hides)
    if because:
        return Verdict(viewer=viewer, displays="no", because=because)
    unasked = viewer is not Viewer.SLICER and seen.found is None  # 3D Slicer also reads files
    return Verdict(viewer=viewer, displays="unknown" if unasked else "yes")


def _check_header(found: _Findings, seg: Dataset, seen: Seen) -> None:
    found.note("seg_modality", seg.get("Modality") == "SEG")
    found.note("seg_several_instances", seen.instances == 1, f"{seen.instances} instances")
    syntax = syntax_of(seg)
    found.note("seg_transfer_syntax", syntax in _SYNTAXES, syntax.name)
    references = seg.get("ReferencedSeriesSequence") or ()
    found.note("seg_reference_absent", bool(references))
    if references:
        found.note("seg_reference_several", len(references) == 1, f"{len(references)} series")
    found.note_list("seg_window", "there are", [keyword for keyword in _WINDOW if keyword in seg])
    if seg.get("SegmentationType") != LABELMAP:
        found.note("seg_overlap", seg.get("SegmentsOverlap") in {"YES", "NO"})


def _check_segments(found: _Findings, seg: Dataset, frames: Sequence[Frame]) -> None:
    described = seg.get("SegmentSequence") or ()
    numbers = [n if isinstance(n := item.get("SegmentNumber"), int) else None for item in described]
    if seg.get("SegmentationType") == LABELMAP:
        found.note("seg_background", 0 not in numbers)
        numbers = [number for number in numbers if number != 0]
    in_order = bool(numbers) and numbers == list(range(1, len(numbers) + 1))
    found.note("seg_numbers", in_order, *([] if in_order else [f"numbers {_listed(numbers)}"]))
    plain = [item.get("SegmentNumber") for item in described if not item.get("RecommendedDisplayCIELabValue")]
    found.note_list("seg_colour", "segments", plain)
    wrong = pixels_wrong(seg)
    found.note("seg_pixels_length", not wrong, *([wrong] if wrong else ()))
    if seg.get("SegmentationType") == BINARY and not wrong:
        pixels = int(seg.Rows) * int(seg.Columns)
        uneven = pixels % 8 != 0 and len(frames) > 1
        found.note("seg_bits_across_bytes", not uneven, f"{pixels} pixels, {len(frames)} frames")
    drawn = {frame.segment for frame in frames} - {None}
    if not wrong and frames:
        filled = segments_with_voxels(seg, frames)
        found.note_list("seg_segment_empty", "segments", [n for n in numbers if n and n not in filled])
        drawn |= filled - {0}
    strangers = sorted(number for number in drawn if number is not None and number not in numbers)
    found.note_list("seg_segment_undescribed", "segments", strangers)


def _check_frames(found: _Findings, seg: Dataset, frames: Sequence[Frame]) -> None:
    count = seg.get("NumberOfFrames")
    all_described = bool(frames) and count == len(frames)
    found.note("seg_frames_described", all_described, f"{count} frames, {len(frames)} described")
    found.note_list("seg_geometry_absent", "frames", [f.number for f in frames if f.geometry is None])
    found.note_list("seg_frame_unlinked", "frames", [f.number for f in frames if f.source is None])
    indices = len(seg.get("DimensionIndexSequence") or ())
    short = [f.number for f in frames if not indices or f.dimensions != indices]
    found.note_list("seg_dimensions", f"{indices} dimensions, not in the frames", short)


def _check_source(found: _Findings, seg: Dataset, frames: Sequence[Frame], sources: Sequence[Dataset] | None) -> None:
    if not seg.get("ReferencedSeriesSequence"):
        return
    uid = str(seg.ReferencedSeriesSequence[0].get("SeriesInstanceUID", ""))
    found.note("seg_source_absent", bool(sources), f"series {uid}")
    if not sources:
        return
    first = sources[0]
    found.note("seg_other_study", _same(seg, first, "StudyInstanceUID"))
    found.note("seg_other_patient", _same(seg, first, "PatientID"))
    spaces = [header.get("FrameOfReferenceUID") for header in sources]
    found.note("seg_frame_of_reference", seg.get("FrameOfReferenceUID") in spaces)
    held = {str(header.get("SOPInstanceUID")) for header in sources}
    found.note_list("seg_frame_source", "frames", [f.number for f in frames if f.source and f.source[0] not in held])
    _compare(found, frames, planes_by_reference(sources))


def _same(seg: Dataset, source: Dataset, keyword: str) -> bool:
    return str(seg.get(keyword) or "").strip() == str(source.get(keyword) or "").strip()


def _compare(found: _Findings, frames: Sequence[Frame], planes: Mapping[tuple[str, int | None], Plane]) -> None:
    """Compare each frame with the plane that it names or, where it names none, with the nearest."""
    pairs = []
    for frame in frames:
        plane = planes.get(frame.source) if frame.source else _nearest(frame, planes.values())
        if plane is not None and frame.geometry is not None:
            pairs.append((frame.number, frame.geometry, plane.geometry))
    if not pairs:
        return
    size = sorted({(b.rows, b.columns) for _, a, b in pairs if (a.rows, a.columns) != (b.rows, b.columns)})
    first = pairs[0][1]
    found.note_list("seg_size", f"{first.rows} x {first.columns}, source", [f"{r} x {c}" for r, c in size])
    for code, distance, limit in (
        ("seg_spacing", _spacing, SPACING_TOLERANCE_MM),
        ("seg_orientation", _turn, DIRECTION_TOLERANCE),
        ("seg_position", _shift, POSITION_TOLERANCE_MM),
    ):
        far = [(number, d) for number, a, b in pairs if (d := distance(a, b)) > limit]
        largest = max((d for _, d in far), default=0.0)
        evidence = [f"frames {_listed([n for n, _ in far])}; largest difference {largest:.4g}"] if far else []
        found.note(code, not far, *evidence)


def _nearest(frame: Frame, planes: Iterable[Plane]) -> Plane | None:
    if frame.geometry is None:
        return None
    geometry = frame.geometry
    return min(planes, key=lambda plane: _shift(geometry, plane.geometry), default=None)


def _shift(a: PlaneGeometry, b: PlaneGeometry) -> float:
    """Distance of the first voxels, mm."""
    return float(np.linalg.norm(np.subtract(a.position, b.position)))


def _turn(a: PlaneGeometry, b: PlaneGeometry) -> float:
    """Largest difference of a direction cosine."""
    return float(np.abs(np.subtract((a.row_cosines, a.column_cosines), (b.row_cosines, b.column_cosines))).max())


def _spacing(a: PlaneGeometry, b: PlaneGeometry) -> float:
    """Largest difference of the pixel spacing, mm."""
    return float(np.abs(np.subtract(a.pixel_spacing, b.pixel_spacing)).max())


def _check_answers(found: _Findings, seg: Dataset, seen: Seen) -> None:
    if seen.found is not None:
        found.note("seg_not_found", seen.found)
    if seen.sequences is not None:
        needed = sorted(keyword for keyword in NEEDED_SEQUENCES if keyword in seg and keyword not in seen.sequences)
        found.note_list("seg_metadata_poor", "missing are", needed)
    if seen.retrieved is not None:
        found.note("seg_not_retrieved", seen.retrieved)
    if seen.frames is not None:
        found.note("seg_frames_refused", seen.frames < 400, f"HTTP status {seen.frames}")
