"""The images of docker/ are built, run as whom they say, and convert the seed case inside."""

from __future__ import annotations

import json
import os
import subprocess
from collections.abc import Iterator
from pathlib import Path

import build_images
import pytest

import orthanc_mask2seg
from tests.images.containers import Container, Network
from tests.truth import Case, cases, read_with_highdicom, same

pytestmark = [
    pytest.mark.slow,
    pytest.mark.timeout(1800),
    pytest.mark.skipif(os.geteuid() != 0, reason="building images without a Docker engine needs root"),
]
PASSWORD = 'pass"word \\ of the test'
STORE = """
import base64, json, pathlib, sys, time, urllib.request
def ask(path, data=None):
    login = base64.b64encode(b"orthanc:" + pathlib.Path("/secrets/password").read_bytes()).decode()
    request = urllib.request.Request("http://127.0.0.1:8042" + path, data, {"Authorization": "Basic " + login})
    return urllib.request.urlopen(request, timeout=60).read()
files = [path for path in pathlib.Path("/case").rglob("*.dcm")]
assert files
for path in files:
    ask("/instances", path.read_bytes())
query = json.dumps({"Level": "Instance", "Query": {"Modality": "SEG"}, "Expand": False}).encode()
for _ in range(120):
    found = json.loads(ask("/tools/find", query))
    if found:
        pathlib.Path("/out/seg.dcm").write_bytes(ask(f"/instances/{found[0]}/file"))
        print(ask("/mask2seg/healthz").decode() if "--plugin" in sys.argv else "{}")
        sys.exit()
    time.sleep(0.5)
sys.exit("no SEG within a minute")
"""


@pytest.fixture(scope="module")
def images() -> dict[str, str]:
    return {target: build_images.build(target) for target in ("service", "orthanc")}


@pytest.fixture(scope="module")
def seed_case(set_a: Path) -> Case:
    return next(case for case in cases(set_a) if case.folder.name.endswith("_seed"))


@pytest.fixture
def network() -> Iterator[Network]:
    with Network() as made:
        yield made


@pytest.fixture
def shared(tmp_path: Path) -> dict[str, Path]:
    """Folders that containers of any user can use."""
    folders = {name: tmp_path / name for name in ("secrets", "out")}
    for folder in folders.values():
        folder.mkdir()
        folder.chmod(0o777)
    (folders["secrets"] / "password").write_text(PASSWORD)
    for parent in (tmp_path, *tmp_path.parents):
        if parent != Path("/tmp") and parent.owner() == "root" and parent.is_relative_to("/tmp"):
            parent.chmod(0o755)
    return folders


def configured(image: str) -> dict[str, object]:
    found = subprocess.run(build_images.buildah("inspect", "--type", "image", image), capture_output=True, check=True)
    config: dict[str, object] = json.loads(found.stdout)["Docker"]["config"]
    return config


def assert_right(seg: Path, case: Case) -> None:
    assert same(read_with_highdicom(seg), case.segments())


def test_the_images_say_how_they_want_to_be_run(images: dict[str, str]) -> None:
    for target, user in (("service", "mask2seg"), ("orthanc", "orthanc")):
        config = configured(images[target])
        assert config["User"] == user
        assert config["Healthcheck"]["Test"][-1] == target  # type: ignore[index]
        assert not [entry for entry in config["Env"] if "PASSWORD" in entry or "CERT" in entry]  # type: ignore[attr-defined]


def test_the_service_converts_folders_as_nobody_in_particular(
    images: dict[str, str], network: Network, seed_case: Case, shared: dict[str, Path]
) -> None:
    volumes = {seed_case.folder: "/case:ro", shared["out"]: "/out"}
    with Container(images["service"], network, volumes=volumes) as container:
        assert orthanc_mask2seg.__version__ in container.run("mask2seg", "--version")
        assert "uid=10001(mask2seg)" in container.run("id")
        container.run("sh", "-c", "touch /opt/mask2seg/x || touch /usr/x || touch /x", code=1)
        masks = [w for folder in seed_case.mask_folders for w in ("--mask", f"/case/{folder.name}")]
        source = next(s["dir"] for s in seed_case.document["ct_series"] if s["match"])
        container.run("mask2seg", "convert", *masks, "--source", f"/case/{source}", "-o", "/out/seg.dcm")
    assert_right(shared["out"] / "seg.dcm", seed_case)


def test_orthanc_with_the_plugin_converts_what_arrives(
    images: dict[str, str], network: Network, seed_case: Case, shared: dict[str, Path]
) -> None:
    volumes = {seed_case.folder: "/case:ro", shared["out"]: "/out", shared["secrets"]: "/secrets:ro"}
    env = {"ORTHANC_PASSWORD_FILE": "/secrets/password"}
    with Container(images["orthanc"], network, env=env, volumes=volumes) as container:
        container.serve(shared["out"].parent / "orthanc.log", "sh", "/opt/mask2seg/start-orthanc.sh")
        container.until(60, "python3", "/opt/mask2seg/health.py", "orthanc")
        health = json.loads(container.run("python3", "-c", STORE, "--plugin"))
        assert health["status"] == "ok"
        assert "uid=0" not in container.run("id")
    assert_right(shared["out"] / "seg.dcm", seed_case)


def test_orthanc_does_not_start_without_a_password(images: dict[str, str], network: Network) -> None:
    with Container(images["orthanc"], network) as container:
        assert "ORTHANC_PASSWORD_FILE" in container.run("sh", "/opt/mask2seg/start-orthanc.sh", code=64)


def test_the_service_beside_an_orthanc_without_the_plugin(
    images: dict[str, str], network: Network, seed_case: Case, shared: dict[str, Path]
) -> None:
    volumes = {seed_case.folder: "/case:ro", shared["out"]: "/out", shared["secrets"]: "/secrets:ro"}
    orthanc = {"ORTHANC_PASSWORD_FILE": "/secrets/password", "MASK2SEG_PLUGIN": "false", "ORTHANC_DICOM": "false"}
    ours = {"MASK2SEG_ORTHANC_USERNAME": "orthanc", "MASK2SEG_ORTHANC_PASSWORD_FILE": "/secrets/password"}
    with (
        Container(images["orthanc"], network, env=orthanc, volumes=volumes) as pacs,
        Container(images["service"], network, env=ours, volumes=volumes) as service,
    ):
        pacs.serve(shared["out"].parent / "orthanc.log", "sh", "/opt/mask2seg/start-orthanc.sh")
        pacs.until(60, "python3", "/opt/mask2seg/health.py", "orthanc")
        service.run("python3", "/opt/mask2seg/health.py", "service", code=1)
        service.serve(shared["out"].parent / "service.log", "mask2seg", "serve")
        service.until(60, "python3", "/opt/mask2seg/health.py", "service")
        pacs.run("python3", "-c", STORE)
        assert service.stop() < 15
    assert_right(shared["out"] / "seg.dcm", seed_case)
