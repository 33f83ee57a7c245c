"""What the doctor says of an Orthanc that cannot easily be had: other versions, plug-ins, databases."""

from __future__ import annotations

from typing import Any

import pytest

from orthanc_mask2seg.pacs.orthanc_checks import Facts, check, check_service


def wrong(system: dict[str, Any], **facts: Any) -> set[str]:
    plugins = {"dicom-web": "1.20", **facts.pop("plugins", {})}
    given = Facts(system=system, plugins=plugins, dicomweb=200, series_metadata=(5, 5), **facts)
    return {finding.check.code for finding in check(given) if not finding.ok}


@pytest.mark.parametrize(
    ("version", "codes"),
    [
        ("1.10.1", set()),
        ("1.12.7", set()),
        ("1.13.5", set()),
        ("1.10.0", {"pacs_version_old"}),
        ("1.9.7", {"pacs_version_old"}),
        ("1.14.0", {"pacs_version_unknown"}),
        ("2.0", {"pacs_version_unknown"}),
        ("mainline", {"pacs_version_unknown"}),
        ("", {"pacs_version_unknown"}),
    ],
)
def test_versions(version: str, codes: set[str]) -> None:
    assert wrong({"Version": version}) == codes


@pytest.mark.parametrize(
    ("version", "crashes"), [("1.10.1", True), ("1.12.7", True), ("1.13.0", False), ("1.12.6", False)]
)
def test_gdcm_is_known_to_crash_some_versions(version: str, crashes: bool) -> None:
    assert (wrong({"Version": version}, plugins={"gdcm": "1.8"}) == {"pacs_gdcm_crashes"}) is crashes


@pytest.mark.parametrize(
    ("system", "codes"),
    [
        ({"DatabaseBackendPlugin": "/usr/lib/libOrthancPostgreSQLIndex.so"}, {"pacs_database_plugin"}),
        ({"MaximumPatientCount": 5, "MaximumStorageSize": 0}, {"pacs_recycles"}),
        ({"MaximumStorageSize": 9, "MaximumStorageMode": "Reject"}, {"pacs_storage_limited"}),
        ({"ReadOnly": True}, {"pacs_read_only"}),
        ({"OverwriteInstances": False, "IngestTranscoding": "", "CheckRevisions": False}, set()),
    ],
)
def test_settings(system: dict[str, Any], codes: set[str]) -> None:
    assert wrong({"Version": "1.12.7", **system}) == codes


@pytest.mark.parametrize(
    ("status", "codes"), [(404, set()), (200, set()), (500, {"pacs_plugin_silent"}), (503, {"pacs_plugin_silent"})]
)
def test_our_plugin_is_judged_where_it_is(status: int, codes: set[str]) -> None:
    assert wrong({"Version": "1.12.7"}, our_plugin=status) == codes


def test_a_series_of_which_less_is_told_than_of_its_instance() -> None:
    facts = Facts(system={"Version": "1.12.7"}, plugins={"dicom-web": "1.20"}, dicomweb=200, series_metadata=(22, 41))
    (finding,) = [f for f in check(facts) if not f.ok]
    assert (finding.check.code, finding.evidence) == (
        "pacs_series_metadata",
        ("22 elements told for a series, 41 for its first instance",),
    )


@pytest.mark.parametrize(
    ("health", "codes"),
    [
        (None, {"service_silent"}),
        ({"version": "1", "archive": {"reachable": True, "error": ""}}, set()),
        ({"version": "1", "archive": {"reachable": False, "error": "archive_denied"}}, {"service_blind"}),
    ],
)
def test_the_service(health: dict[str, Any] | None, codes: set[str]) -> None:
    assert {f.check.code for f in check_service(health) if not f.ok} == codes
