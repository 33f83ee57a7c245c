"""A person at OHIF: opens a study, double-clicks a segmentation; and what the viewer then holds, voxel by voxel."""

from __future__ import annotations

from base64 import b64decode
from io import BytesIO
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
from PIL import Image
from playwright.sync_api import Browser, Page, TimeoutError, expect  # noqa: A004 - Playwright's own

OPEN_MS, SHOW_MS = 120_000, 120_000
NO_TOURS = "localStorage.setItem('shownTours', JSON.stringify(['basicViewerTour', 'MPRTour']))"

HELD = """async () => {
  const { segmentationService, viewportGridService } = window.services;
  const viewportId = viewportGridService.getActiveViewportId();
  const [shown] = segmentationService.getSegmentationRepresentations(viewportId);
  if (!shown) return null;
  const held = segmentationService.getSegmentation(shown.segmentationId);
  const base64 = bytes => {
    let text = '';
    for (let i = 0; i < bytes.length; i += 32768) text += String.fromCharCode(...bytes.subarray(i, i + 32768));
    return btoa(text);
  };
  const images = held.representationData.Labelmap.imageIds.map(id => {
    const image = window.cornerstone.cache.getImage(id);
    const plane = window.cornerstone.metaData.get('imagePlaneModule', image.referencedImageId);
    const labels = Uint16Array.from(image.voxelManager.getScalarData());
    const numbers = v => Array.from(v);
    return { labels: base64(new Uint8Array(labels.buffer)), shape: [image.rows, image.columns],
      position: numbers(plane.imagePositionPatient), rowCosines: numbers(plane.rowCosines),
      columnCosines: numbers(plane.columnCosines), spacing: [plane.rowPixelSpacing, plane.columnPixelSpacing] };
  });
  const segments = Object.values(held.segments).map(s => ({ number: s.segmentIndex, label: s.label,
    colour: Array.from(segmentationService.getSegmentColor(viewportId, held.segmentationId, s.segmentIndex)) }));
  return { images, segments };
}"""
"""Reads the memory of the viewer: label images with the places of the slices below them, labels, colours."""

TO_THE_FULLEST_SLICE = """async () => {
  const { segmentationService, viewportGridService, cornerstoneViewportService } = window.services;
  const viewportId = viewportGridService.getActiveViewportId();
  const viewport = cornerstoneViewportService.getCornerstoneViewport(viewportId);
  const [shown] = segmentationService.getSegmentationRepresentations(viewportId);
  const counts = {};
  for (const id of segmentationService.getSegmentation(shown.segmentationId).representationData.Labelmap.imageIds) {
    const image = window.cornerstone.cache.getImage(id);
    const filled = image.voxelManager.getScalarData().reduce((n, v) => n + (v > 0), 0);
    counts[image.referencedImageId] = (counts[image.referencedImageId] ?? 0) + filled;
  }
  const fullest = Object.keys(counts).reduce((a, b) => (counts[a] >= counts[b] ? a : b));
  await viewport.setImageIdIndex(viewport.getImageIds().indexOf(fullest));
  viewport.render();
}"""

CONTOURS = """() => {
  const { segmentationService, viewportGridService } = window.services;
  const viewportId = viewportGridService.getActiveViewportId();
  const shown = segmentationService.getSegmentationRepresentations(viewportId).find(r => r.type === 'Contour');
  const held = segmentationService.getSegmentation(shown.segmentationId);
  const polygons = held.representationData.Contour.geometryIds.flatMap(id => {
    const geometry = window.cornerstone.cache.getGeometry(id).data;
    return geometry.contours.map(c => ({ number: c.segmentIndex ?? geometry.segmentIndex, points: c.points }));
  });
  return { polygons, labels: Object.values(held.segments).map(s => [s.segmentIndex, s.label]) };
}"""
"""Reads the memory of the viewer: polygons in the patient (mm), and the names of the regions."""

SHOWN = """() => {
  const { segmentationService, viewportGridService } = window.services ?? {};
  const viewportId = viewportGridService?.getActiveViewportId();
  return Boolean(viewportId && segmentationService.getSegmentationRepresentations(viewportId).length);
}"""


class Shown(NamedTuple):
    """A segment as the viewer has it: its name, its colour (RGB, 0 to 255), its voxels in the patient (n, 3; mm)."""

    label: str
    colour: tuple[int, int, int]
    points: np.ndarray


class NothingShown(Exception):
    """The viewer does not show the segmentation; what it said to the person and to its console."""


