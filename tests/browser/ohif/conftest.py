"""A browser, Orthancs, the viewer in front of them, and the studies that are opened."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import ExitStack
from pathlib import Path

import get_ohif
import pytest
import requests
from orthanc_server import OrthancServer
from playwright.sync_api import Browser
from pydicom import dcmread

from tests.browser.ohif.samples import Sample, convert, demonstration, sample, turned
from tests.browser.ohif.site import OhifSite
from tests.browser.ohif.viewer import Viewer
from tests.truth import Case, cases

Site = Callable[[str, str], OhifSite]

PLAIN, UNALIGNED, OVERLAPPING, OBLIQUE, MR, MANY, DEMO = (
    "plain", "unaligned", "overlapping", "oblique", "mr", "many", "demo",
)  # fmt: skip
CASES = {PLAIN: "A01", UNALIGNED: "A03", OVERLAPPING: "A05", OBLIQUE: "A01", MR: "A09", MANY: "A02"}


def pytest_addoption(parser: pytest.Parser) -> None:
    parser.addoption("--pictures", type=Path, help="folder for pictures of what is shown (make pictures)")


@pytest.fixture(scope="session")
def pictures(request: pytest.FixtureRequest) -> Path | None:
    """Folder for pictures of what is shown, if somebody wants them."""
    folder: Path | None = request.config.getoption("--pictures", default=None)
    return folder


@pytest.fixture(scope="session")
def samples(set_a: Path, tmp_path_factory: pytest.TempPathFactory) -> dict[str, Sample]:
    """Kind of study to the study."""
    found: dict[str, Case] = {c.folder.name[:3]: c for c in cases(set_a)}
    made = {kind: sample(found[name]) for kind, name in CASES.items() if kind != OBLIQUE}
    made[OBLIQUE] = turned(found[CASES[OBLIQUE]], tmp_path_factory.mktemp("oblique"))
    made[DEMO] = demonstration(tmp_path_factory.mktemp("demo"))
    return made


@pytest.fixture(scope="session")
def segs(samples: dict[str, Sample], tmp_path_factory: pytest.TempPathFactory) -> Callable[[str], Path]:
    """Kind of study to the SEG that the command line made of it."""
    folder, made = tmp_path_factory.mktemp("segs"), dict[str, Path]()

    def seg(kind: str) -> Path:
        if kind not in made:
            made[kind] = convert(samples[kind], folder / f"{kind}.dcm")
        return made[kind]

    return seg


@pytest.fixture(scope="session")
def site(samples: dict[str, Sample], tmp_path_factory: pytest.TempPathFactory) -> Iterator[Site]:
    """OHIF of a version in front of the Orthanc of a Debian suite, which holds all studies, without any SEG."""
    with ExitStack() as stack:
        orthancs: dict[str, OrthancServer] = {}
        sites: dict[tuple[str, str], OhifSite] = {}

        def get(version: str, suite: str) -> OhifSite:
            if suite not in orthancs:
                server = OrthancServer(tmp_path_factory.mktemp(f"ohif_{suite}"), suite=suite)
                stack.callback(server.kill)
                orthancs[suite] = server.start()
                for file in (f for s in samples.values() for f in s.source_files):
                    server.post("/instances", file.read_bytes())
            if (version, suite) not in sites:
                made = OhifSite(get_ohif.fetch(version), orthancs[suite])
                sites[version, suite] = stack.enter_context(made)
            return sites[version, suite]

        yield get


@pytest.fixture
def show(chromium: Browser, site: Site) -> Iterator[Callable[[str, str, Path], Viewer]]:
    """Store a SEG, open its study in OHIF and double-click it; the SEG is gone from Orthanc afterwards."""
    with ExitStack() as stack:

        def shown(version: str, suite: str, seg: Path, *, from_list: bool = False) -> Viewer:
            where = site(version, suite)
            stored = where.orthanc.post("/instances", seg.read_bytes()).json()
            stack.callback(
                requests.delete, f"{where.orthanc.url}/instances/{stored['ID']}", auth=where.orthanc.auth, timeout=60
            )
            viewer = Viewer(chromium, where.url)
            stack.callback(viewer.close)
            header = dcmread(seg, stop_before_pixels=True)
            if from_list:
                viewer.open_from_list(header.PatientName.family_name)
            else:
                viewer.open(str(header.StudyInstanceUID))
            viewer.show()
            return viewer

        yield shown
