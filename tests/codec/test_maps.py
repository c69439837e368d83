"""Value maps: every bit comes back, and what each map is for is cheaper with it."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp

from latrans.errors import CodecError
from latrans.format.varint import Reader
from latrans.maps import apply, two_layer
from latrans.maps import mask as masks
from latrans.maps.base import MAPS, Offset, Palette, Quantised
from latrans.maps.two_layer import TwoLayer, ordered, unordered
from map_checks import (
    DIVIDED,
    GRID,
    OFFSET,
    PALETTE,
    QUANTISED,
    SINGLE,
    TWO_LAYER,
    WITH_EXCEPTIONS,
    assert_offers_are_exact,
    kinds,
)
from random_arrays import NUMBERS, dtype_of, random_content


class TestLosslessMaps:
    @settings(max_examples=200)
    @given(seed=st.integers(0, 2**32), name=st.sampled_from(NUMBERS))
    def test_every_offer_gives_every_bit_back(self, seed, name):
        dtype = dtype_of(name).newbyteorder("=")
        if not apply.suits(dtype):
            return
        rng = np.random.default_rng(seed)
        array = random_content(rng, dtype, (int(rng.integers(1, 200)),))
        assert_offers_are_exact(array, rng.choice([None, 0, 1e20, -9999]))

    @settings(max_examples=200)
    @given(hnp.arrays(np.uint32, hnp.array_shapes(max_dims=2, max_side=20)))
    def test_any_float32_bits(self, bits):
        assert assert_offers_are_exact(bits.view(np.float32))

    def test_all_float16_bits(self):
        assert assert_offers_are_exact(np.arange(1 << 16, dtype=np.uint16).view(np.float16))

    @pytest.mark.parametrize(
        ("array", "expected"),
        [
            (np.arange(9, dtype=np.uint8), [-1]),
            (np.arange(9) + (1 << 40), [OFFSET]),
            (np.arange(9) - (1 << 61), [OFFSET]),
            (np.arange(9, dtype=np.uint32) + (1 << 31), [OFFSET]),
            (np.repeat([0, 5000, 70], 50).astype(np.int32), [-1, DIVIDED, PALETTE]),
            (np.repeat([0, 5001, 1 << 31], 50), [PALETTE]),
            (np.array([0, 1 << 40]), [DIVIDED]),
            (np.array([0, (1 << 64) - 1], np.uint64), []),
            (np.array([0, (1 << 63) - 1]), []),
            (np.sqrt(np.arange(50)), []),
            (
                np.arange(9) / np.float64(4),
                [DIVIDED | SINGLE] * 2 + [GRID | SINGLE, TWO_LAYER | SINGLE],
            ),
            (np.arange(90) / np.float64(1024), [GRID | SINGLE, TWO_LAYER | SINGLE]),
            (np.sqrt(np.repeat([0.1, 0.7], 50)).astype(np.float32), [PALETTE, TWO_LAYER]),
            (np.sqrt(np.repeat([0.1, 0.7], 50)), [PALETTE]),
            (np.array([1, np.nan, 3], np.float32), [DIVIDED]),
            (np.full(9, np.nan, np.float32), [DIVIDED]),
        ],
    )
    def test_what_is_on_offer(self, array, expected):
        found = kinds(array)
        assert found[: len(expected)] == expected
        assert bool(found) == bool(expected)
        assert_offers_are_exact(array)

    def test_values_on_a_grid_need_no_second_layer(self):
        array = (np.arange(-50, 50) / 8).astype(np.float32)
        candidate_maps = [o for o in apply.lossless(array, None) if o.section[0] == TWO_LAYER]
        assert candidate_maps[0].section == b"\x04" + b"\xfd\xff" + b"\x00"  # k = -3, form 0
        assert np.array_equal(candidate_maps[0].integers, np.arange(-50, 50))


class TestOrderedIntegers:
    @given(hnp.arrays(np.uint32, st.integers(1, 50)))
    def test_are_a_bijection(self, bits):
        values = bits.view(np.float32)
        keep = ~((values == 0) & np.signbit(values))  # negative zero is masked before
        found = unordered(ordered(values[keep]))
        assert found.tobytes() == values[keep].tobytes()

    @given(hnp.arrays(np.float32, st.integers(2, 50), elements=st.floats(width=32)))
    def test_keep_the_order(self, values):
        values = np.unique(values[np.isfinite(values)] + np.float32(0))
        assert (np.diff(ordered(values)) > 0).all()

    def test_neighbouring_floats_are_neighbouring_integers(self):
        values = np.float32([0.0, 1.0, -1.0, 1e-45, 3e38, -5e-40])
        after = np.nextafter(values, np.float32(np.inf))
        assert (ordered(after) - ordered(values) == 1).all()

    def test_doubles_have_an_order_too(self):
        values = np.array([-np.inf, -1e300, -1.0, -5e-324, 0.0, 5e-324, 1.0, 1e300, np.inf])
        assert (np.diff(ordered(values).astype(object)) > 0).all()
        assert unordered(ordered(values), np.float64).tobytes() == values.tobytes()


class TestTwoLayers:
    def test_zeros_and_tiny_values_do_not_cost_all_their_bits(self):
        rng = np.random.default_rng(0)
        values = rng.normal(size=4000).astype(np.float32) * (rng.random(4000) < 0.5)
        q, map_ = TwoLayer(0).forward(values + np.float32(0))
        n_nonzero = int((values != 0).sum())
        assert len(map_.write()) * 8 < 26 * n_nonzero + 2 * values.size
        assert map_.invert(q, np.dtype("f4")).tobytes() == (values + np.float32(0)).tobytes()

    @settings(max_examples=200)
    @given(
        values=hnp.arrays(
            np.float32,
            st.integers(1, 40),
            elements=st.floats(width=32, allow_nan=False, allow_infinity=False),
        ),
    )
    def test_every_grid_on_offer_is_exact(self, values):
        values = values + np.float32(0)  # no negative zeros: they are masked
        for exponent in TwoLayer.exponents(values):
            q, map_ = TwoLayer(exponent).forward(values)
            assert abs(q).max(initial=0) <= 1 << 31
            again = TwoLayer.read(Reader(map_.write()))
            assert again == map_
            assert again.invert(q, np.dtype(np.float32)).tobytes() == values.tobytes()

    @settings(max_examples=300)
    @given(
        values=hnp.arrays(
            np.float32,
            st.integers(1, 200),
            elements=st.floats(width=32, allow_nan=False, allow_infinity=False)
            | st.floats(-1, 1, width=32)
            | st.sampled_from([0.0, 1e-45, -1e-45, 0.5, -0.5]),
        ),
        k=st.integers(0, 5),
    )
    def test_compiled_layers_are_those_of_the_definition(self, values, k):
        native = pytest.importorskip("latrans._native")
        values = values + np.float32(0)
        exponents = list(TwoLayer.exponents(values))
        exponent = exponents[k % len(exponents)]
        q, layer = two_layer.split(values, exponent)
        found = np.empty_like(q)
        compiled = native.float_split(values, exponent, found)
        assert np.array_equal(found, q)
        assert (compiled is None) == (layer is None)
        low, octaves = layer or (b"", None)
        if layer is not None:
            assert compiled[0] == low
            assert np.array_equal(compiled[1], octaves)
        back = np.empty_like(values)
        assert native.float_join(q, exponent, low, octaves, back)
        assert back.tobytes() == two_layer.join(q, exponent, low, octaves).tobytes()
        assert back.tobytes() == values.tobytes()
        if low:
            assert not native.float_join(q, exponent, low + b"\0", octaves, back)

    @given(
        st.lists(st.tuples(st.integers(0, 31), st.integers(0, 2**31 - 1)), min_size=1, max_size=60)
    )
    def test_bits_are_packed_and_unpacked(self, pairs):
        bits = np.array([n for n, _ in pairs])
        values = np.array([v & ((1 << n) - 1) for n, v in pairs])
        data = two_layer._pack_bits(values, bits)
        assert len(data) in (0, -(-int(bits.sum()) // 8))
        assert np.array_equal(two_layer._unpack_bits(data, bits), values)


class TestPalettes:
    @given(st.sets(st.integers(-(1 << 63), (1 << 63) - 1), min_size=1, max_size=300))
    def test_are_written_and_read(self, values):
        palette = Palette(np.array(sorted(values)))
        again = Palette.read(Reader(palette.write()))
        assert np.array_equal(again.values, palette.values)

    def test_need_few_values_far_apart(self):
        assert Palette.of(np.repeat(np.arange(9), 9)) is None
        assert Palette.of(np.arange(0, 900, 100)) is None  # as many samples as values
        assert Palette.of(np.repeat(np.arange(0, 900, 100), 9)) is not None

    def test_may_span_more_than_is_worth_counting(self):
        values = np.repeat(np.array([-(1 << 40), 5, 1 << 40]), 9)
        ranks, palette = Palette.of(values).forward(values)
        assert np.array_equal(palette.invert(ranks, np.dtype("i8")), values)

    def test_of_decimals_are_small(self):
        values = np.random.default_rng(0).choice(np.arange(400) ** 2 / 100, 9000)
        sizes = [len(Palette.of(values, decimals).write()) for decimals in (2, None)]
        assert sizes[0] < 0.7 * sizes[1]

    def test_refuse_ranks_beyond_their_end(self):
        for rank in (-1, 2):
            with pytest.raises(CodecError, match="outside of its palette"):
                Palette(np.array([3, 9])).invert(np.array([0, rank]), np.dtype("i4"))


class TestOffsets:
    @given(st.integers(-(1 << 62), 1 << 62))
    def test_are_written_and_read(self, offset):
        assert Offset.read(Reader(Offset(offset).write())) == Offset(offset)


class TestQuantised:
    @given(
        values=hnp.arrays(np.float32, st.integers(1, 60), elements=st.floats(-1e6, 1e6, width=32)),
        max_error=st.floats(1e-3, 1e3),
    )
    def test_bounded_maps_keep_the_bound(self, values, max_error):
        mapped = apply.bounded(values, max_error, None)
        if mapped is None:
            return
        found = apply.unmap(mapped.integers, mapped.section, values.dtype).astype(np.float64)
        near = np.abs(found - values) <= max_error
        assert (near | masks.special(values, None, exact=False)).all()

    def test_steps_of_integers_are_odd(self):
        for max_error, step in ((0.9, 1.0), (1, 3.0), (2.5, 5.0), (100, 201.0)):
            assert Quantised.of(np.arange(9), max_error)[1].step == step

    def test_what_cannot_be_kept_is_an_exception(self):
        array = np.full(100, 1000, np.float16)
        array[7] = 65504  # the nearest multiple of 60 rounds to infinity
        mapped = apply.bounded(array, 30.0, None)
        assert mapped.section[0] == QUANTISED | WITH_EXCEPTIONS
        assert apply.unmap(mapped.integers, mapped.section, array.dtype)[7] == 65504

    def test_steps_too_fine_for_32_bits_are_not_offered(self):
        assert apply.bounded(np.array([1.0, 1e9]), 1e-3, None) is None
        assert apply.bounded(np.array([0, 1 << 60]), 10.0, None) is None


class TestDamage:
    def test_integers_that_do_not_fit_the_dtype(self):
        for dtype in ("u1", "i2", "u4"):
            with pytest.raises(CodecError, match="do not fit"):
                apply.unmap(np.array([-(1 << 20)]), b"", np.dtype(dtype))

    def test_unknown_maps(self):
        with pytest.raises(CodecError, match="unknown value map"):
            apply.unmap(np.array([0]), bytes((len(MAPS),)), np.dtype("f4"))

    @settings(max_examples=500)
    @given(
        kind=st.integers(0, len(MAPS) - 1),
        flags=st.sampled_from([0, SINGLE, WITH_EXCEPTIONS]),
        body=st.binary(max_size=60),
        dtype=st.sampled_from(["u1", "i8", "f2", "f4", "f8"]),
        approximate=st.booleans(),
    )
    def test_any_bytes(self, kind, flags, body, dtype, approximate):
        integers = np.array([[-(1 << 31), -1, 0], [1, 7, (1 << 31) - 1]])
        try:
            found = apply.unmap(
                integers, bytes((kind | flags,)) + body, np.dtype(dtype), approximate
            )
        except CodecError:
            return
        assert found.shape == integers.shape

    @settings(max_examples=500)
    @given(at=st.integers(0, 1 << 30), byte=st.integers(0, 255), which=st.integers(0, 5))
    def test_flipped_bytes(self, at, byte, which):
        rng = np.random.default_rng(which)
        array = rng.integers(0, 3000, 400) / (64, 100, 7, 100, 13, 1)[which]
        array = array.astype("f8" if which == 3 else "f4")
        array[::40] += 0.0078
        for offer in apply.lossless(array, None):
            section = bytearray(offer.section)
            section[at % len(section)] ^= byte
            try:
                found = apply.unmap(offer.integers, bytes(section), array.dtype)
            except CodecError:
                continue
            assert found.shape == array.shape
