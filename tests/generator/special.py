"""Cases that are more than one image series and one mask series on its grid."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence

import numpy as np
from pydicom import Dataset

from tests.builders import Grid, blob, image_series, mask_series
from tests.generator.containers import dcmread_copy, enhanced
from tests.generator.encodings import plain
from tests.generator.matrix import Case, Made, places, series_like
from tests.generator.scenes import axes, labels_on
from tests.generator.styles import Ending, refused


def _uid(series: Sequence[Dataset]) -> str:
    return str(series[0].SeriesInstanceUID)


def _made(image: list[Dataset], mask: list[Dataset], *others: list[Dataset], **more: object) -> Made:
    files = [plain(data) for series in (image, mask, *others) for data in series]
    more.setdefault("mask_uids", (_uid(mask),))
    more.setdefault("source_uid", _uid(image) if image else "")
    return Made(files=files, **more)  # type: ignore[arg-type]


def _on(image: list[Dataset], labels: np.ndarray, **tags: object) -> list[Dataset]:
    return mask_series(image, (labels > 0).astype(np.uint16), own_uids=True, **tags)  # type: ignore[arg-type]


def _exact(grid: Grid, labels: np.ndarray) -> list[np.ndarray]:
    return [places(grid, labels > 0)]


def _moved(by: Sequence[float], only: int | None = None) -> Callable[[list[Dataset]], None]:
    def move(series: list[Dataset]) -> None:
        for number, data in enumerate(series):
            if only is None or number == only:
                now = np.array(data.ImagePositionPatient, float) + np.array(by)
                data.ImagePositionPatient = [f"{v:.6f}" for v in now]

    return move


def misplaced(by: Sequence[float], only: int | None = None, reason: str = "geometry_mismatch") -> Made:
    """The whole mask, or one slice of it, says that it lies elsewhere."""
    grid = Grid()
    image, labels = image_series(grid), labels_on(grid)
    mask = _on(image, labels)
    _moved(by, only)(mask)
    return _made(image, mask, ending=refused(reason))


def not_parallel(angle: float) -> Made:
    """The mask's planes are turned against the images'."""
    grid = Grid()
    image, labels = image_series(grid), labels_on(grid)
    mask = _on(image, labels)
    turned = axes(angle, 0.0, 0.0)
    for data, plane in zip(mask, range(grid.planes), strict=True):
        data.ImageOrientationPatient = [f"{v:.9f}" for axis in turned for v in axis]
        position = np.array(grid.origin) + plane * grid.step_mm * np.cross(*turned)
        data.ImagePositionPatient = [f"{v:.6f}" for v in position]
    return _made(image, mask, ending=refused("geometry_mismatch"))


def extra_slices(*missing: int) -> Made:
    """Slices of the mask that no slice of the source carries."""
    grid = Grid()
    image, labels = image_series(grid), labels_on(grid)
    mask = _on(image, labels)
    kept = [data for number, data in enumerate(image) if number not in missing]
    return _made(kept, mask, ending=refused("geometry_mismatch"))


def duplicates(where: str) -> Made:
    """Two slices at one place, told apart by nothing."""
    grid = Grid()
    image, labels = image_series(grid), labels_on(grid)
    mask = _on(image, labels)
    series = mask if where == "mask" else image
    twin = dcmread_copy(series[2])
    twin.SOPInstanceUID = twin.file_meta.MediaStorageSOPInstanceUID = "1.2.3.4.5.6"
    if where == "mask":
        return _made(image, [*mask, twin], ending=refused("duplicate_positions"))
    return _made([*image, twin], mask, ending=refused("duplicate_positions"))


def other_grid(mask_grid: Grid, grid: Grid | None = None, ending: Ending | None = None, **more: object) -> Made:
    """The mask lies on a grid of its own."""
    image = image_series(grid or Grid(rows=40, columns=36, planes=12, spacing=(0.8, 0.7)))
    model = image_series(mask_grid)
    labels = blob(mask_grid, centre=(0.5, 0.5, 0.5)) if "labels" not in more else more.pop("labels")
    mask = _on(model, labels)  # type: ignore[arg-type]
    return _made(image, mask, ending=ending, resampled=ending is None, **more)


def phases(count: int = 3, mask_phase: int | None = 1, keyword: str = "TemporalPositionIdentifier") -> Made:
    """A source of several phases; the mask is a copy of one of them, or tells nothing of its phase."""
    grid = Grid()
    labels = labels_on(grid)
    image: list[Dataset] = []
    for phase in range(count):
        part = image_series(grid, modality="MR")
        for plane, data in enumerate(part):
            data.SOPInstanceUID = data.file_meta.MediaStorageSOPInstanceUID = f"1.2.3.{phase}.{plane}"
            setattr(
                data,
                keyword,
                float(phase + 1) if keyword in {"DiffusionBValue", "EchoTime", "TriggerTime"} else phase + 1,
            )
            data.AcquisitionTime = f"10{phase:02}00"
            data.InstanceNumber = phase * grid.planes + plane + 1
        image += part
    chosen = image[(mask_phase or 0) * grid.planes :][: grid.planes]
    mask = _on(chosen, labels)
    if mask_phase is None:
        for data in mask:
            del data[keyword], data["AcquisitionTime"]
        return _made(image, mask, ending=refused("ambiguous_source"))
    instances = frozenset(str(data.SOPInstanceUID) for data in chosen)
    return _made(image, mask, segments=_exact(grid, labels), instances=instances)


def three_recons(shift_mm: Sequence[float] = (12.3, -7.1, 1.635), order: int = 0) -> Made:
    """Three series of one matrix: the mask's own, a shifted one, a thicker one."""
    grid = Grid()
    image, labels = image_series(grid), labels_on(grid)
    shifted = series_like(image, 20 if order else 90)
    _moved(shift_mm)(shifted)
    thicker = series_like(image[::2], 30)
    return _made(image, _on(image, labels), shifted, thicker, segments=_exact(grid, labels))


