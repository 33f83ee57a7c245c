"""The segments as volumes on the grid of the source: `.seg.nrrd` as 3D Slicer writes it, and NIfTI.

Segments that overlap are put into layers. Both are written by libraries that know files only, so in a folder that is
gone afterwards.
"""

from __future__ import annotations

import re
import tempfile
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from orthanc_mask2seg.model import CodedConcept, Refusal, SegmentSpec
from orthanc_mask2seg.outputs.descriptions import rgb
from orthanc_mask2seg.outputs.grid import RegularGrid, regular_grid
from orthanc_mask2seg.outputs.regions import Region, Regions

TERMINOLOGY = "Segmentation category and type - DICOM master list"
"""Name of the context that Slicer shows codes of CID 7150 and 7151 in."""

SMALL = 255
"""Largest label of a byte; as long as all fit, files are half as large and half the work."""

Layers = list[npt.NDArray[np.uint8 | np.uint16]]


def write_nrrd(regions: Regions) -> bytes | Refusal:
    """A `.seg.nrrd` with names, colours, codes and layers; `irregular_slices` where the source is no volume."""
    grid = regular_grid(regions.source)
    if isinstance(grid, Refusal):
        return grid
    import slicerio  # noqa: PLC0415 - few runs write NRRD

    layers, places = layered(regions, grid)
    volumes = [layer.transpose(2, 1, 0) for layer in layers]
    segmentation = {
        "voxels": volumes[0] if len(volumes) == 1 else np.stack(volumes),
        "ijkToLPS": _affine(grid),
        "encoding": "gzip",
        "containedRepresentationNames": ["Binary labelmap"],
        "segments": [_segment(region, places[region.number]) for region in regions.regions],
    }
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "mask.seg.nrrd"
        slicerio.write_segmentation(str(path), segmentation, compression_level=1)
        return _finished(path.read_bytes())


def _ascii(text: str) -> str:
    """Text that the library can write; `_finished` brings back what it was."""
    return text if text.isascii() else f"(utf-8:{text.encode().hex()})"


def _finished(content: bytes) -> bytes:
    """The same with its text in UTF-8, as 3D Slicer has it, and without the comment that says when it was written."""
    header, _, voxels = content.partition(b"\n\n")
    header = re.sub(rb"\(utf-8:([0-9a-f]+)\)", lambda found: bytes.fromhex(found[1].decode()), header)
    lines = [line for line in header.split(b"\n") if not line.startswith(b"# on ")]
    return b"\n".join(lines) + b"\n\n" + voxels


def write_nifti(regions: Regions) -> bytes | Refusal:
    """Segment numbers as NIfTI, gzipped; with a fourth dimension where segments overlap."""
    grid = regular_grid(regions.source)
    if isinstance(grid, Refusal):
        return grid
    import SimpleITK as sitk  # noqa: N813, PLC0415

    layers, _ = layered(regions, grid, numbered=True)
    images = []
    for layer in layers:
        image = sitk.GetImageFromArray(layer)
        image.SetOrigin(grid.origin)
        image.SetSpacing(grid.spacing)
        image.SetDirection(grid.direction_matrix.ravel().tolist())
        images.append(image)
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "mask.nii.gz"
        sitk.WriteImage(images[0] if len(images) == 1 else sitk.JoinSeries(images), str(path))
        return path.read_bytes()


def layered(
    regions: Regions, grid: RegularGrid, *, numbered: bool = False
) -> tuple[Layers, dict[int, tuple[int, int]]]:
    """As few layers as hold all segments without an overlap.

    Parameters
    ----------
    numbered
        Voxels hold segment numbers; else labels from 1 on in each layer, as Slicer has them.

    Returns
    -------
    layers
        Shape (planes, rows, columns) each.
    places
        SegmentNumber to (layer, label).
    """
    kind = np.uint8 if max((r.number for r in regions.regions), default=0) <= SMALL else np.uint16
    layers: Layers = []
    labels: list[int] = []
    places: dict[int, tuple[int, int]] = {}
    for region in regions.regions:
        layer = next((i for i, held in enumerate(layers) if not held[region.box][region.voxels].any()), len(layers))
        if layer == len(layers):
            layers.append(np.zeros(grid.size[::-1], kind))
            labels.append(0)
        labels[layer] += 1
        label = region.number if numbered else labels[layer]
        layers[layer][region.box][region.voxels] = label
        places[region.number] = layer, label
    return layers, places


def _affine(grid: RegularGrid) -> npt.NDArray[np.float64]:
    affine = np.eye(4)
    affine[:3, :3] = grid.direction_matrix * np.array(grid.spacing)
    affine[:3, 3] = grid.origin
    return affine


def _segment(region: Region, place: tuple[int, int]) -> dict[str, Any]:
    spec = region.spec
    return {
        "id": f"Segment_{region.number}",
        "name": _ascii(" ".join(spec.label.split())),
        "color": [round(channel / 255, 6) for channel in rgb(spec.recommended_display_cielab)],
        "labelValue": place[1],
        "layer": place[0],
        "terminology": _terminology(spec),
    }


def _terminology(spec: SegmentSpec) -> dict[str, Any]:
    entry: dict[str, Any] = {
        "contextName": TERMINOLOGY,
        "category": _code(spec.category),
        "type": _code(spec.property_type),
    }
    if spec.property_type_modifiers:
        entry["typeModifier"] = _code(spec.property_type_modifiers[0])
    if spec.anatomic_regions:
        entry |= {
            "anatomicContextName": "Anatomic codes - DICOM master list",
            "anatomicRegion": _code(spec.anatomic_regions[0]),
        }
    return entry


def _code(concept: CodedConcept) -> list[str]:
    parts = (concept.scheme_designator, concept.value, concept.meaning)
    return [_ascii(re.sub(r"[~^|\s]+", " ", part)) for part in parts]  # what separates codes in Slicer's tags
