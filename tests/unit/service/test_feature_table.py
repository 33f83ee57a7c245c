"""The table of a project: every segmentation in it once, whatever is done again and whoever writes at a time."""

import csv
import multiprocessing
import os

import pytest

from orthanc_mask2seg.service.feature_table import append
from tests.builders import study
from tests.unit.outputs.made import converted


def table_of(*rows, columns=("simple_Volume [YEKZ]",)):
    lines = [",".join(["seg_sop_instance_uid", "segment_number", *columns])]
    return "\n".join([*lines, *(",".join(map(str, row)) for row in rows), ""]).encode()


def rows_of(path):
    with path.open(newline="", encoding="utf-8") as file:
        return [tuple(row.values()) for row in csv.DictReader(file)]


def test_the_same_segmentation_is_there_once_and_a_replaced_one_not_at_all(tmp_path):
    path = tmp_path / "project" / "features.csv"
    append(path, table_of(("1.1", 1, 10.5), ("1.1", 2, 3)))
    append(path, table_of(("1.2", 1, 7)))
    append(path, table_of(("1.1", 1, 11)))
    assert rows_of(path) == [("1.2", "1", "7"), ("1.1", "1", "11")]
    append(path, table_of(("1.3", 1, 8)), replaced=["1.2"])
    assert rows_of(path) == [("1.1", "1", "11"), ("1.3", "1", "8")]


def test_columns_that_only_some_have_are_empty_in_the_others(tmp_path):
    path = tmp_path / "features.csv"
    append(path, table_of(("1.1", 1, 10)))
    append(path, table_of(("1.2", 1, 20, 30), columns=("simple_Volume [YEKZ]", "original_glcm_JointAverage [60VM]")))
    assert rows_of(path) == [("1.1", "1", "10", ""), ("1.2", "1", "20", "30")]


def _append_some(path, first):
    for number in range(first, first + 20):
        append(path, table_of((f"1.{number}", 1, number)))


def test_several_write_at_a_time_and_nothing_is_lost(tmp_path):
    path = tmp_path / "features.csv"
    writers = [multiprocessing.Process(target=_append_some, args=(path, 20 * n)) for n in range(4)]
    for writer in writers:
        writer.start()
    for writer in writers:
        writer.join(60)
        assert writer.exitcode == 0
    assert sorted(row[0] for row in rows_of(path)) == sorted(f"1.{n}" for n in range(80))
    assert sorted(p.name for p in tmp_path.iterdir()) == [".features.csv.lock", "features.csv"]


def test_what_is_no_table_of_features_stays_as_it_is(tmp_path):
    path = tmp_path / "accounts.csv"
    path.write_text("name,amount\nx,1\n")
    with pytest.raises(ValueError, match="no column"):
        append(path, table_of(("1.1", 1, 10)))
    assert path.read_text() == "name,amount\nx,1\n"


def test_a_mask_adds_its_features_and_its_segmentation_does_not_depend_on_it(tmp_path):
    path = tmp_path / "features.csv"
    options = {"outputs": ("seg", "csv"), "radiomics_preset": "none"}
    for seed in (1, 2, 1):
        converted(study(seed=seed), feature_table=str(path), **options)
    assert len(rows_of(path)) == 2
    if os.getuid():  # root writes everywhere
        path.parent.chmod(0o500)
    else:
        path.unlink()
        path.mkdir()
    archive, content = converted(study(seed=3), feature_table=str(path), **options)
    assert content
    assert archive