class Viewer:
    """One browser tab with OHIF in it. What it complains of is in `complaints`."""

    def __init__(self, browser: Browser, url: str) -> None:
        self.url = url
        self.complaints: list[str] = []
        self._context = browser.new_context(viewport={"width": 1280, "height": 800})
        self._context.add_init_script(NO_TOURS)
        self.page: Page = self._context.new_page()
        self.page.on("pageerror", lambda error: self.complaints.append(str(error)))
        self.page.on("console", lambda m: self.complaints.append(m.text) if m.type == "error" else None)

    def close(self) -> None:
        self._context.close()

    def open_from_list(self, patient: str) -> None:
        """From the list of studies, as a person comes in."""
        self.page.goto(self.url)
        self.page.locator("tbody tr", has_text=patient).first.click(timeout=OPEN_MS)
        self.page.get_by_role("button", name="Basic Viewer").click(timeout=OPEN_MS)
        self._await_series()

    def open(self, study_instance_uid: str, *, derived: int = 1) -> None:
        """By the address that other systems link to; until it lists so many series that are no images."""
        self.page.goto(f"{self.url}/viewer?StudyInstanceUIDs={study_instance_uid}")
        self._await_series(derived)

    def _await_series(self, derived: int = 1) -> None:
        expect(self.thumbnails).to_have_count(derived, timeout=OPEN_MS)
        expect(self.page.locator("canvas.cornerstone-canvas").first).to_be_visible(timeout=OPEN_MS)

    @property
    def thumbnails(self) -> Any:
        """Entries in the list of series that are no images."""
        return self.page.locator("[data-cy=study-browser-thumbnail-no-image]")

    def show(self, modality: str = "SEG") -> None:
        """Double-click the SEG, or the RTSTRUCT, and wait until it is on the images.

        Raises
        ------
        NothingShown
            It is not there after two minutes.
        """
        self.thumbnails.filter(has_text=modality).dblclick(timeout=OPEN_MS)
        try:
            self.page.wait_for_function(SHOWN, timeout=SHOW_MS)
        except TimeoutError as error:
            raise NothingShown("; ".join(self.complaints)) from error

    def held(self) -> dict[int, Shown]:
        """What the viewer holds: segment number to segment."""
        document = self.page.evaluate(HELD)
        segments = {}
        images = [(_labels(image), image) for image in document["images"]]
        for segment in document["segments"]:
            number = segment["number"]
            points = np.concatenate([_points(labels == number, image) for labels, image in images])
            segments[number] = Shown(segment["label"], tuple(segment["colour"][:3]), points)
        described = set(segments) | {0}
        assert all(set(np.unique(labels)) <= described for labels, _ in images), "voxels of no segment"
        return segments

    def contours(self) -> tuple[dict[int, str], dict[int, list[np.ndarray]]]:
        """What the viewer holds of an RTSTRUCT: names of the regions, and their polygons, each (n, 3), LPS, mm."""
        document = self.page.evaluate(CONTOURS)
        found: dict[int, list[np.ndarray]] = {}
        for polygon in document["polygons"]:
            found.setdefault(polygon["number"], []).append(np.array(polygon["points"], float).reshape(-1, 3))
        return dict(document["labels"]), found

    def picture(self, path: Path) -> None:
        """Photograph the slice with the most of the segmentation, small enough for the documentation."""
        self.page.evaluate(TO_THE_FULLEST_SLICE)
        self.photograph(path)

    def photograph(self, path: Path) -> None:
        """Photograph what is on the screen."""
        self.page.wait_for_timeout(3000)  # for the eye alone: the viewer says nowhere that it has drawn
        screen = Image.open(BytesIO(self.page.screenshot())).convert("RGB").resize((960, 600), Image.Resampling.LANCZOS)
        screen.quantize(96, dither=Image.Dither.NONE).save(path, optimize=True)


def _labels(image: dict[str, Any]) -> np.ndarray:
    return np.frombuffer(b64decode(image["labels"]), "<u2").reshape(image["shape"])


def _points(inside: np.ndarray, image: dict[str, Any]) -> np.ndarray:
    rows, columns = np.nonzero(inside)
    between_rows, between_columns = image["spacing"]
    along_row = np.multiply(image["rowCosines"], between_columns)
    along_column = np.multiply(image["columnCosines"], between_rows)
    return np.array(image["position"]) + columns[:, None] * along_row + rows[:, None] * along_column
