"""Encoding alone: a decoded mask in memory becomes a SEG file; python -m bench.encoding CASE REPEATS."""

from __future__ import annotations

import json
import sys
import tempfile
import time
from collections.abc import Callable
from datetime import UTC, datetime
from pathlib import Path

import highdicom
import SimpleITK
from pydicom import dcmread

from bench.cases import CASES, SPACING_MM, STEP_MM, Made, make
from bench.check import wrong_voxels
from bench.ways import encode_dcmqi, encode_highdicom
from orthanc_mask2seg.core.encode import Recipe, encode, warm_up
from orthanc_mask2seg.core.geometry import planes_of, stack
from orthanc_mask2seg.core.segments import TISSUE
from orthanc_mask2seg.model import ArchiveKey, ImageSeries, LabelVolume, Refusal, SegmentSpec, Series, Uid


def main() -> None:
    """Measure; prints {"us": [...], "highdicom": [...], "dcmqi": [...]} in seconds, all BINARY."""
    made, repeats = make(CASES[sys.argv[1]]), int(sys.argv[2])
    warm_up()
    with tempfile.TemporaryDirectory(prefix="mask2seg-bench-") as name:
        folder = Path(name)
        (folder / "image").mkdir()
        for number, content in enumerate(made.images()):
            (folder / "image" / f"{number}.dcm").write_bytes(content)
        headers = [dcmread(folder / "image" / f"{n}.dcm", stop_before_pixels=True) for n in range(made.case.planes)]
        ways = {
            "us": _us(made, headers),
            "highdicom": lambda: encode_highdicom(headers, made.labels, made.case.labels, highdicom),
            "dcmqi": lambda: _dcmqi(made, folder),
        }
        seconds: dict[str, list[float]] = {way: [] for way in ways}
        for turn in range(repeats):
            for way, run in ways.items():
                start = time.perf_counter()
                content = run()
                seconds[way].append(time.perf_counter() - start)
                if turn == 0 and wrong_voxels(content, made.labels):
                    raise SystemExit(f"{way}: wrong voxels")
    print(json.dumps(seconds))


def _us(made: Made, headers: list) -> Callable[[], bytes]:  # type: ignore[type-arg]
    planes = planes_of(headers)
    assert not isinstance(planes, Refusal)
    volume = stack(planes)
    assert not isinstance(volume, Refusal)
    series = Series(key=ArchiveKey(""), series_instance_uid=Uid(made.image_uid), study_instance_uid=Uid(made.study_uid))
    source = ImageSeries(series=series, headers=tuple(headers), volume=volume)
    specs = {
        n: SegmentSpec(label=f"organ {n}", category=TISSUE, property_type=TISSUE)
        for n in range(1, made.case.labels + 1)
    }
    recipe = Recipe(
        mask_series_uids=(Uid(made.mask_uid),),
        series_number=100,
        series_description="bench",
        content_creator_name="bench",
        moment=datetime(2026, 1, 2, tzinfo=UTC),
        mask_instances=tuple(
            (headers[0].SOPClassUID, Uid(made.instance_uid(made.mask_uid, n))) for n in range(made.case.planes)
        ),
    )

    def run() -> bytes:
        layer = LabelVolume(planes={i: p for i, p in enumerate(made.labels) if p.any()}, specs=specs)
        return encode(source, headers[0], [layer], recipe).content

    return run


def _dcmqi(made: Made, folder: Path) -> bytes:
    image = SimpleITK.GetImageFromArray(made.labels)
    image.SetSpacing((SPACING_MM, SPACING_MM, STEP_MM))
    image.SetOrigin((-204.8, -180.4, 0.0))
    SimpleITK.WriteImage(image, str(folder / "mask.nrrd"))
    return encode_dcmqi(folder / "mask.nrrd", folder / "image", folder, made.case.labels)


if __name__ == "__main__":
    main()
