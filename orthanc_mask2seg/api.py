"""Conversion in Python, without a PACS: folders or pydicom data sets in, a DICOM Segmentation out."""

from __future__ import annotations

import io
import os
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from difflib import get_close_matches
from pathlib import Path
from typing import Any, TypeAlias, cast

from pydicom import Dataset, dcmread

from orthanc_mask2seg import config
from orthanc_mask2seg.errors import ConfigurationError
from orthanc_mask2seg.model import Outcome, OutputReport, Result, results_document, worst
from orthanc_mask2seg.pacs.gathered import GatheredArchive, Root, without_address
from orthanc_mask2seg.service import folders

Images: TypeAlias = str | os.PathLike[str] | Dataset | Sequence[Dataset]
"""A folder of DICOM files (any depth) or one file; or data sets, one per instance, with their pixels."""

_SETTINGS = {setting.field: setting.name for setting in config.SETTINGS}


@dataclass(frozen=True, slots=True)
class Conversion:
    """What `convert` and `explain` return.

    Attributes
    ----------
    results
        One per segmentation, and one per mask that was refused or skipped. A refusal is an answer like any other: see
        its `reason`, `detail`, `hint` and `evidence`.
    """

    results: tuple[Result, ...]
    _kept: Callable[[str], bytes]

    @property
    def outcome(self) -> Outcome:
        """The worst outcome of the results."""
        return worst(self.results)

    @property
    def segmentations(self) -> tuple[Dataset, ...]:
        """The SEGs that were made, in the order of the results."""
        made = (output for result in self.results for output in result.outputs if output.kind == "SEG")
        return tuple(dcmread(io.BytesIO(self.content(output))) for output in made)

    @property
    def segmentation(self) -> Dataset:
        """The one SEG that was made.

        Raises
        ------
        ValueError
            There is none, or there are several; the message says why.
        """
        made = self.segmentations
        if len(made) != 1:
            why = "; ".join(f"{r.outcome} ({r.reason}): {r.detail}" for r in self.results if r.reason)
            raise ValueError(f"{len(made)} segmentations were made" + (f": {why}" if why else ""))
        return made[0]

    def content(self, output: OutputReport) -> bytes:
        """The bytes of one of the `outputs` of a result: a DICOM file, a table, a picture.

        Raises
        ------
        NotInArchive
            It is none of these results.
        """
        return self._kept(output.sha256 or "")

    def document(self) -> dict[str, Any]:
        """The JSON document that the command prints with ``--json`` (docs/result.md)."""
        return results_document(self.results)


def convert(
    masks: Images | Sequence[Images],
    source: Images,
    *,
    out: str | os.PathLike[str] | None = None,
    settings: config.Settings | None = None,
    **options: object,
) -> Conversion:
    """Convert masks into a DICOM Segmentation on their source images.

    Parameters
    ----------
    masks
        One mask or several: folders, or data sets. Those of one source become one segmentation, with their segments in
        this order.
    source
        The images; they may hold several series, among which the geometry decides.
    out
        File to write (where it has a suffix, as in ``seg.dcm``), or folder; nothing is ever overwritten. None to keep
        the result in memory: see `Conversion.segmentation`.
    settings
        Settings to start from, such as those of ``config.load(Path("orthanc.json"))``; the defaults where it is None.
        The environment is read by `load`, not here.
    **options
        Single settings by their names in docs/settings.md, in lower case: ``outputs=["seg", "sr"]``.

    Returns
    -------
    Conversion
        Results, and what was made. A mask that cannot be converted is a result with the outcome ``refused``.

    Raises
    ------
    ConfigurationError
        A folder is not there or holds no images, or a setting is unknown or not allowed.
    Mask2SegError
        A fault: of the disk, or of this software.

    Examples
    --------
    Two folders:

    >>> from orthanc_mask2seg import convert
    >>> done = convert("mask/", "ct/", out="seg.dcm")
    >>> print(done.outcome)
    converted
    >>> [segment.label for segment in done.results[0].segments]
    ['tumour']

    Data sets; nothing is written:

    >>> from pathlib import Path
    >>> from pydicom import dcmread
    >>> mask = [dcmread(path) for path in Path("mask").iterdir()]
    >>> ct = [dcmread(path) for path in Path("ct").iterdir()]
    >>> convert(mask, ct).segmentation.Modality
    'SEG'

    Several masks, and a report beside the segmentation:

    >>> done = convert(["mask/", mask], "ct/", outputs=["seg", "sr"])
    >>> [output.kind for output in done.results[0].outputs]
    ['SEG', 'SR']

    An answer that is no:

    >>> refused = convert("mask/", "other_ct/")
    >>> print(refused.outcome, refused.results[0].reason)
    refused patient_mismatch
    """
    return _run(masks, source, out, _settings_of(settings, options), store=True)


