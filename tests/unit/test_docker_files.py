"""What docker/ holds is what its readers expect: Compose, Kubernetes, systemd, and our own images."""

from __future__ import annotations

import json
import re
import shutil
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import json5
import kubernetes_validate
import pytest
import yaml

from orthanc_mask2seg.config.table import SETTINGS

DOCKER = Path(__file__).resolve().parents[2] / "docker"
DOCKERFILE = (DOCKER / "Dockerfile").read_text(encoding="utf-8")
COMPOSE = ["compose.yml", "compose.scale.yml"]
MANIFESTS = [path.name for path in sorted((DOCKER / "kubernetes").glob("*.yaml")) if path.name != "kustomization.yaml"]
TARGETS = set(re.findall(r"^FROM \S+ AS (\S+)", DOCKERFILE, re.MULTILINE))
OURS = {setting.variable for setting in SETTINGS}
OF_ORTHANC = set(re.findall(r"\$\{([A-Z0-9_]+)", (DOCKER / "orthanc.json").read_text(encoding="utf-8"))) | set(
    re.findall(r"\$\{([A-Z0-9_]+)", (DOCKER / "start-orthanc.sh").read_text(encoding="utf-8"))
)
"""What Orthanc's configuration in the image, and the script that starts it, take from the environment."""


def compose(name: str) -> dict[str, Any]:
    document: dict[str, Any] = yaml.safe_load((DOCKER / name).read_text(encoding="utf-8"))
    return document


def manifests(name: str) -> list[dict[str, Any]]:
    return list(yaml.safe_load_all((DOCKER / "kubernetes" / name).read_text(encoding="utf-8")))


def pods() -> Iterator[dict[str, Any]]:
    for name in MANIFESTS:
        for manifest in manifests(name):
            if "template" in manifest["spec"]:
                yield manifest["spec"]["template"]["spec"]


