"""Value maps: every bit comes back, and what each map is for is cheaper with it."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp

import latrans
from latrans import field, floats, numbers
from latrans import mask as masks
from latrans.decimals import Divided, decimals_of
from latrans.errors import CodecError
from latrans.floats import TwoLayer, ordered, unordered
from latrans.frame import unpack
from latrans.grids import Grid
from latrans.maps import MAPS, Offset, Palette, Quantised
from latrans.wire import Reader
from random_arrays import NUMBERS, SPECIAL, dtype_of, random_content

IDENTITY, OFFSET, PALETTE, QUANTISED, TWO_LAYER, DIVIDED, GRID, STORED = range(8)  # FORMAT.md 5.1
SINGLE, WITH_EXCEPTIONS = 64, 128


def kinds(array: np.ndarray, fill_value: float | None = None) -> list[int]:
    """First bytes of the maps on offer; -1 for the map that needs none."""
    offers = field.lossless(array, fill_value)
    return [offer.section[0] if offer.section else -1 for offer in offers]


def assert_offers_are_exact(array: np.ndarray, fill_value: float | None = None) -> int:
    offers = list(field.lossless(array, fill_value))
    mask = masks.find(array, fill_value, exact=True) if array.dtype.kind == "f" else None
    for offer in offers:
        assert offer.integers.shape == array.shape
        assert abs(offer.integers).max() < 1 << 31
        found = field.unmap(offer.integers, offer.section, array.dtype)
        if mask is not None:
            masks.restore(found, mask)
        assert found.dtype == array.dtype
        assert found.tobytes() == array.tobytes()
    return len(offers)


class TestLosslessMaps:
    @settings(max_examples=200)
    @given(seed=st.integers(0, 2**32), name=st.sampled_from(NUMBERS))
    def test_every_offer_gives_every_bit_back(self, seed, name):
        dtype = dtype_of(name).newbyteorder("=")
        if not field.suits(dtype):
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
        offers = [o for o in field.lossless(array, None) if o.section[0] == TWO_LAYER]
        assert offers[0].section == b"\x04" + b"\xfd\xff" + b"\x00"  # k = -3, form 0
        assert np.array_equal(offers[0].integers, np.arange(-50, 50))


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

    @given(
        st.lists(st.tuples(st.integers(0, 31), st.integers(0, 2**31 - 1)), min_size=1, max_size=60)
    )
    def test_bits_are_packed_and_unpacked(self, pairs):
        bits = np.array([n for n, _ in pairs])
        values = np.array([v & ((1 << n) - 1) for n, v in pairs])
        data = floats._pack_bits(values, bits)
        assert len(data) in (0, -(-int(bits.sum()) // 8))
        assert np.array_equal(floats._unpack_bits(data, bits), values)


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
        first = next(field.lossless(column, None))
        assert first.section[0] & 63 == DIVIDED
        assert len(first.section) < 20
        assert np.ptp(first.integers) == np.ptp(counts)

    def test_some_may_lie_between(self):
        rng = np.random.default_rng(0)
        column = rng.integers(0, 300, 9000).astype("f4")
        column[::20] += np.float32(0.5)
        first = next(field.lossless(column, None))
        assert np.ptp(first.integers) <= 300
        assert len(first.section) * 8 < 0.3 * column.size

    def test_timestamps_are_small_integers(self):
        for stamps in (1.6e9 + 0.5 * np.arange(99), np.arange(99) * 3600 * 10**9 + 10**18):
            first = next(field.lossless(stamps, None))
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


class TestOffsets:
    @given(st.integers(-(1 << 62), 1 << 62))
    def test_are_written_and_read(self, offset):
        assert Offset.read(Reader(Offset(offset).write())) == Offset(offset)


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


class TestQuantised:
    @given(
        values=hnp.arrays(np.float32, st.integers(1, 60), elements=st.floats(-1e6, 1e6, width=32)),
        max_error=st.floats(1e-3, 1e3),
    )
    def test_bounded_maps_keep_the_bound(self, values, max_error):
        mapped = field.bounded(values, max_error, None)
        if mapped is None:
            return
        found = field.unmap(mapped.integers, mapped.section, values.dtype).astype(np.float64)
        near = np.abs(found - values) <= max_error
        assert (near | masks.special(values, None, exact=False)).all()

    def test_steps_of_integers_are_odd(self):
        for max_error, step in ((0.9, 1.0), (1, 3.0), (2.5, 5.0), (100, 201.0)):
            assert Quantised.of(np.arange(9), max_error)[1].step == step

    def test_what_cannot_be_kept_is_an_exception(self):
        array = np.full(100, 1000, np.float16)
        array[7] = 65504  # the nearest multiple of 60 rounds to infinity
        mapped = field.bounded(array, 30.0, None)
        assert mapped.section[0] == QUANTISED | WITH_EXCEPTIONS
        assert field.unmap(mapped.integers, mapped.section, array.dtype)[7] == 65504

    def test_steps_too_fine_for_32_bits_are_not_offered(self):
        assert field.bounded(np.array([1.0, 1e9]), 1e-3, None) is None
        assert field.bounded(np.array([0, 1 << 60]), 10.0, None) is None


class TestDamage:
    def test_integers_that_do_not_fit_the_dtype(self):
        for dtype in ("u1", "i2", "u4"):
            with pytest.raises(CodecError, match="do not fit"):
                field.unmap(np.array([-(1 << 20)]), b"", np.dtype(dtype))

    def test_unknown_maps(self):
        with pytest.raises(CodecError, match="unknown value map"):
            field.unmap(np.array([0]), bytes((len(MAPS),)), np.dtype("f4"))

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
            found = field.unmap(
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
        for offer in field.lossless(array, None):
            section = bytearray(offer.section)
            section[at % len(section)] ^= byte
            try:
                found = field.unmap(offer.integers, bytes(section), array.dtype)
            except CodecError:
                continue
            assert found.shape == array.shape


@pytest.mark.usefixtures("always_model")
class TestChoice:
    """Which map a chunk gets is seen in its frame; each is smaller than any rival's bytes."""

    def section(self, model: latrans.Model, array: np.ndarray, axes: str | None = None) -> bytes:
        frame = latrans.Codec(model, axes=axes).encode(array)
        assert np.array_equal(latrans.decode(frame), array, equal_nan=array.dtype.kind == "f")
        return unpack(frame).maps

    def smooth(self, shape: tuple[int, ...]) -> np.ndarray:
        rng = np.random.default_rng(0)
        return np.rint(500 * np.sin(np.indices(shape).sum(0) / 9) + rng.normal(0, 2, shape))

    def test_packed_floats_get_their_grid(self, models):
        maps_section = self.section(models["plane"], (self.smooth((40, 40)) / 64).astype("f4"))
        assert maps_section[2] & 63 in (TWO_LAYER, DIVIDED, GRID)
        assert len(maps_section) < 24

    def test_every_plane_gets_its_own_grid(self, models):
        steps = 0.7 ** np.arange(5)[:, None, None]
        stack = (self.smooth((5, 40, 40)) * steps + 273.15).astype("f4")
        maps_section = self.section(models["plane"], stack, "zyx")
        assert maps_section[:6] == b"\x06\x03zyx\0"
        assert len(maps_section) < 5 * 25
        assert maps_section[7] & 63 in (DIVIDED, GRID)

    def test_columns_get_what_they_count_in(self, models):
        t = self.smooth((3000,))
        table = np.stack([t / 100, np.rint(t / 9) * 0.25, np.rint(t) * 1000, t], 1) + 0.0
        for dtype in ("f4", "f8"):
            maps_section = self.section(models["track"], table.astype(dtype), "tc")
            assert maps_section[0] & 2
            assert len(maps_section) < 500

    def test_spread_values_get_a_palette(self, models):
        levels = np.random.default_rng(1).integers(0, 4, (40, 40))
        sparse = np.array([87, 90, 12_345_678, 12_399_999], "i4")[levels]
        assert self.section(models["plane"], sparse)[2] & 63 == PALETTE

    def test_channels_may_differ(self, models):
        grid = (self.smooth((40, 40)) / 16).astype("f4")
        levels = np.where(grid > 0, np.float32(0.1), np.float32(70.03))
        maps_section = self.section(models["plane"], np.stack([grid, levels]), "cyx")
        assert maps_section[0] & 2

    def test_colours_that_move_together_become_differences(self, models):
        rng = np.random.default_rng(2)
        grey = (self.smooth((60, 60)) / 4 + 128 + rng.normal(0, 12, (60, 60)))[..., None]
        rgb = np.clip(grey + rng.normal(0, 1, (60, 60, 3)), 0, 255).astype("u1")
        assert self.section(models["plane"], rgb)[0] & 1
        noise = rng.integers(0, 256, (60, 60, 3)).astype("u1")
        frame = unpack(latrans.Codec(models["plane"]).encode(noise))
        assert not frame.maps or not frame.maps[0] & 1

    def test_one_column_of_noise_does_not_spoil_a_table(self, models):
        counts = self.smooth((3000,)) + 0.0
        noise = np.random.default_rng(0).normal(size=3000)
        table = np.stack([counts / 100, noise, counts], 1)
        frame = latrans.Codec(models["track"], axes="tc").encode(table)
        alone = latrans.Codec(models["track"], axes="tc").encode(table[:, ::2])
        assert latrans.decode(frame).tobytes() == table.tobytes()
        assert len(frame) < len(alone) + noise.nbytes + 40
        assert unpack(latrans.Codec(models["track"]).encode(noise)).fallback

    def test_a_mask_is_cheap(self, models):
        array = (self.smooth((40, 40)) / 16).astype("f4")
        clean = len(latrans.Codec(models["plane"]).encode(array))
        array[10:30, 10:30] = 1e20
        assert len(latrans.Codec(models["plane"]).encode(array)) < clean + 40