def hybrid(which: str) -> Made:
    """CT, MR and PET of one frame of reference; the mask lies on one of them."""
    grids = {
        "CT": Grid(),
        "MR": Grid(rows=32, columns=30, planes=9, spacing=(0.6, 0.6), step_mm=2.0),
        "PT": Grid(rows=12, columns=14, planes=5, spacing=(4.0, 4.0), step_mm=5.0),
    }
    series = {}
    for number, (modality, grid) in enumerate(grids.items()):
        one = image_series(grid, modality=modality)
        for plane, data in enumerate(one):
            data.SOPInstanceUID = data.file_meta.MediaStorageSOPInstanceUID = f"1.2.3.{number}.{plane}"
            data.SeriesDescription = f"{modality} series"
        series[modality] = one
    labels = labels_on(grids[which])
    mask = _on(series[which], labels)
    others = [one for modality, one in series.items() if modality != which]
    return _made(series[which], mask, *others, segments=_exact(grids[which], labels))


def kernels(*, told: bool) -> Made:
    """Two reconstructions in the same place: the mask carries the kernel of one, or of none."""
    grid = Grid()
    image, labels = image_series(grid, ConvolutionKernel="B30f"), labels_on(grid)
    other = series_like(image, 9, ConvolutionKernel="B70f")
    mask = _on(image, labels)
    if told:
        return _made(image, mask, other, segments=_exact(grid, labels))
    for data in mask:
        del data.ConvolutionKernel
    return _made(image, mask, other, ending=refused("ambiguous_source"))


def multi_frame_source(modality: str, *, both: bool = False, order: Sequence[int] = ()) -> Made:
    """The images are one enhanced multi-frame instance; the mask is, too, or is not."""
    grid = Grid(axes=axes(0.2, 0.1, 0.0))
    slices, labels = image_series(grid, modality=modality), labels_on(grid)
    mask = _on(slices, labels)
    image = [enhanced(slices, order=order)]
    if both:
        mask = [enhanced(mask)]
    return _made(image, mask, segments=_exact(grid, labels))


