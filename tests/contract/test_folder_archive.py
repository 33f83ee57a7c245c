"""What only folders can do to us: clutter, copies, damage, links, and results that are there already."""

from __future__ import annotations

import io
import os
from pathlib import Path

import pytest
from contract.samples import changed, sample, written
from pydicom import DataElement, dcmread, dcmwrite
from pydicom.encaps import encapsulate
from pydicom.uid import (
    DeflatedExplicitVRLittleEndian,
    ExplicitVRBigEndian,
    ImplicitVRLittleEndian,
    JPEG2000Lossless,
    MediaStorageDirectoryStorage,
)

from orthanc_mask2seg.errors import (
    ArchiveBusy,
    ArchiveDenied,
    ArchiveRejected,
    ConfigurationError,
    NotInArchive,
    StoreMismatch,
)
from orthanc_mask2seg.model import ArchiveKey
from orthanc_mask2seg.pacs import folder as folder_module
from orthanc_mask2seg.pacs.folder import FolderArchive


def put(folder: Path, **files: bytes) -> Path:
    folder.mkdir(parents=True, exist_ok=True)
    for name, content in files.items():
        (folder / name.replace("__", ".")).write_bytes(content)
    return folder


def put_all(folder: Path, files: tuple[bytes, ...]) -> Path:
    return put(folder, **{f"{number:03}__dcm": content for number, content in enumerate(files)})


def only(root: Path) -> tuple[int, tuple[tuple[str, str], ...]]:
    """Number of files in the one series under a root, and what is unreadable."""
    archive = FolderArchive([root])
    found = archive.series_under(root)
    assert len(found) <= 1
    return sum(len(series.instance_keys) for series in found), archive.unreadable(root)


def test_each_root_has_its_series_and_none_of_anothers(tmp_path: Path) -> None:
    given = sample(4)
    masks = [put_all(tmp_path / name, given.mask) for name in ("liver", "spleen")]
    source = put_all(tmp_path / "source", given.ct)
    archive = FolderArchive([*masks, source])
    (liver,), (spleen,), (ct,) = (archive.series_under(root) for root in (*masks, source))
    assert liver.series_instance_uid == spleen.series_instance_uid == given.mask_uid
    assert len({liver.key, spleen.key, ct.key}) == 3
    assert [list(archive.contents(s.instance_keys)) for s in (liver, spleen, ct)] == [
        list(given.mask), list(given.mask), list(given.ct)
    ]  # fmt: skip
    assert [h.SeriesDescription for h in archive.headers(ct)] == ["Thorax ünd Abdomen"] * 4
    with pytest.raises(ArchiveRejected, match="Several"):
        archive.find_series(given.mask_uid)
    assert archive.find_series(spleen.key) == spleen
    assert list(archive.all_series()) == [liver, spleen, ct]


def test_one_root_may_hold_several_series_and_a_root_may_be_a_file(tmp_path: Path) -> None:
    given = sample(3)
    root = tmp_path / "all"
    put_all(root / "a" / "b", given.ct)
    put_all(root / "c", given.mask)
    single = put(tmp_path, single=given.ct[0]) / "single"
    archive = FolderArchive([root, single])
    assert {s.series_instance_uid for s in archive.series_under(root)} == {given.ct_uid, given.mask_uid}
    assert [len(s.instance_keys) for s in archive.series_under(single)] == [1]


def test_clutter_is_ignored(tmp_path: Path) -> None:
    content = sample(1).ct[0]
    directory = changed(content, SOPClassUID=MediaStorageDirectoryStorage)
    put(
        tmp_path,
        slice=content,
        DICOMDIR=directory,
        disc=directory,
        README=b"read me " * 40,
        note=b"a note without suffix, longer than the preamble of a DICOM file " * 5,
        empty=b"",
        __DS_Store=b"\0" * 300,
        ___slice__dcm=b"AppleDouble",
        Thumbs__db=b"\0" * 300,
        truth__json=b"{}",
        truth__nrrd=b"NRRD0004",
        picture__png=b"\x89PNG",
    )
    os.mkfifo(tmp_path / "pipe")
    assert only(tmp_path) == (1, ())


