"""Grids and decimals: what was packed or rounded before comes back, and costs little."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp

from latrans.errors import CodecError
from latrans.format.varint import Reader
from latrans.maps import apply
from latrans.maps import integer_lists as numbers
from latrans.maps.decimals import Divided, decimals_of
from latrans.maps.grid import Grid
from map_checks import (
    DIVIDED,
    assert_offers_are_exact,
)


class TestDivided:
    @settings(max_examples=200)
    @given(
        numbers=hnp.arrays(np.int64, st.integers(1, 80), elements=st.integers(-(10**6), 10**6)),
        step=st.sampled_from([1, 5, 25, 1000, 3600]),
        odd=st.lists(st.integers(0, 10**6), max_size=5),
        decimals=st.integers(0, 4),
        dtype=st.sampled_from(["f4", "f8", "i8"]),
    )
    def test_give_every_bit_back(self, numbers, step, odd, decimals, dtype):
        integers = np.concatenate([numbers * step, np.array(odd, np.int64)])
        values = (integers / 10**decimals).astype(dtype) if dtype != "i8" else integers
        if dtype != "i8":
            values = values + np.zeros(1, dtype)
        assert assert_offers_are_exact(values)

    @pytest.mark.parametrize("dtype", ["f4", "f8"])
    @pytest.mark.parametrize("step", [0.1, 0.05, 0.25, 0.01, 100, 0.125])
    def test_find_what_a_column_counts_in(self, step, dtype):
        counts = np.rint(np.cumsum(np.random.default_rng(0).normal(size=4000)) * 9)
        column = (counts * step).round(4).astype(dtype) + np.zeros(1, dtype)
        first = next(apply.lossless(column, None))
        assert first.section[0] & 63 == DIVIDED
        assert len(first.section) < 20
        assert np.ptp(first.integers) == np.ptp(counts)

    def test_some_may_lie_between(self):
        rng = np.random.default_rng(0)
        column = rng.integers(0, 300, 9000).astype("f4")
        column[::20] += np.float32(0.5)
        first = next(apply.lossless(column, None))
        assert np.ptp(first.integers) <= 300
        assert len(first.section) * 8 < 0.3 * column.size

    def test_timestamps_are_small_integers(self):
        for stamps in (1.6e9 + 0.5 * np.arange(99), np.arange(99) * 3600 * 10**9 + 10**18):
            first = next(apply.lossless(stamps, None))
            assert np.array_equal(np.diff(first.integers), np.ones(98))

    def test_floats_without_decimals_have_none(self):
        assert decimals_of(np.random.default_rng(0).normal(280, 9, 5000).astype("f4")) == []

    def test_refuse_values_beyond_64_bits(self):
        map_ = Divided(0, 1 << 40, 5)
        with pytest.raises(CodecError, match="out of range"):
            map_.invert(np.array([1 << 31]), np.dtype("i8"))


class TestGrids:
    def packed(self, step: float, offset: float, dtype: str) -> np.ndarray:
        q = np.rint(np.cumsum(np.random.default_rng(0).normal(size=(60, 60)) * 90, 1))
        return (q * step + offset).astype(dtype)

    @pytest.mark.parametrize("dtype", ["f4", "f8"])
    @pytest.mark.parametrize("offset", [0.0, 273.15, -31.0078125, 1e3])
    @pytest.mark.parametrize("step", [2.0**-9, 2.0**-12, 0.0123456789, 1 / 3])
    def test_are_found(self, step, offset, dtype):
        values = self.packed(step, offset, dtype)
        grid = Grid.of(values)
        q, map_ = grid.forward(values)
        assert abs(grid.step / step - 1) < 1e-6
        assert map_.invert(q, values.dtype).tobytes() == values.tobytes()
        if dtype == "f4":
            assert len(map_.write()) < 60

    def test_unpacked_in_single_precision_are_corrected(self):
        q = np.random.default_rng(0).integers(0, 60_000, 5000).astype("f4")
        values = q * np.float32(0.00217) + np.float32(273.15)
        found, map_ = Grid.of(values).forward(values)
        assert map_.invert(found, values.dtype).tobytes() == values.tobytes()
        assert 100 < len(map_.write()) * 8 < 2 * values.size

    def test_true_floats_have_none(self):
        assert Grid.of(np.random.default_rng(0).normal(280, 9, 5000).astype("f4")) is None

    @settings(max_examples=200)
    @given(
        values=hnp.arrays(np.float64, st.integers(9, 60), elements=st.floats(-1e9, 1e9)),
        step=st.floats(1e-6, 10),
        offset=st.floats(-1e4, 1e4),
        dtype=st.sampled_from(["f4", "f8"]),
    )
    def test_hold_any_values_near_them(self, values, step, offset, dtype):
        values = values.astype(dtype) + np.zeros(1, dtype)
        done = Grid(step, offset).forward(values)
        if done is not None:
            again = Grid.read(Reader(done[1].write()))
            assert again.invert(done[0], values.dtype).tobytes() == values.tobytes()


class TestNumbers:
    @given(st.lists(st.integers(0, (1 << 63) - 1) | st.integers(0, 300), max_size=200))
    def test_are_written_and_read(self, values):
        data = numbers.pack(np.array(values, np.int64))
        reader = Reader(data)
        assert numbers.unpack(reader, len(values)).tolist() == values
        assert not reader.remaining

    @given(hnp.arrays(np.int64, st.integers(1, 300), elements=st.sampled_from([0, 0, 0, 1, -7])))
    def test_sparse_ones_are_written_and_read(self, values):
        positions, found = numbers.unpack_sparse(Reader(numbers.pack_sparse(values)), values.size)
        again = np.zeros_like(values)
        again[positions] = found
        assert np.array_equal(again, values)

    @settings(max_examples=300)
    @given(data=st.binary(max_size=40), n=st.integers(0, 50))
    def test_refuse_what_they_did_not_write(self, data, n):
        for read in (numbers.unpack, numbers.unpack_sparse):
            try:
                found = read(Reader(data), n)
            except CodecError:
                continue
            if read is numbers.unpack_sparse:
                assert found[0].size <= n
                assert (np.diff(found[0]) > 0).all() or found[0].size < 2