def _several(count: int, *, apart: bool = False) -> tuple[Grid, list[Dataset], list[np.ndarray], list[list[Dataset]]]:
    grid = Grid()
    image = image_series(grid)
    parts = [blob(grid, centre=(0.5, 0.35 + 0.1 * i, 0.6 - (0.02 * i if apart else 0))) for i in range(count)]
    masks = [
        mask_series(image, part.astype(np.uint16), own_uids=True, description=f"organ {i} mask", number=50 + i)
        for i, part in enumerate(parts)
    ]
    return grid, image, parts, masks


def merged(how: str) -> Made:
    """Several mask series, overlapping: one SEG of all."""
    grid, image, parts, masks = _several(3)
    segments = [places(grid, part > 0) for part in parts]
    if how == "together":
        uids = tuple(_uid(mask) for mask in masks)
        return _made(image, masks[0], *masks[1:], segments=segments, mask_uids=uids)
    order = sorted(range(3), key=lambda i: _uid(masks[i]))
    return _made(
        image,
        masks[0],
        *masks[1:],
        segments=[segments[i] for i in order],
        settings={"merge": "study"},
    )


def one_of_several() -> Made:
    """Several mask series: one alone becomes a SEG of its own."""
    grid, image, parts, masks = _several(3)
    return _made(image, masks[1], masks[0], masks[2], segments=[places(grid, parts[1] > 0)])


def merged_with_empty() -> Made:
    """An empty mask beside one that is not."""
    grid, image, parts, masks = _several(2)
    for data in masks[1]:
        data.PixelData = bytes(len(data.PixelData))
    return _made(
        image, masks[0], masks[1], segments=[places(grid, parts[0] > 0)], mask_uids=(_uid(masks[0]), _uid(masks[1]))
    )


def study_of_its_own(*, named: bool, patient: str = "P0", move: float = 0.0) -> Made:
    """The mask lies in another study; a person names the source, or nobody does."""
    grid = Grid()
    image, labels = image_series(grid), labels_on(grid)
    mask = _on(image, labels, StudyInstanceUID="1.2.3.99", PatientID=patient)
    _moved((0, 0, move))(mask)
    if not named:
        return _made(image, mask, ending=refused("no_source_in_study"))
    more: dict[str, object] = {"named_sources": (_uid(image),)}
    if patient not in {"P0", ""}:
        return _made(image, mask, ending=refused("patient_mismatch"), **more)
    if move:
        return _made(image, mask, ending=refused("geometry_mismatch"), **more)
    return _made(image, mask, segments=_exact(grid, labels), **more)


def scout(where: str) -> Made:
    """A scout of another direction is part of the image series, or of the mask."""
    grid = Grid()
    image, labels = image_series(grid), labels_on(grid)
    mask = _on(image, labels)
    series = image if where == "source" else mask
    one = dcmread_copy(series[0])
    one.SOPInstanceUID = one.file_meta.MediaStorageSOPInstanceUID = "1.2.3.4.5.7"
    one.ImageType, one.InstanceNumber = ["ORIGINAL", "PRIMARY", "LOCALIZER"], 0
    one.ImageOrientationPatient = [0, 1, 0, 0, 0, -1]
    if where == "source":
        return _made([one, *image], mask, segments=_exact(grid, labels))
    return _made(image, [*mask, one], ending=refused("geometry_mismatch"))


def alone() -> Made:
    """A mask without any image."""
    grid = Grid()
    image, labels = image_series(grid), labels_on(grid)
    mask = _on(image, labels)
    return _made([], mask, ending=refused("no_source_in_study"))


def truncated(cut: int) -> Made:
    """Pixels that end too early, or go on for too long."""
    grid = Grid()
    image, labels = image_series(grid), labels_on(grid)
    mask = _on(image, labels)
    mask[3].PixelData = mask[3].PixelData[:-cut] if cut > 0 else mask[3].PixelData * 2
    return _made(image, mask, ending=refused("corrupt_pixel_data"))


def too_large() -> Made:
    """A matrix that no image of a patient has."""
    grid = Grid()
    image, labels = image_series(grid), labels_on(grid)
    mask = _on(image, labels)
    for data in mask:
        data.Rows = data.Columns = 65535
    return _made(image, mask, ending=refused("too_large"))


