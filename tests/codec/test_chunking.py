"""Chunks by default: what is predicted jointly stays together, within a size that reads alone."""

from __future__ import annotations

import math

from hypothesis import given
from hypothesis import strategies as st

from latrans.chunk.chunking import default_chunks


def test_what_is_predicted_jointly_stays_together() -> None:
    assert default_chunks((100, 2000, 3000), "zyx") == (4, 512, 512)
    assert default_chunks((1_000_000, 8), "tc") == (131072, 8)
    assert default_chunks((60000, 28, 28)) == (1337, 28, 28)
    assert default_chunks(()) == ()


def test_recordings_are_long_whatever_letter_their_model_has() -> None:
    for axes in ("t", "x"):
        assert default_chunks((1_000_000,), axes) == (131072,)
        assert default_chunks((16, 1_000_000), "n" + axes) == (8, 131072)
        assert default_chunks((0,), axes) == (16384,)


def test_arrays_that_are_to_grow_get_chunks_worth_having() -> None:
    assert default_chunks((0, 64), "tc") == (16384, 64)
    assert default_chunks((0,)) == (16384,)
    assert default_chunks((0, 600, 700), "zyx") == (4, 512, 512)
    assert default_chunks((600, 0), "yx") == (512, 512)


@given(st.lists(st.tuples(st.integers(0, 1 << 40), st.sampled_from("ntzcyx")), max_size=6))
def test_chunks_are_whole_and_hold_a_million_samples_at_most(dimensions: list[tuple]) -> None:
    shape = [size for size, _ in dimensions]
    for axes in (None, "".join(letter for _, letter in dimensions)):
        chunks = default_chunks(shape, axes)
        assert all(1 <= n <= (size or n) for n, size in zip(chunks, shape, strict=True))
        assert math.prod(chunks) <= 1 << 20