@pytest.mark.parametrize("name", COMPOSE)
def test_compose_files_fit_the_schema_of_compose(name: str) -> None:
    program = Path(sys.executable).parent / "check-jsonschema"
    done = subprocess.run(
        [program, "--builtin-schema", "vendor.compose-spec", DOCKER / name], capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stdout


def test_that_schema_refuses_what_is_wrong(tmp_path: Path) -> None:
    document = compose("compose.yml")
    document["services"]["orthanc"]["port"] = document["services"]["orthanc"].pop("ports")
    (tmp_path / "compose.yml").write_text(json.dumps(document), encoding="utf-8")
    program = Path(sys.executable).parent / "check-jsonschema"
    words = [program, "--builtin-schema", "vendor.compose-spec", tmp_path / "compose.yml"]
    assert subprocess.run(words, capture_output=True, check=False).returncode == 1


@pytest.mark.parametrize("name", COMPOSE)
def test_compose_files_name_what_there_is(name: str) -> None:
    document = compose(name)
    for service in document["services"].values():
        if "build" in service:
            assert service["build"]["target"] in TARGETS
            assert (DOCKER / service["build"]["context"] / service["build"]["dockerfile"]).samefile(
                DOCKER / "Dockerfile"
            )
            assert set(service.get("environment", {})) <= OURS | OF_ORTHANC
            assert service["read_only"] is True
            assert service["cap_drop"] == ["ALL"]
        else:
            assert re.search(r":\d", service["image"]), "a version is pinned"
        assert set(service.get("secrets", ())) <= set(document["secrets"])
        assert set(service.get("depends_on", ())) <= set(document["services"])
        assert all(port.startswith("127.0.0.1:") for port in service.get("ports", ()))


def test_secrets_are_those_that_the_script_makes(tmp_path: Path) -> None:
    script = shutil.copy(DOCKER / "new-secrets.sh", tmp_path)
    subprocess.run(["sh", script], check=True, capture_output=True)
    made = {path.name: path.read_text(encoding="utf-8") for path in (tmp_path / "secrets").iterdir()}
    asked = {Path(secret["file"]).name for name in COMPOSE for secret in compose(name)["secrets"].values()}
    assert set(made) == asked
    assert len({value.strip() for value in made.values()}) == len(made)
    assert made["postgres_password"] in made["mask2seg_database"]
    subprocess.run(["sh", script], check=True, capture_output=True)
    assert {path.name: path.read_text(encoding="utf-8") for path in (tmp_path / "secrets").iterdir()} == made


@pytest.mark.parametrize("version", ["1.30", kubernetes_validate.latest_version()])
@pytest.mark.parametrize("name", MANIFESTS)
def test_manifests_fit_the_schema_of_kubernetes(name: str, version: str) -> None:
    for manifest in manifests(name):
        kubernetes_validate.validate(manifest, version, strict=True)


def test_that_schema_refuses_a_key_that_is_unknown() -> None:
    manifest = manifests("work.yaml")[0]
    manifest["spec"]["replica"] = manifest["spec"].pop("replicas")
    with pytest.raises(kubernetes_validate.ValidationError):
        kubernetes_validate.validate(manifest, kubernetes_validate.latest_version(), strict=True)


def test_the_kustomization_lists_every_manifest() -> None:
    document = yaml.safe_load((DOCKER / "kubernetes" / "kustomization.yaml").read_text(encoding="utf-8"))
    assert sorted(document["resources"]) == MANIFESTS
    asked = {source["configMapRef"]["name"] for pod in pods() for c in pod["containers"] for source in c["envFrom"]}
    assert asked == {made["name"] for made in document["configMapGenerator"]}
    names = {line.partition("=")[0] for made in document["configMapGenerator"] for line in made["literals"]}
    assert names <= OURS | OF_ORTHANC
    assert {image["name"] for image in document["images"]} == {c["image"] for pod in pods() for c in pod["containers"]}


def test_pods_may_do_nothing_but_their_work() -> None:
    for pod in pods():
        assert pod["securityContext"]["runAsNonRoot"] is True
        for container in pod["containers"]:
            assert container["securityContext"]["readOnlyRootFilesystem"] is True
            assert {entry["name"] for entry in container["env"]} <= OURS | OF_ORTHANC
            mounted = {mount["name"] for mount in container["volumeMounts"]}
            assert mounted - {"orthanc"} == {volume["name"] for volume in pod["volumes"]}


def test_the_configuration_of_the_image_is_one_that_we_read() -> None:
    text = re.sub(r"\$\{\w+:-([^}]*)\}", r"\1", (DOCKER / "orthanc.json").read_text(encoding="utf-8"))
    section = json5.loads(text)["Mask2Seg"]
    assert set(section) <= {setting.name for setting in SETTINGS}


def test_every_stage_starts_from_the_one_base_that_is_pinned() -> None:
    assert re.search(r"^ARG BASE=debian:[a-z]+-20\d{6}-slim$", DOCKERFILE, re.MULTILINE)
    assert set(re.findall(r"^FROM (\S+)", DOCKERFILE, re.MULTILINE)) == {"${BASE}"}


@pytest.mark.skipif(shutil.which("systemd-analyze") is None, reason="no systemd here")
def test_the_unit_is_one_that_systemd_reads(tmp_path: Path) -> None:
    text = (DOCKER / "systemd" / "mask2seg.service").read_text(encoding="utf-8")
    unit = tmp_path / "mask2seg.service"

    def verified(content: str) -> str:
        unit.write_text(content.replace("/opt/mask2seg/bin/mask2seg", "/bin/true"), encoding="utf-8")
        done = subprocess.run(["systemd-analyze", "verify", unit], capture_output=True, text=True, check=False)
        return done.stderr

    assert unit.name not in verified(text)
    assert unit.name in verified(text.replace("DynamicUser=yes", "DynamicUsr=yes"))
