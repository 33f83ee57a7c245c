"""What follows from a segmentation, against what it follows from: python -m bench.outputs [CASE].

`features_vs_engine`: all radiomics of a lesion of some 20 000 voxels through `outputs.radiomics`, against the engine
alone on what is prepared for it already. `outputs_vs_conversion`: contours, `.seg.nrrd` and picture of a case together,
against the conversion of its mask, both inside one run of the pipeline on a real Orthanc.
"""

from __future__ import annotations

import json
import math
import sys
import tempfile
import time
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
from zrad.image import Image
from zrad.preprocessing import IntensityMaskBuilder, IVHIntensityDiscretizer, Resegmenter, RoiData, TextureDiscretizer
from zrad.radiomics import Radiomics

from bench.cases import CASES, make
from bench.run import ratio_row, uploaded
from orthanc_mask2seg.config import Settings
from orthanc_mask2seg.core.encode import warm_up
from orthanc_mask2seg.model import Refusal
from orthanc_mask2seg.outputs import radiomics
from orthanc_mask2seg.outputs.grid import regular_grid
from orthanc_mask2seg.outputs.kinds import preset_of
from orthanc_mask2seg.outputs.prepared import prepare
from orthanc_mask2seg.pacs.orthanc_rest import OrthancArchive
from orthanc_mask2seg.service import pipeline
from tests.builders import Grid, study
from tests.orthanc_server import OrthancServer
from tests.unit.outputs.made import opened

BESIDE = ("seg", "rtstruct", "nrrd", "preview")
LESION = (28, 32, 28)
"""Planes, rows and columns; an ellipsoid of radii somewhat larger than half of them has 20 000 voxels."""

TURNS = 5
Array = npt.NDArray[Any]
DIRECTED = ("glcm", "glrlm")
PLAIN = ("glszm", "gldzm", "ngtdm", "ngldm")
OF_VALUES = ("morphology", "local_intensity", "intensity_statistics", "intensity_histogram", "ivh")
AGGREGATIONS = {
    ("3D", "AVER"): (*OF_VALUES, *DIRECTED, *PLAIN),
    ("3D", "MERG"): DIRECTED,
    ("2D", "AVER"): (*DIRECTED, *PLAIN),
    ("2D", "SLICE_MERG"): DIRECTED,
    ("2.5D", "DIR_MERG"): (*DIRECTED, *PLAIN),
    ("2.5D", "MERG"): DIRECTED,
}
"""Texture of matrices without directions does not depend on how directions are put together."""


def features() -> tuple[list[float], list[float], int]:
    """Seconds of ours and of the engine alone, in turns, and the voxels of the lesion."""
    shape = (40, 64, 64)
    index = np.indices(shape)
    radii = np.array(LESION) * 0.61
    labels = (sum(((i - n / 2) / r) ** 2 for i, n, r in zip(index, shape, radii, strict=True)) < 1).astype(np.uint8)
    grid = Grid(planes=shape[0], rows=shape[1], columns=shape[2])
    regions, values, _ = opened(study(grid, labels=labels))
    region, preset = regions.regions[0], preset_of("slicer")
    regular = regular_grid(regions.source)
    assert not isinstance(regular, Refusal)
    prepared = prepare(region, values, regular, preset)
    assert prepared is not None

    def ours() -> object:
        return radiomics.extract(region, regions.source, values, preset)

    def engine() -> object:
        return bare_engine(prepared.values, prepared.inside, prepared.spacing, preset.bin_width)

    seconds: tuple[list[float], list[float]] = [], []
    for turn in range(TURNS + 1):
        for way, found in zip((ours, engine), seconds, strict=True):
            start = time.perf_counter()
            way()
            if turn:  # the first imports
                found.append(time.perf_counter() - start)
    return *seconds, int(labels.sum())


def bare_engine(values: Array, inside: Array, spacing: Sequence[float], bin_width: float) -> dict[str, float]:
    """z-rad as its documentation has it, for the same features: each family once for each way to aggregate it."""

    def image(array: Array) -> Image:
        return Image(array=array.astype(np.float64), origin=(0.0, 0.0, 0.0), spacing=np.array(spacing),
                     direction=(1.0, 0.0, 0.0, 0.0, 1.0, 0.0, 0.0, 0.0, 1.0), shape=array.shape[::-1])  # fmt: skip

    data = IntensityMaskBuilder().apply(RoiData(image=image(values), morphological_mask=image(inside)))
    low = math.floor(float(values[inside].min()) / bin_width) * bin_width
    data = Resegmenter(intensity_range=(low, math.inf)).apply(data)
    data = TextureDiscretizer(bin_size=bin_width).apply(data)
    data = IVHIntensityDiscretizer("direct").apply(data)
    found: dict[str, float] = {}
    for (dimension, method), families in AGGREGATIONS.items():
        engine = Radiomics(aggr_dim=dimension, aggr_method=method)
        found |= dict(engine.extract_features(data, families=[*families]))
    return found


def beside(case: str, turns: int = TURNS) -> tuple[list[float], list[float]]:
    """Seconds of the outputs of a case, and of the conversion that they follow from."""
    made, outputs, conversion = make(CASES[case]), [], []
    warm_up()
    with tempfile.TemporaryDirectory(prefix="mask2seg-bench-") as name:
        server = OrthancServer(Path(name)).start()
        try:
            with uploaded(server, made) as site, OrthancArchive(site.url, *site.auth) as archive:
                mask = archive.find_series(site.mask_uid)
                for turn in range(turns + 1):
                    ended = pipeline.run(archive, pipeline.Task(masks=(mask,)), Settings(outputs=BESIDE))
                    assert isinstance(ended, tuple)
                    assert len(ended[0].outputs) == len(BESIDE), ended[0].evidence
                    seconds = dict(ended[0].seconds)
                    if turn:
                        outputs.append(seconds.pop("outputs"))
                        conversion.append(sum(seconds.values()))
                    for key in {str(output.orthanc_id) for output in ended[0].outputs if output.orthanc_id}:
                        server.delete(f"/instances/{key}")
        finally:
            server.stop()
    return outputs, conversion


def main() -> None:
    """Measure, and print one line of JSON for each."""
    case = sys.argv[1] if len(sys.argv) > 1 else "M"
    ours, engine, voxels = features()
    print(json.dumps(ratio_row("lesion", "features_vs_engine", ours, engine) | {"voxels": voxels}), flush=True)
    print(json.dumps(ratio_row(case, "outputs_vs_conversion", *beside(case))), flush=True)


if __name__ == "__main__":
    main()