@pytest.mark.parametrize("name", ["slice", "slice.dcm", "SLICE.DCM", "slice.IMA", "1.2.840.113", "slice.xyz"])
def test_dicom_is_read_whatever_its_name(tmp_path: Path, name: str) -> None:
    (tmp_path / name).write_bytes(sample(1).ct[0])
    assert only(tmp_path) == (1, ())


@pytest.mark.parametrize("name", ["slice", "slice.dcm", "slice.7"])
def test_files_without_preamble_are_read(tmp_path: Path, name: str) -> None:
    dataset = dcmread(io.BytesIO(sample(1).ct[0]))
    del dataset.file_meta
    dataset.preamble = None
    dcmwrite(tmp_path / name, dataset, implicit_vr=True, little_endian=True, enforce_file_format=False)
    assert (tmp_path / name).read_bytes()[128:132] != b"DICM"
    assert only(tmp_path) == (1, ())


@pytest.mark.parametrize("syntax", [ImplicitVRLittleEndian, ExplicitVRBigEndian, DeflatedExplicitVRLittleEndian])
def test_every_transfer_syntax_is_read_and_its_damage_found(tmp_path: Path, syntax: str) -> None:
    dataset = dcmread(io.BytesIO(sample(1).ct[0]))
    dataset.file_meta.TransferSyntaxUID = syntax
    buffer = io.BytesIO()
    dcmwrite(buffer, dataset, little_endian=syntax != ExplicitVRBigEndian, implicit_vr=syntax == ImplicitVRLittleEndian)
    content = buffer.getvalue()
    assert only(put(tmp_path / "whole", slice__dcm=content)) == (1, ())
    count, unreadable = only(put(tmp_path / "cut", slice__dcm=content[:-20]))
    assert (count, len(unreadable)) == (0, 1)


def test_compressed_pixels_are_walked_to_their_end(tmp_path: Path) -> None:
    dataset = dcmread(io.BytesIO(sample(1).ct[0]))
    dataset.file_meta.TransferSyntaxUID = JPEG2000Lossless
    dataset.PixelData = encapsulate([b"\xff\x4f" + bytes(500)])
    dataset["PixelData"].VR = "OB"
    dataset["PixelData"].is_undefined_length = True
    content = written(dataset)
    assert only(put(tmp_path / "whole", slice__dcm=content)) == (1, ())
    for end in (-1, -8, -9, -100, -500):
        cut = put(tmp_path / f"cut{end}", slice__dcm=content[:end])
        assert only(cut) == (0, (("slice.dcm", "ends too early: the file is cut off"),))


def test_a_file_that_is_cut_off_anywhere_is_not_dropped_silently(tmp_path: Path) -> None:
    dataset = dcmread(io.BytesIO(sample(1).ct[0]))
    dataset.ProcedureCodeSequence.is_undefined_length = True
    dataset["ProcedureCodeSequence"].is_undefined_length = True
    content = written(dataset)
    whole = len(content) - len(dataset.PixelData)
    silent = []
    for end in range(140, len(content), 7):
        count, unreadable = only(put(tmp_path / str(end), slice__dcm=content[:end]))
        if count + len(unreadable) != 1 or (count and end > whole):
            silent.append(end)
    assert silent == []


@pytest.mark.parametrize(
    "content", [b"", b"not DICOM", bytes(400), b"\0" * 128 + b"DICM", b"\0" * 128 + b"DICM\xff\xff"]
)
def test_what_claims_to_be_dicom_and_is_not_is_told(tmp_path: Path, content: bytes) -> None:
    count, unreadable = only(put(tmp_path, slice__dcm=content))
    assert count == 0
    assert [name for name, _ in unreadable] == ["slice.dcm"]


def test_a_missing_series_uid_is_told(tmp_path: Path) -> None:
    content = changed(sample(1).ct[0], SeriesInstanceUID=None)
    assert only(put(tmp_path, slice__dcm=content)) == (0, (("slice.dcm", "has no SeriesInstanceUID"),))


