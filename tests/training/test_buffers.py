import numpy as np
import pytest

from ert import InputError
from ert.training.buffers import BLOCK_LENGTH, ROW_ALIGNMENT, allocate, new_pool


@pytest.mark.parametrize("mapped", [False, True])
def test_rows_of_a_pool_are_aligned_and_readable_bytes_follow_the_last(mapped):
    pool = new_pool(2 * BLOCK_LENGTH + 1, 65, mapped=mapped)
    assert pool.shape == (3, BLOCK_LENGTH, 128)
    behind = pool.base
    while isinstance(behind, np.ndarray) and behind.size < pool.size + ROW_ALIGNMENT:
        behind = behind.base
    assert behind.size == pool.size + ROW_ALIGNMENT
    assert not pool.any()
    pool[...] = 7


def test_a_full_disk_is_an_error_only_where_the_file_is_required(monkeypatch):
    def full(*_, **__):
        raise OSError(28, "No space left on device")

    monkeypatch.setattr("tempfile.TemporaryFile", full)
    assert allocate(9, mapped=None)[1] is None
    with pytest.raises(InputError, match="no space for 0 MB of training data: No space left on device"):
        allocate(9, mapped=True)
