"""Masks: what no map should see is told apart and comes back."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp

from latrans.format.varint import Reader
from latrans.maps import mask as masks
from random_arrays import SPECIAL


class TestMasks:
    @given(
        bits=hnp.arrays(
            np.uint32, st.integers(1, 60), elements=st.sampled_from(SPECIAL.view("u4"))
        ),
        exact=st.booleans(),
    )
    def test_are_written_and_read(self, bits, exact):
        array = bits.view(np.float32)
        mask = masks.find(array, -9999.0, exact)
        if mask is None:
            return
        again = masks.read(Reader(mask.write()), array.shape, array.dtype)
        assert np.array_equal(again.where, mask.where)
        restored = np.zeros_like(array)
        masks.restore(restored, again)
        assert restored[mask.where].tobytes() == array[mask.where].tobytes()

    def test_hidden_values_repeat_the_last_valid_one(self):
        array = np.array([np.nan, 1, np.inf, np.nan, 5, np.nan], np.float32)
        mask = masks.find(array, None, exact=True)
        assert masks.hide(array, mask).tolist() == [1, 1, 1, 1, 5, 5]

    def test_wide_holes_in_planes_are_flat(self):
        array = np.add.outer(np.arange(30), np.arange(40)).astype("f4")
        array[5:20, 10:30] = np.nan
        array[2, 3:5] = np.nan
        hidden = masks.hide(array, masks.find(array, None, exact=True))
        assert np.unique(hidden[5:20, 10:30]).size == 1
        assert hidden[5, 10] in array
        assert hidden[2, 3:5].tolist() == [4, 4]

    @pytest.mark.parametrize("fill", [1e20, -1e30, -9999.0, 9.96921e36, 99.0, -1e308])
    def test_far_values_that_repeat_are_taken_for_fill(self, fill):
        array = np.linspace(0, 5, 40, dtype="f8" if abs(fill) > 1e38 else "f4")
        array[[3, 17]] = fill
        assert np.flatnonzero(masks.find(array, None, exact=True).where).tolist() == [3, 17]

    @pytest.mark.parametrize(
        "values", [[1e20], [20.0, 20.0], [4000.0, 4000.0, 3000.0], [99.0] * 35]
    )
    def test_other_outliers_are_data(self, values):
        array = np.linspace(1, 9, 40, dtype=np.float32)
        array[: len(values)] = values
        assert masks.find(array, None, exact=True) is None

    def test_negative_zeros_are_masked_only_where_every_bit_counts(self):
        array = np.array([1, -0.0, 0.0], np.float32)
        assert masks.find(array, None, exact=True).where.tolist() == [False, True, False]
        assert masks.find(array, None, exact=False) is None

    @given(st.lists(st.integers(0, 10_000), unique=True, max_size=50))
    def test_exceptions_are_written_and_read(self, positions):
        array = np.arange(10_001, dtype=np.float32) / 7
        at = np.array(sorted(positions), np.int64)
        data = masks.exceptions(array, at)
        assert bool(data) == bool(positions)
        if data:
            found, values = masks.read_exceptions(Reader(data), array.size, array.dtype)
            assert np.array_equal(found, at)
            assert np.array_equal(values, array[at])
