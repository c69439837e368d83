"""Complex arrays within a bound: two planes of floats, held by the modulus of the error."""

from __future__ import annotations

import numpy as np
import pytest

import latrans
from format_reading import check
from latrans.transfer.compare import difference

BOUND = 0.02
SHAPES = {
    (300,): ("series-1", None),
    (20, 30): ("field-1", None),
    (2, 500): ("series-1", "ct"),
    (3, 20, 30): ("field-1", "cyx"),
    (20, 30, 3): ("field-1", "yxc"),
    (2, 3, 8, 9): ("field-1", None),
}


def waves(shape: tuple[int, ...], dtype: str) -> np.ndarray:
    """A smooth field of real and imaginary parts that turn."""
    rng = np.random.default_rng(len(shape))
    phase = np.indices(shape).sum(0) / 7
    noise = rng.normal(0, 0.05, shape) + 1j * rng.normal(0, 0.05, shape)
    return (3 * np.exp(1j * phase) + noise).astype(dtype)


@pytest.mark.usefixtures("always_model")
class TestBounded:
    @pytest.mark.parametrize("dtype", ["<c8", ">c8", "<c16", ">c16"])
    @pytest.mark.parametrize("shape", SHAPES, ids=str)
    def test_no_value_is_off_by_more_than_the_bound(
        self, shape: tuple[int, ...], dtype: str
    ) -> None:
        model, axes = SHAPES[shape]
        array = waves(shape, dtype)
        codec = latrans.Codec(model, "bounded", BOUND, axes=axes)
        for given in (array, np.asfortranarray(array), array[::-1]):
            frame = codec.encode(given)
            info, found = latrans.inspect(frame), codec.decode(frame)
            assert (info.mode, info.max_error, info.fallback) == ("bounded", BOUND, False)
            assert (found.dtype, found.shape) == (array.dtype, array.shape)
            assert found.flags.f_contiguous == given.flags.f_contiguous or array.ndim == 1
            wide = given.astype("c16")
            assert 0 < np.abs(found - wide).max() <= BOUND
            assert max(abs((found - wide).real).max(), abs((found - wide).imag).max()) <= BOUND
            assert len(frame) < array.nbytes / 2

    def test_what_is_missing_in_a_part_comes_back(self) -> None:
        array = waves((40, 50), "c8")
        bits = array.view("u4").reshape(40, 50, 2)
        bits[3, 4:9, 0] = 0x7FC12345  # a NaN with a payload, real part only
        bits[5, 6, 1] = 0xFF800000
        bits[9:12, 9:30] = np.float32(1e20).view("u4")
        marked = ~(np.abs(array.view("f4").reshape(40, 50, 2)) < 100)
        codec = latrans.Codec("field-1", "bounded", BOUND, fill_value=1e20)
        found = codec.decode(codec.encode(array))
        assert np.array_equal(found.view("u4").reshape(40, 50, 2)[marked], bits[marked])
        both = ~marked.any(2)
        assert np.abs(found[both] - array[both]).max() <= BOUND
        seen = difference(array, found, BOUND)
        assert (seen.n_outside, seen.worst <= BOUND) == (0, True)

    def test_a_shipped_codec_is_found(self) -> None:
        array = waves((60, 70), "c8")
        frame = latrans.encode(array, model="auto", mode="bounded", max_error=BOUND)
        assert latrans.inspect(frame).mode == "bounded"

    @pytest.mark.parametrize("axes", [None, "cyx", "yxc", "tyx"])
    def test_another_reader_agrees(self, models, axes: str | None) -> None:
        array = waves((3, 9, 11), ">c8")
        array.view(">u4")[0, 0, 5] = 0x7FC00001
        frame = check(models["plane"], array, axes=axes, mode="bounded", max_error=BOUND)
        assert not frame.is_fallback


def test_without_a_bound_nothing_changes() -> None:
    array = waves((40, 50), "c8")
    for options in ({}, {"mode": "bounded", "max_error": 1e-300}):
        frame = latrans.Codec("field-1", **options).encode(array)
        assert latrans.inspect(frame).mode == "lossless"
        assert latrans.decode(frame).tobytes() == array.tobytes()


@pytest.mark.parametrize("array", [np.array(1 + 2j), np.zeros((0, 4), "c8"), np.full(3, 1j)])
@pytest.mark.parametrize("model", ["auto", "field-1", "series-1"])
def test_scalars_and_empty_arrays(array: np.ndarray, model: str) -> None:
    found = latrans.decode(latrans.encode(array, model=model, mode="bounded", max_error=0.1))
    assert (found.shape, found.dtype) == (array.shape, array.dtype)
    assert not array.size or np.abs(found - array).max() <= 0.1


def test_a_part_that_is_infinite_says_nothing_of_the_other() -> None:
    a, b = np.array([complex(np.inf, 1)]), np.array([complex(np.inf, 1.5)])
    assert difference(a, b, 1).worst == 0.5
    assert difference(a, np.array([complex(1, 1)])).worst == np.inf
