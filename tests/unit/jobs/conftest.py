"""The two databases that jobs may be in."""

import pytest
from job_scene import Place


@pytest.fixture(params=["sqlite", "postgresql"])
def place(request, tmp_path):
    """An empty state folder, or an empty database that many hosts may share."""
    if request.param == "sqlite":
        return Place(tmp_path)
    return Place(tmp_path, request.getfixturevalue("shared_postgres").create_database())
