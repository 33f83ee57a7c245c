"""Real cases in the three Orthancs, with the plugin and `"Enable": true` alone: what arrives is converted, rightly."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from tests.plugin_orthanc import SUITES, PluginOrthanc, until
from tests.truth import Case, cases, read_with_dcmqi, read_with_highdicom, same

LONG_S = 400


@pytest.fixture(params=SUITES)
def server(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[PluginOrthanc]:
    """An Orthanc that nothing but the plugin is configured for."""
    made = PluginOrthanc(tmp_path / "orthanc", request.param)
    try:
        yield made.ready()
    finally:
        made.kill()


@pytest.mark.timeout(900)
def test_every_real_case_is_converted_rightly(server: PluginOrthanc, set_a: Path, tmp_path: Path) -> None:
    """Uploaded one after the other; every voxel of every SEG that Orthanc then holds is where the truth has it."""
    found = cases(set_a)
    for case in found:
        server.send(*(file.read_bytes() for file in files_of(case)))
    wanted = sum(len(case.mask_folders) for case in found)
    until(lambda: len(server.segs()) == wanted, f"{wanted} SEGs", LONG_S)
    jobs = until(lambda: ended(server), "the end of all jobs", LONG_S)
    assert sorted(job["result"]["outcome"] for job in jobs if job["result"]["outputs"]) == ["converted"] * wanted
    for case in found:
        check(server, case, tmp_path / case.folder.name)


def files_of(case: Case) -> list[Path]:
    folders = [case.folder / "ct", *case.mask_folders]
    return [path for folder in folders for path in sorted(folder.rglob("*.dcm"))]


def ended(server: PluginOrthanc) -> list[dict[str, Any]]:
    """All jobs, once none goes on."""
    jobs: list[dict[str, Any]] = server.ask("GET", "/jobs?limit=200").json()["jobs"]
    return jobs if all(job["state"] == "done" for job in jobs) else []


def check(server: PluginOrthanc, case: Case, folder: Path) -> None:
    """The SEGs of a case as this Orthanc gives them out, read by two programs of others."""
    folder.mkdir()
    with_highdicom, with_dcmqi = [], []
    for number, content in enumerate(segs_of(server, case)):
        file = folder / f"{number}.dcm"
        file.write_bytes(content)
        with_highdicom += read_with_highdicom(file)
        with_dcmqi += read_with_dcmqi(file, folder / f"dcmqi{number}")
    assert same(with_highdicom, case.segments()), case.folder.name
    assert same(with_dcmqi, case.segments()), case.folder.name


def segs_of(server: PluginOrthanc, case: Case) -> list[bytes]:
    """One SEG for each mask series, on the very series that is the source."""
    series = server.get("/series", expand="").json()
    uids = {one["ID"]: one["MainDicomTags"]["SeriesInstanceUID"] for one in series}
    masks = {mask["series_uid"] for mask in case.document["mask_series"]}
    contents = []
    for one in (one for one in series if one["MainDicomTags"]["Modality"] == "SEG"):
        made_from = server.ask("GET", f"/series/{one['ID']}").json()["made_from"]
        if {uids[mask] for mask in made_from["masks"]} <= masks:
            assert uids[made_from["source"]] == case.source_series_uid
            [instance] = one["Instances"]
            contents.append(server.get(f"/instances/{instance}/file").content)
    assert len(contents) == len(masks)
    return contents