def test_copies_count_once_but_other_pixels_do_not(tmp_path: Path) -> None:
    content = sample(1).ct[0]
    other = content[:-2] + b"\x01\x02"
    put(tmp_path / "a", one__dcm=content, two__dcm=content)
    put(tmp_path / "b", three=content, four__dcm=other)
    assert only(tmp_path) == (2, ())


def test_links_are_followed_and_loops_are_not(tmp_path: Path) -> None:
    root, elsewhere = tmp_path / "root", tmp_path / "elsewhere"
    put_all(elsewhere, sample(2).ct)
    root.mkdir()
    (root / "link").symlink_to(elsewhere)
    (root / "again").symlink_to(elsewhere)
    (root / "loop").symlink_to(root)
    (root / "self.dcm").symlink_to(root / "self.dcm")
    (root / "gone.dcm").symlink_to(tmp_path / "nowhere")
    count, unreadable = only(root)
    assert count == 2
    assert {name for name, _ in unreadable} == {"self.dcm", "gone.dcm"}


def test_what_may_not_be_read_is_told(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    put_all(tmp_path, sample(2).ct)
    (tmp_path / "closed").mkdir()
    real_scan, real_open = os.scandir, io.FileIO

    def scandir(path: str) -> object:
        if str(path).endswith("closed"):
            raise PermissionError(13, "Permission denied", str(path))
        return real_scan(path)

    def open_file(path: str) -> io.FileIO:
        if path.endswith("001.dcm"):
            raise PermissionError(13, "Permission denied", path)
        return real_open(path)

    monkeypatch.setattr(os, "scandir", scandir)
    monkeypatch.setattr("orthanc_mask2seg.pacs.part10.io.FileIO", open_file)
    count, unreadable = only(tmp_path)
    assert count == 1
    assert sorted(unreadable) == [("001.dcm", "Permission denied"), ("closed", "Permission denied")]


def test_a_missing_root_is_a_usage_error(tmp_path: Path) -> None:
    with pytest.raises(ConfigurationError, match="nowhere does not exist"):
        FolderArchive([tmp_path / "nowhere"])


def test_an_empty_root_has_no_series(tmp_path: Path) -> None:
    assert only(tmp_path) == (0, ())
    with pytest.raises(NotInArchive):
        FolderArchive([tmp_path]).series_under(tmp_path / "other")


def test_only_files_of_the_roots_can_be_read(tmp_path: Path) -> None:
    put_all(tmp_path / "root", sample(1).ct)
    outside = put(tmp_path, secret__dcm=sample(1).ct[0]) / "secret.dcm"
    archive = FolderArchive([tmp_path / "root"])
    list(archive.all_series())
    with pytest.raises(NotInArchive):
        archive.content(ArchiveKey(str(outside)))


def test_headers_beyond_those_kept_are_read_again(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    given = sample(5)
    put_all(tmp_path, given.ct)
    everything = FolderArchive([tmp_path])
    monkeypatch.setattr(folder_module, "HEADERS_KEPT", 2)
    archive = FolderArchive([tmp_path])
    (series,) = archive.series_under(tmp_path)
    assert archive.headers(series) == everything.headers(everything.series_under(tmp_path)[0])
    (tmp_path / "004.dcm").unlink()
    with pytest.raises(NotInArchive):
        archive.headers(series)


def test_long_and_private_elements_are_not_kept(tmp_path: Path) -> None:
    dataset = dcmread(io.BytesIO(sample(1).ct[0]))
    dataset[0x60003000] = DataElement(0x60003000, "OW", bytes(100_000))
    put(tmp_path, slice__dcm=written(dataset))
    archive = FolderArchive([tmp_path])
    (header,) = archive.headers(archive.series_under(tmp_path)[0])
    assert 0x60003000 not in header
    assert 0x00291001 not in header
    assert header.Rows == 12


@pytest.mark.parametrize(
    ("out", "expected"),
    [("seg.dcm", "seg.dcm"), ("new/deep/seg.dcm", "new/deep/seg.dcm"), ("result.seg", "result.seg"), ("folder", None),
     ("folder.d/", None), ("new/folder", None)],
)  # fmt: skip
def test_out_is_a_file_or_a_folder(tmp_path: Path, out: str, expected: str | None) -> None:
    if out.endswith("/"):
        (tmp_path / out).mkdir()
    content = sample(1).ct[0]
    archive = FolderArchive([], tmp_path / out)
    receipt = archive.store(content)
    path = tmp_path / (expected or f"{out}/{receipt.sop_instance_uid}.dcm")
    assert receipt.path is not None
    assert Path(receipt.path) == path
    assert path.read_bytes() == content
    assert path.stat().st_mode & 0o777 == 0o666 & ~umask()
    assert not FolderArchive([], tmp_path / out).store(content).created
    assert [file for file in tmp_path.rglob("*") if file.is_file()] == [path]


def umask() -> int:
    current = os.umask(0o022)
    os.umask(current)
    return current


def test_another_file_is_never_overwritten(tmp_path: Path) -> None:
    out = tmp_path / "seg.dcm"
    out.write_bytes(b"precious")
    with pytest.raises(StoreMismatch, match="holds something else") as told:
        FolderArchive([], out).store(sample(1).ct[0])
    assert told.value.hint
    assert out.read_bytes() == b"precious"
    assert list(tmp_path.iterdir()) == [out]


def test_without_hard_links_it_is_renamed(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def link(*_: object) -> None:
        raise PermissionError(1, "Operation not permitted")

    monkeypatch.setattr(os, "link", link)
    content = sample(1).ct[0]
    archive = FolderArchive([], tmp_path / "seg.dcm")
    assert archive.store(content).created
    assert not archive.store(content).created
    assert list(tmp_path.iterdir()) == [tmp_path / "seg.dcm"]
    with pytest.raises(StoreMismatch):
        archive.store(sample(1).ct[0])


@pytest.mark.parametrize(
    ("number", "kind"), [(28, ArchiveBusy), (122, ArchiveBusy), (13, ArchiveDenied), (30, ArchiveRejected)]
)
def test_faults_of_the_disk_become_ours(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, number: int, kind: type[Exception]
) -> None:
    def fsync(_: int) -> None:
        raise OSError(number, os.strerror(number))

    monkeypatch.setattr(os, "fsync", fsync)
    with pytest.raises(kind):
        FolderArchive([], tmp_path / "out").store(sample(1).ct[0])
    assert list((tmp_path / "out").iterdir()) == []


def test_a_uid_cannot_lead_out_of_the_folder(tmp_path: Path) -> None:
    content = changed(sample(1).ct[0], SOPInstanceUID="../../evil")
    with pytest.raises(ArchiveRejected):
        FolderArchive([], tmp_path / "a" / "b" / "out").store(content)
    assert list(tmp_path.iterdir()) == []


def test_without_an_output_nothing_can_be_stored() -> None:
    with pytest.raises(ConfigurationError):
        FolderArchive([]).store(sample(1).ct[0])


def test_only_what_was_stored_here_is_deleted(tmp_path: Path) -> None:
    path = put(tmp_path, mine__dcm=sample(1).ct[0]) / "mine.dcm"
    with pytest.raises(ArchiveRejected):
        FolderArchive([tmp_path]).delete_instance(ArchiveKey(str(path)))
    assert path.exists()


def test_the_real_cases_are_read_whole(set_a: Path) -> None:
    for case in sorted(path for path in set_a.iterdir() if path.is_dir()):
        files = list(case.rglob("ct/**/*.dcm")) + list(case.rglob("mask/**/*.dcm"))
        archive = FolderArchive([case / "ct", case / "mask"])
        assert sum(len(series.instance_keys) for series in archive.all_series()) == len(files)
        assert archive.unreadable(case / "ct") == archive.unreadable(case / "mask") == ()