def without_pixels() -> Made:
    """Headers alone."""
    grid = Grid()
    image, labels = image_series(grid), labels_on(grid)
    mask = _on(image, labels)
    for data in mask:
        del data.PixelData
    return _made(image, mask, ending=refused("unsupported_pixel_data"))


def phantom(*, named: bool) -> Made:
    """A real CT that holds only 0 and 1 is the image, also where somebody asks for it."""
    grid = Grid()
    values = (np.random.default_rng(0).random((grid.planes, grid.rows, grid.columns)) < 0.5).astype(np.uint16)
    image, labels = image_series(grid, values=values), labels_on(grid)
    mask = _on(image, labels)
    if named:
        return _made(image, mask, segments=_exact(grid, labels))
    return _made(mask, image, ending=("skipped", "not_a_mask"), automatic="only")


def image_itself() -> Made:
    """An ordinary image, named as a mask by mistake."""
    grid = Grid()
    image, labels = image_series(grid), labels_on(grid)
    mask = _on(image, labels)
    return _made(mask, image, ending=refused("not_discrete"), automatic=("skipped", "not_a_mask"))


FINE = Grid(rows=40, columns=36, planes=12, spacing=(0.8, 0.7))
"""Images of the cases with a mask on another grid: 32 x 25.2 x 30 mm."""


def _resampled() -> Iterable[Case]:
    coarse = Grid(rows=20, columns=18, planes=12, spacing=(1.6, 1.4), origin=(-120.15, -94.85, 40.0))
    finer = Grid(rows=80, columns=72, planes=12, spacing=(0.4, 0.35), origin=(-120.675, -95.45, 40.0))
    isotropic = Grid(rows=22, columns=17, planes=20, spacing=(1.5, 1.5), step_mm=1.5, origin=(-120.4, -95.1, 39.9))
    thicker = Grid(rows=40, columns=36, planes=6, spacing=(0.8, 0.7), step_mm=5.0, origin=(-120.5, -95.25, 41.25))
    slab = Grid(rows=40, columns=36, planes=8, spacing=(0.8, 0.7), step_mm=1.25, origin=(-120.5, -95.25, 50.0))
    yield Case("other grid: twice as coarse", lambda: other_grid(coarse))
    yield Case("other grid: twice as fine", lambda: other_grid(finer))
    yield Case("other grid: 1.5 mm isotropic", lambda: other_grid(isotropic, settings={"maximum_volume_change": 0.3}))
    yield Case("other grid: thicker slices", lambda: other_grid(thicker))
    yield Case("other grid: thinner slices", lambda: other_grid(slab, settings={"maximum_volume_change": 0.3}))
    yield Case(
        "other grid: not wanted",
        lambda: other_grid(coarse, ending=refused("geometry_mismatch"), settings={"resample": "refuse"}),
    )
    tiny = np.zeros((12, 80, 72), np.uint8)
    tiny[6, 40, 36] = 1
    yield Case(
        "other grid: one fine voxel would be lost",
        lambda: other_grid(finer, labels=tiny, ending=refused("geometry_mismatch")),
    )
    turned = Grid(rows=20, columns=18, planes=12, spacing=(1.6, 1.4), origin=(-115, -95, 40), axes=axes(0, 0, 0.3))
    yield Case("other grid: turned in the plane", lambda: other_grid(turned, settings={"maximum_volume_change": 0.3}))
    oblique = axes(0.5, -0.3, 0.8)
    yield Case(
        "other grid: oblique",
        lambda: other_grid(
            Grid(rows=20, columns=18, planes=12, spacing=(1.6, 1.4), axes=oblique),
            Grid(rows=40, columns=36, planes=12, spacing=(0.8, 0.7), axes=oblique),
            settings={"maximum_volume_change": 0.3},
        ),
    )
    coronal = Grid(rows=20, columns=18, planes=12, spacing=(1.6, 1.4), axes=((1, 0, 0), (0, 0, -1)))
    yield Case("other grid: coronal on axial", lambda: other_grid(coronal, ending=refused("geometry_mismatch")))
    away = Grid(rows=20, columns=18, planes=12, spacing=(1.6, 1.4), origin=(100, 100, 40))
    yield Case("other grid: beside the images", lambda: other_grid(away, ending=refused("geometry_mismatch")))


