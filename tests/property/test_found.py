"""What mutations and the matrix have found: each the smallest case that went wrong, or fell over, once."""

from __future__ import annotations

import io

import pytest
from pydicom import dcmread
from pydicom.uid import UID

from orthanc_mask2seg.config import Settings
from orthanc_mask2seg.errors import Mask2SegError
from orthanc_mask2seg.pacs.memory import MemoryArchive
from orthanc_mask2seg.service import pipeline
from tests.builders import Grid, image_series, mask_series, to_bytes
from tests.generator.matrix import all_cases, check
from tests.generator.part10 import with_element
from tests.generator.scenes import labels_on
from tests.mutations import SMALL, WRONG, Pair, judge, pairs

ROWS, BITS_STORED, SOP_CLASS, SLOPE = 0x00280010, 0x00280101, 0x00080016, 0x00281053
ORIENTATION, FRAMES, SPACING, PIXELS = 0x00200037, 0x00280008, 0x00280030, 0x7FE00010
PATIENT = 0x00100020


def pair(name: str = "own UIDs, 0/255") -> Pair:
    return next(p for p in pairs() if p.name == name).copy()


def is_right(made: Pair, *, fault: bool = False) -> None:
    """Exact, or refused with a reason; a fault only where one is allowed."""
    verdict = judge(made)
    assert verdict.kind != WRONG, verdict.detail
    assert fault or verdict.kind != "fault", verdict.detail


def test_slices_whose_bits_say_otherwise_never_make_background_a_segment() -> None:
    """-1024/-1023 in some slices and 0/1 in others (BitsStored differs): -1024 is no label of 223 voxels."""
    made = pair("-1024/-1023")
    for index in (0, 3, 4):
        made.mask[index] = with_element(made.mask[index], BITS_STORED, "US", b"\x08\0")
    is_right(made)


def test_slices_that_are_all_zero_beside_air_never_make_air_a_segment() -> None:
    """-1024/-1023 in one slice and 0 in all others."""
    made = pair("-1024/-1023")
    for index in (0, 1, 3, 4):
        made.mask[index] = with_element(made.mask[index], PIXELS, "OW", bytes(240))
    is_right(made)


@pytest.mark.parametrize("only", [(2,), (0, 1, 2, 3, 4)])
def test_more_pixels_than_the_header_says_are_not_cut_off(only: tuple[int, ...]) -> None:
    """Rows 6 instead of 12: half of the mask would be lost."""
    made = pair()
    for index in only:
        made.mask[index] = with_element(made.mask[index], ROWS, "US", b"\x06\0")
    is_right(made)


def test_a_gap_in_the_source_is_not_another_grid() -> None:
    """A source that lacks a slice in the middle: the mask's slice there has no image, so geometry_mismatch."""
    check(next(c for c in all_cases() if c.name == "no source slice for mask slices (3,)").make(), named=True)


def test_a_source_slice_that_lies_elsewhere_is_not_another_grid() -> None:
    """One slice of the source is 0.5 mm off in its plane or along z."""
    grid = SMALL
    image = image_series(grid)
    mask = mask_series(image, (labels_on(grid) > 0).astype("u2"), own_uids=True)
    x, y, z = (float(v) for v in image[2].ImagePositionPatient)
    image[2].ImagePositionPatient = [x, y, z + 0.5]
    uids = str(mask[0].SeriesInstanceUID), str(image[0].SeriesInstanceUID)
    verdict = judge(Pair("moved", [to_bytes(i) for i in image], [to_bytes(m) for m in mask], 0, [], uids))
    assert (verdict.kind, verdict.detail) == ("refused", "geometry_mismatch")


@pytest.mark.parametrize("name", ["other grid: twice as fine", "other grid: 1.5 mm isotropic"])
def test_centres_between_two_voxels_are_no_fault(name: str) -> None:
    """A grid twice as fine has its centres between ours: both ways to round are right, if it is one way."""
    check(next(case for case in all_cases() if case.name == name).make(), named=True)


