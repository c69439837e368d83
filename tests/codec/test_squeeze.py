"""The guess at what the fallback makes of little data: alike everywhere, and rarely too high."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from latrans.fallback import estimate_small, payload

native = pytest.importorskip("latrans._native", reason="no compiled core")


@given(st.binary(max_size=200), st.binary(max_size=9), st.integers(1, 30), st.integers(1, 8))
def test_the_compiled_guess_is_the_definition(noise, repeated, times, item_size):
    data = noise + repeated * times + noise[::2]
    data = data[: len(data) // item_size * item_size]
    assert native.squeezed(data, item_size) == estimate_small.reference(data, item_size)


def test_nothing_is_a_guess_of_its_own():
    assert native.squeezed(b"", 1) == estimate_small.reference(b"", 1) == 1


@pytest.mark.parametrize("item_size", [0, 3])
def test_items_that_are_not_whole_are_refused(item_size):
    with pytest.raises(ValueError, match="whole"):
        native.squeezed(b"1234", item_size)


def pieces():
    """Noise of many widths, steps, waves, few values, repeats."""
    rng = np.random.default_rng(0)
    y, x = np.mgrid[0:28, 0:28]
    for dtype in (np.uint8, np.uint16, np.int32):
        for width in (2, 5, 20, 100, 250):
            yield rng.integers(0, width, (28, 28)).astype(dtype)
            yield np.rint(rng.laplace(100, width / 4, (28, 28))).clip(0, 250).astype(dtype)
            yield (rng.integers(0, width, (28, 28)) * (rng.random((28, 28)) < 0.2)).astype(dtype)
            yield (y * x // width + rng.integers(0, 3, (28, 28))).astype(dtype)
        yield np.zeros((28, 28), dtype)
        yield np.tile(rng.integers(0, 200, (4, 7)), (7, 4)).astype(dtype)


def test_it_says_hopeless_only_of_what_the_fallback_makes_hardly_smaller():
    cannot_beat = 0
    for array in pieces():
        data, made = array.tobytes(), len(payload.encode(array))
        assert not estimate_small.cannot_beat(data, array.itemsize, made + made // 6 + 4)
        cannot_beat += estimate_small.cannot_beat(data, array.itemsize, made * 3 // 4)
    assert cannot_beat > 10  # so it is of use


def test_of_data_that_nearly_vanishes_it_says_nothing():
    assert not estimate_small.cannot_beat(bytes(784), 1, 20)
