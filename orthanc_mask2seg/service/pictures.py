"""Pictures of what was stored, for those who have logged in to the page. Drawn where jobs are done: never here."""

from __future__ import annotations

import base64
import io
import threading
from collections import OrderedDict
from collections.abc import Callable
from enum import StrEnum
from typing import Any

from orthanc_mask2seg.config import Settings
from orthanc_mask2seg.model import Refusal, Uid
from orthanc_mask2seg.pacs.port import Archive

MOST_BYTES = 64 << 20
"""Of pictures that are kept in memory."""
THUMB = 96


class PictureKind(StrEnum):
    """What is drawn."""

    THUMB = "thumb"
    SHEET = "sheet"
    SLICES = "slices"


Pictures = tuple[bytes, ...]
"""PNG files."""
Draw = Callable[[Uid, PictureKind], Pictures]


class Gallery:
    """Pictures by the series of the segmentation; each drawn once while there is room for it."""

    def __init__(self, draw: Draw) -> None:
        self._draw = draw
        self._lock = threading.Lock()
        self._one_at_a_time = threading.Lock()
        self._kept: OrderedDict[tuple[Uid, PictureKind], Pictures] = OrderedDict()

    def pictures(self, series_instance_uid: Uid, kind: PictureKind) -> Pictures:
        """Pictures of a segmentation; none where it cannot be drawn.

        Raises
        ------
        Mask2SegError
            The archive does not answer, or what draws came to no end.
        """
        key = (series_instance_uid, kind)
        found = self._known(key)
        if found is None:
            with self._one_at_a_time:  # who comes second finds what the first has drawn
                found = self._known(key)
                if found is None:
                    found = self._draw(series_instance_uid, kind)
                    self._keep(key, found)
        return found

    def _known(self, key: tuple[Uid, PictureKind]) -> Pictures | None:
        with self._lock:
            if key in self._kept:
                self._kept.move_to_end(key)
            return self._kept.get(key)

    def _keep(self, key: tuple[Uid, PictureKind], found: Pictures) -> None:
        with self._lock:
            self._kept[key] = found
            while sum(map(len, (p for pictures in self._kept.values() for p in pictures))) > MOST_BYTES:
                self._kept.popitem(last=False)


def drawn(archive: Archive, series_instance_uid: str, kind: str, settings: Settings) -> list[str]:
    """Draw pictures of a segmentation: PNG files, in base64; none where it does not lie on its images."""
    from orthanc_mask2seg.outputs.intensities import Intensities  # noqa: PLC0415 - all this is for few processes
    from orthanc_mask2seg.service import measuring  # noqa: PLC0415
    from orthanc_mask2seg.service.companions import preset_of_settings  # noqa: PLC0415

    opened = measuring.open_in_archive(archive, archive.find_series(Uid(series_instance_uid)), settings)
    if isinstance(opened, Refusal):
        return []
    planes, draw = _plan(opened.regions, PictureKind(kind))
    preset = preset_of_settings(settings)
    intensities = measuring.reader_of(archive, opened.regions, preset, measured=False, shown=planes)()
    return [_png(picture) for picture in draw(intensities)] if isinstance(intensities, Intensities) else []


def _plan(regions: Any, kind: PictureKind) -> tuple[Any, Callable[[Any], list[Any]]]:
    """Planes of the source that are needed, and what draws them."""
    from orthanc_mask2seg.outputs import preview, slices  # noqa: PLC0415

    if kind is PictureKind.SHEET:
        return preview.shown_planes(regions), lambda values: [preview.draw(regions, values)]
    if kind is PictureKind.THUMB:
        middle = slices.middle_plane(regions)
        return (middle,), lambda values: [slices.draw_slice(regions, values, middle, THUMB)]
    planes = slices.leafed_planes(regions)
    return planes, lambda values: [slices.draw_slice(regions, values, plane) for plane in planes]


def _png(picture: Any) -> str:
    buffer = io.BytesIO()
    picture.save(buffer, "PNG")
    return base64.b64encode(buffer.getvalue()).decode()