def test_the_reconstruction_of_the_same_extent_is_the_source() -> None:
    """Another reconstruction lies one whole pixel further: the mask's corner is that of its own."""
    check(next(c for c in all_cases() if c.name == "three reconstructions, one a pixel further").make(), named=True)


@pytest.mark.parametrize(
    ("tag", "vr", "value"),
    [
        (ROWS, "US", b"\x0d\0"),
        (SPACING, "DS", b"1.6\\0.7"),
        (SPACING, "DS", b"0.8\\0.72"),
        (ORIENTATION, "DS", b"1\\0.0002\\0\\0\\1\\0"),
        (ORIENTATION, "DS", b"0.9999995\\0\\0.001\\0\\1\\0"),
        (FRAMES, "IS", b"-1"),
        (SOP_CLASS, "UI", b""),
        (SOP_CLASS, "UI", b"1.2"),
        (SOP_CLASS, "UI", b"1.2.840.10008.5.1.4.1.1.2.1"),
        (0x00080005, "CS", b"ISO 2022 IR 87"),
        (0x00080060, "FD", b"OT"),
    ],
    ids=[
        "rows",
        "spacing",
        "column spacing",
        "row turned",
        "normal turned",
        "no frames",
        "no class",
        "no such class",
        "multi-frame class",
        "character set",
        "modality of another kind",
    ],
)
@pytest.mark.parametrize("only", [(1,), (0, 1, 2, 3, 4)], ids=["one", "all"])
def test_a_source_with_an_odd_slice_is_no_exception(tag: int, vr: str, value: bytes, only: tuple[int, ...]) -> None:
    """Another matrix, spacing, direction, class: exact, or refused; not a bare exception, and not a fault."""
    made = pair()
    for index in only:
        made.image[index] = with_element(made.image[index], tag, vr, value)
    is_right(made)


@pytest.mark.parametrize("vr", ["FD", "US", "D\x00"], ids=["FD", "US", "none"])
def test_numbers_of_another_kind_are_no_exception(vr: str) -> None:
    """RescaleSlope says to be eight bytes, or a kind of value that there is not."""
    made = pair()
    index = 2
    made.mask[index] = with_element(made.mask[index], SLOPE, "DS", b"2 ").replace(
        b"\x28\0\x53\x10DS", b"\x28\0\x53\x10" + vr.encode()
    )
    is_right(made, fault=True)


def test_no_fragments_are_no_exception() -> None:
    """Encapsulated pixel data with a frame less than it says."""
    made = pair("JPEG-LS")
    made.mask[2] = with_element(made.mask[2], FRAMES, "IS", b"2 ")
    is_right(made)
    made.mask[2] = with_element(made.mask[2], FRAMES, "IS", b"0 ")
    is_right(made)


def test_a_sequence_where_text_should_be_is_no_exception() -> None:
    """A PACS takes such files in: the archive in memory has to say so in its own words."""
    made = pair()
    for index in range(5):
        made.mask[index] = with_element(made.mask[index], 0x0008103E, "SQ", b"liver ")
    try:
        is_right(made, fault=True)
    except Mask2SegError:
        pytest.fail("a fault leaves the pipeline as a fault, not the judge")


def test_the_grid_of_the_found_cases_is_the_small_one() -> None:
    """12 x 10 x 5, so that 6 rows are half of it."""
    assert (SMALL.rows, SMALL.columns, SMALL.planes) == (12, 10, 5)
    assert Grid().rows == 24


def test_frames_that_are_not_described_are_not_dropped() -> None:
    """An enhanced mask of 5 frames of which only some say where they lie: the others would be lost."""
    from tests.mutations import one

    assert one(41000947)[3].kind == "refused"


def test_a_frame_of_reference_of_another_kind_is_not_overlooked() -> None:
    """FrameOfReferenceUID written as a number, which 1.2.3.4 is not: the foreign frame of reference still counts."""
    made = pair()
    for index in range(5):
        made.mask[index] = with_element(made.mask[index], 0x00200052, "UI", b"1.2.3.4\0").replace(
            b"\x20\0\x52\0UI", b"\x20\0\x52\0DS"
        )
    is_right(made)