def special_cases() -> Iterable[Case]:
    """Every special case."""
    for by in ((0.35, 0, 0), (0, 0.4, 0), (0, 0, 1.25), (0.7, 0, 0.2), (0, 0, 100), (0.06, 0, 0), (0, 0, 0.2)):
        yield Case(f"shifted by {by} mm", lambda by=by: misplaced(by))
    for only in (0, 3, 5):
        yield Case(f"slice {only} alone is shifted in its plane", lambda only=only: misplaced((0.4, 0, 0), only))
        yield Case(f"slice {only} alone is shifted along z", lambda only=only: misplaced((0, 0, 0.9), only))
    yield Case("two slices of the mask in one place", lambda: misplaced((0, 0, 2.5), 3, reason="duplicate_positions"))
    for angle in (0.01, 0.1, 1.0):
        yield Case(f"planes turned by {angle} rad", lambda angle=angle: not_parallel(angle))
    for missing in ((0,), (5,), (3,), (2, 3), (1, 4)):
        yield Case(f"no source slice for mask slices {missing}", lambda missing=missing: extra_slices(*missing))
    yield Case("twins in the mask", lambda: duplicates("mask"))
    yield Case("twins in the source", lambda: duplicates("source"))
    yield from _resampled()
    for keyword in ("TemporalPositionIdentifier", "EchoTime", "TriggerTime", "DiffusionBValue"):
        yield Case(f"phases by {keyword}", lambda keyword=keyword: phases(keyword=keyword))
    for phase in (0, 2):
        yield Case(f"phase {phase} of 3", lambda phase=phase: phases(mask_phase=phase))
    yield Case("a phase that the mask does not tell", lambda: phases(mask_phase=None))
    yield Case("three reconstructions", three_recons)
    yield Case("three reconstructions, the shifted one first", lambda: three_recons(order=1))
    yield Case("three reconstructions, one a slice further", lambda: three_recons((0, 0, 2.5)))
    yield Case("three reconstructions, one a pixel further", lambda: three_recons((0.7, 0, 0)))
    for which in ("CT", "MR", "PT"):
        yield Case(f"CT, MR and PET of one frame of reference: {which}", lambda which=which: hybrid(which))
    yield Case("two kernels, told", lambda: kernels(told=True))
    yield Case("two kernels, not told", lambda: kernels(told=False))
    for modality in ("CT", "MR"):
        yield Case(f"multi-frame source {modality}", lambda modality=modality: multi_frame_source(modality))
        yield Case(f"multi-frame both {modality}", lambda modality=modality: multi_frame_source(modality, both=True))
    yield Case("multi-frame source, any order", lambda: multi_frame_source("CT", order=(3, 1, 5, 0, 4, 2)))
    yield Case("several masks at once", lambda: merged("together"))
    yield Case("several masks of a study", lambda: merged("study"))
    yield Case("one mask of several", one_of_several)
    yield Case("an empty mask beside another", merged_with_empty)
    yield Case("a study of its own", lambda: study_of_its_own(named=False))
    yield Case("a study of its own, source named", lambda: study_of_its_own(named=True))
    yield Case("a study of its own, no patient, source named", lambda: study_of_its_own(named=True, patient=""))
    yield Case("a study of its own, another patient", lambda: study_of_its_own(named=True, patient="P1"))
    yield Case("a study of its own, elsewhere", lambda: study_of_its_own(named=True, move=1.25))
    yield Case("alone", alone)
    yield Case("a scout in the source", lambda: scout("source"))
    yield Case("a scout in the mask", lambda: scout("mask"))
    for cut in (2, 100, -1):
        yield Case(f"pixels cut by {cut} bytes", lambda cut=cut: truncated(cut))
    yield Case("too large", too_large)
    yield Case("without pixels", without_pixels)
    yield Case("the mask of a phantom of 0 and 1", lambda: phantom(named=True))
    yield Case("a phantom of 0 and 1", lambda: phantom(named=False))
    yield Case("an image named as a mask", image_itself)