def explain(
    masks: Images | Sequence[Images], source: Images, *, settings: config.Settings | None = None, **options: object
) -> Conversion:
    """Show what `convert` would do and why; nothing is made or written.

    Parameters
    ----------
    masks, source, settings, **options
        As `convert` has them.

    Returns
    -------
    Conversion
        Results without outputs: the evidence of each, and the candidates that were weighed, with their scores.

    Raises
    ------
    ConfigurationError
        As `convert` does.

    Examples
    --------
    >>> from orthanc_mask2seg import explain
    >>> (result,) = explain("mask/", "ct/").results
    >>> print(result.outcome, result.detail)
    converted 1 segment on 8 source slices
    >>> [round(candidate.score, 1) for candidate in result.candidates]
    [0.9]
    >>> result.outputs
    ()
    """
    return _run(masks, source, None, _settings_of(settings, options), store=False)


def _run(
    masks: Images | Sequence[Images],
    source: Images,
    out: str | os.PathLike[str] | None,
    settings: config.Settings,
    *,
    store: bool,
) -> Conversion:
    roots = {id(one): _root(one) for one in (*_several(masks), source)}  # what is named twice is one root
    chosen = [roots[id(mask)] for mask in _several(masks)]
    archive = GatheredArchive([*chosen, roots[id(source)]], None if out is None else Path(out))
    results = folders.run(archive, chosen, roots[id(source)], settings, store=store)
    if out is None:
        results = tuple(replace(r, outputs=tuple(map(without_address, r.outputs))) for r in results)
    return Conversion(results, archive.kept)


def _several(masks: Images | Sequence[Images]) -> Sequence[Images]:
    """Masks, where one is one and several are several."""
    if isinstance(masks, str | os.PathLike | Dataset):
        return [masks]
    if not masks:
        raise ConfigurationError("there is no mask to convert", hint="Name a folder of DICOM files, or give data sets.")
    if all(isinstance(one, Dataset) for one in masks):
        return [cast("Sequence[Dataset]", masks)]
    return masks


def _root(images: Images) -> Root:
    if isinstance(images, str | os.PathLike):
        return Path(images)
    group = (images,) if isinstance(images, Dataset) else tuple(images)
    for one in group:
        if not isinstance(one, Dataset):
            raise ConfigurationError(f"{type(one).__name__} is neither a path nor a pydicom Dataset")
    return group


def _settings_of(settings: config.Settings | None, options: Mapping[str, object]) -> config.Settings:
    settings = config.Settings() if settings is None else settings
    if not options:
        return settings
    section = {}
    for field, value in options.items():
        if field not in _SETTINGS:
            close = get_close_matches(field, _SETTINGS, n=1)
            raise ConfigurationError(f"{field} is not a setting" + (f"; did you mean {close[0]}?" if close else ""))
        section[_SETTINGS[field]] = _plain(value)
    read = config.of_document({config.SECTION: section}, Path.cwd(), {})
    return replace(settings, **{field: getattr(read, field) for field in options})


def _plain(value: object) -> object:
    """A value as the configuration file would have it."""
    if isinstance(value, os.PathLike):
        return os.fspath(value)
    return list(value) if isinstance(value, tuple) else value