def test_a_source_whose_header_is_damaged_is_not_used() -> None:
    """Its RescaleIntercept has a kind of value that there is not: no reader could open it beside the segmentation."""
    made = pair()
    made.image[2] = with_element(made.image[2], 0x00281052, "DS", b"-1024 ").replace(
        b"\x28\0\x52\x10DS", b"\x28\0\x52\x10\x44\xc5"
    )
    is_right(made)


def test_the_low_byte_of_air_is_no_background() -> None:
    """-1024/-1023 of which one slice says to be 8 bits and unsigned, so that it reads 0 and 1."""
    made = pair("-1024/-1023")
    made.mask[2] = with_element(made.mask[2], BITS_STORED, "US", b"\x08\0")
    made.mask[2] = with_element(made.mask[2], 0x00280103, "US", b"\0\0")
    verdict = judge(made)
    assert (verdict.kind, verdict.detail) == ("refused", "corrupt_pixel_data")


@pytest.mark.parametrize("bits", [b"\x08\0", b"\x0c\0"])
def test_fewer_bits_of_air_are_background(bits: bytes) -> None:
    """-1024/-1023 of which all slices say to be 8 bits: 0 and 1 to any reader, and 0 is what was -1024."""
    made = pair("-1024/-1023")
    made.mask = [with_element(content, BITS_STORED, "US", bits) for content in made.mask]
    assert judge(made).kind == "exact"


@pytest.mark.parametrize("bits", [b"\x08\0", b"\x0c\0", b"\x01\0"])
def test_bits_that_change_no_value_are_no_damage(bits: bytes) -> None:
    """BitsStored of one slice among others: 0 and 1 stay what they are."""
    made = pair("seed copy")
    made.mask[2] = with_element(made.mask[2], BITS_STORED, "US", bits)
    is_right(made)


def test_a_source_of_several_sizes_of_pixels_is_no_exception() -> None:
    """BitsAllocated with two values, which is one too many."""
    made = pair()
    made.image[0] = with_element(made.image[0], 0x00280100, "US", b"\x10\0\x10\0")
    is_right(made)


@pytest.mark.parametrize("name", ["another grid", "own UIDs, 0/255"])
def test_a_slice_of_less_than_no_frames_is_not_dropped(name: str) -> None:
    """NumberOfFrames -1 on the last slice of the source: left out without a word, it would be no image at all."""
    made = pair(name)
    made.image[-1] = with_element(made.image[-1], FRAMES, "IS", b"-1")
    is_right(made)


def test_a_patient_that_cannot_be_read_is_not_taken_for_none() -> None:
    """PatientID of the source written as a number of twelve bytes: it may be anybody's."""
    made = pair()
    for index in range(5):
        made.image[index] = with_element(made.image[index], PATIENT, "LO", b"someone else").replace(
            b"\x10\0\x20\0LO", b"\x10\0\x20\0FD"
        )
    is_right(made)


@pytest.mark.parametrize("moved", ["source", "mask"])
def test_a_patient_of_another_kind_is_read_where_it_can_be(moved: str) -> None:
    """PatientID as a number of eight bytes, which happen to be text: another patient than the other's, if anything."""
    made = pair()
    files = made.image if moved == "source" else made.mask
    for index in range(5):
        files[index] = with_element(files[index], PATIENT, "LO", b"P0000000").replace(
            b"\x10\0\x20\0LO", b"\x10\0\x20\0FD"
        )
    is_right(made, fault=True)


def test_an_instance_of_no_uid_is_not_named_in_the_segmentation() -> None:
    """A byte of the mask's SOPInstanceUID is none that a UID may have: the reference to it would be no UID either."""
    made = pair()
    made.mask[2] = with_element(made.mask[2], 0x00080018, "UI", b"1.2.\xdc.4")
    archive = MemoryArchive()
    for content in (*made.image, *made.mask):
        archive.add(content)
    mask = archive.find_series(made.mask_uid)
    (result,) = pipeline.run(archive, pipeline.Task(masks=(mask,), named_as_mask=True), Settings())
    assert result.outputs[0].orthanc_id is not None
    seg = dcmread(io.BytesIO(archive.content(result.outputs[0].orthanc_id)))
    named = [str(item.ReferencedSOPInstanceUID) for item in seg.SourceImageSequence]
    assert len(named) == 5 + 4
    assert all(UID(uid).is_valid for uid in named)


