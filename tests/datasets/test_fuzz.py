import pytest
from fuzz.readers import FORMATS, fuzz


@pytest.mark.parametrize("kind", FORMATS)
def test_damaged_files_are_read_completely_or_refused_in_one_line(kind, tmp_path):
    counts, faults = fuzz(kind, 150, tmp_path)
    assert not faults
    assert counts["refused"] > 20
