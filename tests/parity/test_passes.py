"""Compiled passes over arrays give what NumPy does, bit for bit, on every instruction set."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra import numpy as arrays

from latrans.maps import kernels

native = pytest.importorskip("latrans._native", reason="the compiled core is not built")

FLOATS = (np.float32, np.float64)
TYPES = (*FLOATS, *(np.dtype(f"{kind}{n}").type for n in (1, 2, 4, 8) for kind in "iu"))
KERNELS = native.residual_kernels()
SPECIAL = (0.0, -0.0, 1e-45, -1e-38, 0.5, 1.5, -2.5, 1e20, -3e38, np.inf, -np.inf, np.nan)


def values_of(dtype: type, seed: int, n: int = 1337) -> np.ndarray:
    """Values of many sizes; integers that float64 holds exactly."""
    rng = np.random.default_rng(seed)
    if np.dtype(dtype).kind == "f":
        return (rng.standard_normal(n) * 10.0 ** rng.integers(-6, 4, n)).astype(dtype)
    info = np.iinfo(dtype)
    lo, hi = max(info.min, -(1 << 40)), min(info.max, 1 << 40)
    return rng.integers(lo, hi, n, dtype, endpoint=True)


def quantised_on(kernel: str, values: np.ndarray, step: float, bound: float):
    out = np.empty(values.shape, np.int32)
    limits = kernels._limits(values.dtype)
    found = native.field_quantise(values, step, bound, limits, out, kernel)
    return None if found is None else (out, kernels.Compared(*found))


@pytest.mark.parametrize("kernel", KERNELS)
@pytest.mark.parametrize("dtype", TYPES)
class TestGrids:
    @pytest.mark.parametrize(
        ("step", "bound"), [(0.02, 0.01), (3.0, 1.0), (1e-3, 4e-4), (7e4, 3e4)]
    )
    def test_quantise_as_numpy(self, kernel, dtype, step, bound):
        for values in (values_of(dtype, 1), values_of(dtype, 2, 3), values_of(dtype, 3, 512)):
            found, expected = (
                quantised_on(kernel, values, step, bound),
                kernels.NumPy.quantise(values, step, bound),
            )
            assert (found is None) == (expected is None)
            if found is not None and expected is not None:
                assert np.array_equal(found[0], expected[0])
                assert found[1] == expected[1]

    def test_restore_and_compare_as_numpy(self, kernel, dtype):
        rng = np.random.default_rng(5)
        integers = rng.integers(-(1 << 31), 1 << 31, 1111).astype(np.int32)
        integers[:600] >>= 20
        limits = kernels._limits(np.dtype(dtype))
        for step in (0.125, 0.1, 3.0, 1e300):
            expected = kernels.NumPy.restore(integers, step, np.dtype(dtype))
            out = np.empty(integers.shape, dtype)
            native.field_restore(integers, step, limits, out, kernel)
            assert out.tobytes() == expected.tobytes()
            found = native.field_compare(expected, integers, step, 0.0, limits, kernel)
            assert kernels.Compared(*found) == kernels.NumPy.compare(expected, integers, step, 0.0)


@pytest.mark.parametrize("kernel", KERNELS)
@pytest.mark.parametrize("dtype", FLOATS)
class TestFloats:
    @settings(max_examples=40, deadline=None)
    @given(data=st.data())
    def test_all_kinds_as_numpy(self, kernel, dtype, data):
        some = st.one_of(st.sampled_from(SPECIAL), st.floats(width=np.dtype(dtype).itemsize * 8))
        values = data.draw(arrays.arrays(dtype, st.integers(1, 70), elements=some.map(dtype)))
        with np.errstate(over="ignore"):
            assert kernels.Extent(*native.field_extent(values, kernel)) == kernels.NumPy.extent(
                values
            )
        step = data.draw(st.sampled_from([1e-3, 0.5, 17.0, 1e30]))
        found, expected = (
            quantised_on(kernel, values, step, step / 2),
            kernels.NumPy.quantise(values, step, step / 2),
        )
        assert (found is None) == (expected is None)
        if found is not None and expected is not None:
            assert np.array_equal(found[0], expected[0])
            assert found[1] == expected[1]

    def test_ties_go_to_even(self, kernel, dtype):
        values = np.array([0.5, 1.5, 2.5, -0.5, -1.5, -2.5], dtype)
        assert quantised_on(kernel, values, 1.0, 1.0)[0].tolist() == [0, 2, 2, 0, -2, -2]


@pytest.mark.parametrize("largest", [3, 1 << 20, (1 << 26) - 1, (1 << 31) - 1])
@pytest.mark.parametrize(
    "shape", [(1, 3, 3), (2, 1, 3), (3, 1, 4), (1, 1, 2000), (2, 17, 600), (1, 2, 90), (4, 40, 2)]
)
def test_misses_as_numpy(shape, largest):
    rng = np.random.default_rng(9)
    planes = rng.integers(-largest, largest, shape, np.int32, endpoint=True)
    expected = kernels.NumPy.misses(planes) if kernels.misses(planes).size else np.zeros(0)
    assert np.array_equal(kernels.misses(planes), expected)
    rows, columns = shape[1:]
    plane = rows > 2 and columns > 2
    n = shape[0] * ((rows - 2) * (columns - 2) if plane else rows * max(0, columns - 3))
    for kernel in KERNELS if n > 0 else ():
        for wide in (False, True)[largest > 1 << 26 :]:
            sums = np.zeros((5, -(-n // 32)), np.int64)
            native.field_misses(planes, plane, wide, sums, kernel)
            assert np.array_equal(sums[: 5 if plane else 3].min(axis=0), expected)


def test_what_does_not_fit_is_refused():
    values, out = np.zeros(4, np.float32), np.zeros(3, np.int32)
    with pytest.raises(ValueError, match="as many"):
        native.field_quantise(values, 1.0, 1.0, (0.0, 0.0), out)
    with pytest.raises(ValueError, match="another type"):
        native.field_extent(np.zeros(3, np.float16))
    with pytest.raises(ValueError, match="too small"):
        native.field_misses(np.zeros((1, 1, 9), np.int32), True, False, np.zeros((5, 1), np.int64))
    with pytest.raises(ValueError, match="another shape"):
        native.field_misses(np.zeros((1, 9, 9), np.int32), True, False, np.zeros((5, 1), np.int64))


def test_half_precision_is_rounded_twice():
    integers = np.arange(-2000, 2000, dtype=np.int32)
    with np.errstate(over="ignore"):
        expected = (integers * 0.30001).astype(np.float32).astype(np.float16)
    found = kernels.restore(integers, 0.30001, np.dtype(np.float16))
    assert found.tobytes() == expected.tobytes()
