"""Zarr's own filters in front of latrans, and arrays put together of the chunks of others."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
import zarr
from zarr.codecs import BytesCodec, TransposeCodec

from adapter_samples import assert_same_bits, make_array
from latrans.errors import CodecError, ConfigError
from latrans.numcodecs import Latrans
from latrans.zarr import LatransCodec

zn = pytest.importorskip("zarr.codecs.numcodecs")
pytestmark = [
    pytest.mark.filterwarnings("ignore::zarr.errors.UnstableSpecificationWarning"),
    pytest.mark.filterwarnings("ignore:Numcodecs codecs are not in"),
]

FILTERS: dict[str, tuple[str, Any]] = {
    "fixedscaleoffset": (
        "<f8", lambda: zn.FixedScaleOffset(offset=27.25, scale=100, dtype="f8", astype="i4")
    ),
    "delta": ("<i4", lambda: zn.Delta(dtype="i4")),
    "delta of another dtype": ("<i2", lambda: zn.Delta(dtype="i2", astype="i4")),
    "delta of times": ("<M8[s]", lambda: zn.Delta(dtype="i8")),
    "bitround": ("<f4", lambda: zn.BitRound(keepbits=9)),
    "bitround of doubles": ("<f8", lambda: zn.BitRound(keepbits=20)),
    "quantize": ("<f4", lambda: zn.Quantize(digits=2, dtype="f4")),
    "astype": ("<i4", lambda: zn.AsType(encode_dtype="i2", decode_dtype="i4")),
    "packbits": ("|b1", zn.PackBits),
}  # fmt: skip


def stored(values: np.ndarray[Any, Any], filters: Any, serializer: Any, **options: Any) -> Any:
    z = zarr.create_array(
        {}, shape=values.shape, dtype=values.dtype, chunks=(8, 6), filters=filters,
        serializer=serializer, compressors=None, **options,
    )  # fmt: skip
    z[:] = values
    z[3:5, 1:8] = values[3:5, 1:8]  # what is there is read first
    return z[:]


@pytest.mark.parametrize("name", FILTERS)
class TestFilters:
    @pytest.mark.parametrize("options", [{}, {"shards": (16, 12)}], ids=["chunks", "shards"])
    def test_they_give_what_they_give_with_zarrs_serializer(self, name, options):
        dtype, make = FILTERS[name]
        values = make_array(dtype)
        expected = stored(values, [make()], BytesCodec(), **options)
        assert_same_bits(stored(values, [make()], LatransCodec(), **options), expected)

    def test_after_a_transpose(self, name):
        dtype, make = FILTERS[name]
        if name == "packbits":
            pytest.skip("has one dimension, which Zarr does not transpose back")
        values = make_array(dtype)
        filters = [TransposeCodec(order=(1, 0)), make()]
        expected = stored(values, filters, BytesCodec())
        assert_same_bits(stored(values, filters, LatransCodec()), expected)

    def test_arrays_in_fortran_order_read_what_was_written_in_c_order(self, name):
        dtype, make = FILTERS[name]
        values, store = make_array(dtype), {}
        for serializer in (BytesCodec(), LatransCodec()):
            z = zarr.create_array(
                store, data=values, chunks=values.shape, filters=[make()], serializer=serializer,
                compressors=None, overwrite=True,
            )  # fmt: skip
            with zarr.config.set({"array.order": "F"}):
                assert_same_bits(zarr.open_array(store, mode="r")[:], z[:])


@pytest.mark.parametrize("axes", [None, "yx"])
class TestVirtualArrays:
    """References to chunks of many files, as chunks of one array."""

    @pytest.fixture
    def planes(self) -> Any:
        return np.random.default_rng(0).normal(size=(2, 8, 9)).astype("f4")

    def test_frames_along_a_new_dimension(self, planes, axes):
        store: dict[str, Any] = {}
        slots = {"serializer": LatransCodec("field-1", axes=axes), "compressors": None}
        more = {"serializer": {"name": "latrans", "configuration": {"model": "field-1"}}}
        if axes is not None:
            more["serializer"]["configuration"]["axes"] = axes
        z = zarr.create_array(store, shape=(2, 8, 9), dtype="f4", chunks=(1, 8, 9),
                              **{**slots, **more})  # fmt: skip
        for i, plane in enumerate(planes):
            one: dict[str, Any] = {}
            zarr.create_array(one, data=plane, chunks=(8, 9), **slots)
            store[f"c/{i}/0/0"] = one["c/0/0"]
        assert_same_bits(zarr.open_array(store)[:], planes)
        z[1] = planes[0]
        assert_same_bits(zarr.open_array(store)[:], planes[[0, 0]])

    def test_frames_with_a_dimension_less(self, planes, axes):
        axes = None if axes is None else "n" + axes
        three: dict[str, Any] = {}
        slots = {"serializer": LatransCodec("field-1", axes=axes), "compressors": None}
        zarr.create_array(three, data=planes[:1], chunks=(1, 8, 9), **slots)
        two: dict[str, Any] = {}
        slots["serializer"] = LatransCodec("field-1", axes=None if axes is None else "yx")
        zarr.create_array(two, shape=(8, 9), dtype="f4", chunks=(8, 9), **slots)
        two["c/0/0"] = three["c/0/0/0"]
        assert_same_bits(zarr.open_array(two)[:], planes[0])

    def test_other_shapes_stay_refused(self, planes, axes):
        store: dict[str, Any] = {}
        slots = {"serializer": LatransCodec("field-1", axes=axes), "compressors": None}
        zarr.create_array(store, data=planes[0], chunks=(8, 9), **slots)
        for shape in ((9, 8), (8, 8), (72, 1)):
            other: dict[str, Any] = {}
            zarr.create_array(other, shape=shape, dtype="f4", chunks=shape, **slots)
            other["c/0/0"] = store["c/0/0"]
            with pytest.raises(CodecError, match="do not belong together"):
                zarr.open_array(other)[:]


def test_wrong_axes_of_a_stored_configuration_are_refused_when_a_chunk_is_written():
    configuration = {"name": "latrans", "configuration": {"axes": "yx"}}
    z = zarr.create_array(
        {}, shape=(4, 4, 4), dtype="u1", chunks=(4, 4, 4), serializer=configuration,
        compressors=None,
    )  # fmt: skip
    with pytest.raises(ConfigError, match="names 2 dimensions, the array has 3"):
        z[:] = 1


def test_format_2_writes_arrays_of_other_dimensions_with_a_stored_codec():
    values = make_array("<f4", (3, 8, 9))
    codec = Latrans.from_config(Latrans("field-1", axes="yx").to_mapping())
    assert_same_bits(codec.decode(codec.encode(values)), values)
    assert_same_bits(codec.decode_batch(codec.encode_batch([values, values[0]]))[0], values)
    with pytest.raises(ConfigError):
        Latrans("field-1", axes="yx").encode(values)
