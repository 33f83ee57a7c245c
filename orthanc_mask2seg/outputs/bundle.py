"""The bundle: what a site wants of a segmentation, each made by itself. Nothing is imported that nobody asks for."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING

from pydicom import Dataset

from orthanc_mask2seg.model import Refusal
from orthanc_mask2seg.outputs.intensities import Intensities
from orthanc_mask2seg.outputs.kinds import OutputKind
from orthanc_mask2seg.outputs.presets import Preset
from orthanc_mask2seg.outputs.regions import Regions

if TYPE_CHECKING:
    from orthanc_mask2seg.outputs.measured import Measured


@dataclass(frozen=True, slots=True, kw_only=True)
class Product:
    """One output.

    Attributes
    ----------
    kind
        As results name it: SR, CSV, RTSTRUCT.
    content
        The file.
    name
        Of the file beside the segmentation; '' of a DICOM object, which is stored in its own series.
    """

    kind: str
    content: bytes
    name: str = ""


@dataclass(slots=True)
class Ingredients:
    """What outputs are made of; what is costly is made once, when it is first asked for.

    Attributes
    ----------
    template
        Full header of one instance of the source, for patient and study.
    intensities
        Values of the source; asked for only by outputs that need pixels.
    """

    regions: Regions
    template: Dataset
    preset: Preset
    intensities: Callable[[], Intensities | Refusal]
    _measured: Measured | Exception | None = None

    def measured(self) -> Measured:
        """The measurements of all regions; the same fault again where they failed."""
        if self._measured is None:
            from orthanc_mask2seg.outputs.measured import measure_all  # noqa: PLC0415 - it brings SimpleITK

            try:
                self._measured = measure_all(self.regions, self.intensities(), self.preset)
            except Exception as error:
                self._measured = error
                raise
        if isinstance(self._measured, Exception):
            raise self._measured
        return self._measured

    @property
    def notes(self) -> tuple[str, ...]:
        """What the measurements left out and why; nothing where they failed, which each output says itself."""
        return () if self._measured is None or isinstance(self._measured, Exception) else self._measured.notes


Maker = Callable[[Ingredients], Product | Refusal]


def _report(ingredients: Ingredients) -> Product | Refusal:
    from orthanc_mask2seg.outputs.report import write_report  # noqa: PLC0415

    return Product(kind="SR", content=write_report(ingredients.measured(), ingredients.template))


def _csv(ingredients: Ingredients) -> Product | Refusal:
    from orthanc_mask2seg.outputs.table import to_csv  # noqa: PLC0415

    return Product(kind="CSV", content=to_csv(ingredients.measured()), name="features.csv")


def _json(ingredients: Ingredients) -> Product | Refusal:
    from orthanc_mask2seg.outputs.table import to_json  # noqa: PLC0415

    return Product(kind="JSON", content=to_json(ingredients.measured()), name="features.json")


def _rtstruct(ingredients: Ingredients) -> Product | Refusal:
    from orthanc_mask2seg.outputs.rtstruct import write_rtstruct  # noqa: PLC0415

    content = write_rtstruct(ingredients.regions, ingredients.template)
    return content if isinstance(content, Refusal) else Product(kind="RTSTRUCT", content=content)


def _nrrd(ingredients: Ingredients) -> Product | Refusal:
    from orthanc_mask2seg.outputs.volumes import write_nrrd  # noqa: PLC0415

    content = write_nrrd(ingredients.regions)
    return content if isinstance(content, Refusal) else Product(kind="NRRD", content=content, name="mask.seg.nrrd")


def _nifti(ingredients: Ingredients) -> Product | Refusal:
    from orthanc_mask2seg.outputs.volumes import write_nifti  # noqa: PLC0415

    content = write_nifti(ingredients.regions)
    return content if isinstance(content, Refusal) else Product(kind="NIFTI", content=content, name="mask.nii.gz")


def _preview(ingredients: Ingredients) -> Product | Refusal:
    from orthanc_mask2seg.outputs.preview import write_png  # noqa: PLC0415

    content = write_png(ingredients.regions, ingredients.intensities())
    return content if isinstance(content, Refusal) else Product(kind="PREVIEW", content=content, name="preview.png")


def _capture(ingredients: Ingredients) -> Product | Refusal:
    from orthanc_mask2seg.outputs.preview import write_capture  # noqa: PLC0415

    content = write_capture(ingredients.regions, ingredients.intensities(), ingredients.template)
    return content if isinstance(content, Refusal) else Product(kind="SC", content=content)


_MAKERS: Mapping[OutputKind, Maker] = {
    OutputKind.SR: _report,
    OutputKind.CSV: _csv,
    OutputKind.JSON: _json,
    OutputKind.RTSTRUCT: _rtstruct,
    OutputKind.NRRD: _nrrd,
    OutputKind.NIFTI: _nifti,
    OutputKind.PREVIEW: _preview,
    OutputKind.CAPTURE: _capture,
}


def make(kind: OutputKind, ingredients: Ingredients) -> Product | Refusal:
    """Make one output; the segmentation itself is none."""
    return _MAKERS[kind](ingredients)