def test_slices_without_a_transfer_syntax_are_read_as_they_are() -> None:
    """Its element of the file meta information is damaged: the data set is still explicit little endian."""
    made = pair()
    made.mask[2] = made.mask[2].replace(b"\x02\0\x10\0UI", b"\x02\0\x10\x0dUI", 1)
    assert judge(made).kind == "exact"


def test_a_mask_that_is_all_foreign_has_the_background_of_its_own() -> None:
    """Every slice of the mask is lost, and one of another mask, of -1024 and -1023, has joined: 5 voxels, not 235."""
    from tests.mutations import one

    assert one(101005532)[3].kind == "exact"


def test_an_orientation_that_is_empty_in_one_slice_is_that_of_the_image_with_its_uid() -> None:
    """The oracle read it as one NaN; the slice lies where the image with its SOPInstanceUID lies."""
    from tests.mutations import one

    assert one(404001802)[3].kind == "exact"


def test_the_background_of_which_seven_bits_are_read_is_known() -> None:
    """-1024 and -1023 of which every slice says BitsStored 7 are 0 and 1."""
    from tests.mutations import one

    assert one(404004831)[3].kind == "exact"


def test_two_series_of_one_uid_that_fit_alike_are_refused() -> None:
    """A source that was torn apart by its attributes: two series of the archive, one SeriesInstanceUID, no phases."""
    from tests.mutations import one

    for seed in (404005857, 404005860):
        verdict = one(seed)[3]
        assert (verdict.kind, verdict.detail) == ("refused", "ambiguous_source")


def test_a_spacing_that_slid_out_of_its_functional_group_is_read_where_it_is() -> None:
    """Bytes were inserted before it, and the item ends too early: PixelSpacing stands beside the sequence."""
    from tests.mutations import one

    assert one(404007986)[3].kind == "exact"


def test_two_planes_on_one_plane_of_the_source_are_refused() -> None:
    """They lie 0.051 mm apart, each within 0.05 mm of the image between them: only the verification saw it."""
    from tests.mutations import one

    verdict = one(505005783)[3]
    assert (verdict.kind, verdict.detail) == ("refused", "duplicate_positions")


def test_a_table_of_offsets_says_nothing_of_pixels_that_are_not_compressed() -> None:
    from tests.mutations import one

    assert one(505009441)[3].kind == "resampled"


def test_a_damaged_jpeg_ls_stream_does_not_take_all_memory() -> None:
    """CharLS refuses it; the decoder that pydicom tried next asked for more than 20 GB."""
    from tests.mutations import one

    verdict = one(606006739)[3]
    assert (verdict.kind, verdict.detail) == ("refused", "corrupt_pixel_data")


@pytest.mark.parametrize("seed", [606009105, 606009782])
def test_a_slice_without_a_place_lies_on_its_image_however_it_is_encoded(seed: int) -> None:
    """The oracle read only undamaged Explicit VR Little Endian; the slices name their images."""
    from tests.mutations import one

    assert one(seed)[3].kind == "exact"


def test_a_complement_without_a_zero_is_refused() -> None:
    """1, 256 and 257, which surrounds the others: taken for background, it would be right here, and a guess."""
    from tests.mutations import one

    verdict = one(707003377)[3]
    assert (verdict.kind, verdict.detail) == ("refused", "unsupported_pixel_data")


def test_a_damaged_parameter_of_jpeg_ls_is_read_as_charls_reads_it() -> None:
    """MAXVAL says 767: CharLS finds the pixels as they were, and libjpeg, which the oracle asked, noise."""
    from tests.mutations import one

    assert one(808000999)[3].kind == "exact"


def test_a_mask_that_was_painted_over_with_zeros_has_the_background_zero() -> None:
    """Nothing is left of -1024, and four voxels are damaged: the oracle took 0 for a label."""
    from tests.mutations import one

    assert one(808008012)[3].kind == "exact"
