"""latrans in arrays of Zarr format 2: what is particular to that format."""

from __future__ import annotations

import json
from typing import Any

import numpy as np
import pytest
import zarr

import latrans
from adapter_samples import DTYPES, assert_same_bits, create, make_array
from latrans.numcodecs import Latrans

pytestmark = pytest.mark.filterwarnings("ignore::zarr.errors.UnstableSpecificationWarning")


class Spy(Latrans):
    """Keeps what Zarr hands over."""

    seen: list[np.ndarray[Any, Any]]

    def encode(self, buf: Any) -> bytes:
        self.seen.append(buf)
        return super().encode(buf)


class TestMemoryOrder:
    @pytest.mark.parametrize("dtype", ["|u1", ">i2", "<f8", "<M8[s]"])
    def test_frames_of_an_f_array_are_read_in_f_order(self, dtype):
        # Zarr flattens what decode returns as it lies in memory, then reshapes in F order: a
        # chunk that comes back in C order is scrambled without a word.
        values = make_array(dtype, (6, 10, 3))
        z = create("v2", data=values, chunks=(6, 10, 3), order="F")
        assert_same_bits(z[:], values)
        assert (
            latrans.Codec().decode(Latrans().encode(np.asfortranarray(values))).flags.f_contiguous
        )

    def test_arrays_of_both_orders_hold_the_same_values(self):
        values = make_array("<i4", (6, 10, 3))
        c, f = (create("v2", data=values, chunks=(4, 4, 2), order=order) for order in "CF")
        assert_same_bits(c[:], f[:])


class TestTypes:
    @pytest.mark.parametrize("dtype", DTYPES)
    def test_decode_returns_the_dtype_itself_not_one_of_its_size(self, dtype):
        # Zarr views the result as the array's dtype and would not notice.
        values = make_array(dtype)
        z = create("v2", data=values, chunks=(20, 12))
        (codec,) = z.compressors
        frame = codec.encode(z[:])
        assert codec.decode(frame).dtype == values.dtype
        assert codec.decode(frame).dtype.str == values.dtype.str

    def test_chunks_arrive_whole_with_their_real_dtype(self):
        spy = Spy()
        object.__setattr__(spy, "seen", [])
        values = make_array(">f4")
        z = zarr.create_array(
            {}, shape=(20, 12), chunks=(16, 16), dtype=">f4", zarr_format=2,
            fill_value=np.nan, compressors=spy,
        )  # fmt: skip
        z[:] = values
        assert [(a.shape, a.dtype.str) for a in spy.seen] == [((16, 16), ">f4")] * 2
        edge = next(a for a in spy.seen if np.isnan(a).sum() > 100)
        np.testing.assert_array_equal(edge[:4, :12], values[16:])
        assert_same_bits(z[:], values)


class TestMetadata:
    def test_the_stored_configuration_is_complete(self, tmp_path):
        codec = {"mode": "bounded", "max_error": 0.25, "fill_value": -999, "axes": "yx"}
        create("v2", tmp_path, codec, shape=(4, 4), dtype="<f4")
        stored = json.loads((tmp_path / ".zarray").read_text())
        assert stored["compressor"] == {"id": "latrans", "model": "image-1", **codec}
        assert zarr.open_array(tmp_path).compressors == (Latrans(**codec),)

    def test_as_filter_the_configuration_stands_among_the_filters(self, tmp_path):
        create("v2-filter-then-zstd", tmp_path, shape=(4, 4), dtype="<f4")
        stored = json.loads((tmp_path / ".zarray").read_text())
        assert stored["filters"] == [Latrans().get_config()]
        assert stored["compressor"]["id"] == "zstd"

    def test_a_configuration_as_plain_data(self):
        values = make_array("<i2")
        z = zarr.create_array(
            {}, shape=values.shape, dtype=values.dtype, zarr_format=2, filters=None,
            compressors={"id": "latrans", "model": "image-1", "mode": "lossless"},
        )  # fmt: skip
        z[:] = values
        assert z.compressors == (Latrans(),)
        assert_same_bits(z[:], values)

    def test_group_arrays(self):
        values = make_array("<i2")
        group = zarr.create_group({}, zarr_format=2)
        z = group.create_array("a", data=values, compressors=Latrans(), chunks=(8, 8))
        assert z.compressors == (Latrans(),)
        assert_same_bits(zarr.open_group(group.store)["a"][:], values)


class TestFilters:
    def test_after_another_filter(self):
        # Delta hands on a flat array of its own dtype.
        from numcodecs import Delta

        values = make_array("<i4")
        z = zarr.create_array(
            {}, shape=values.shape, chunks=(8, 8), dtype="<i4", zarr_format=2,
            filters=[Delta("<i4"), Latrans()], compressors=None,
        )  # fmt: skip
        z[:] = values
        assert_same_bits(zarr.open_array(z.store)[:], values)

    def test_on_the_bytes_of_another_compressor(self):
        from numcodecs import Zlib

        values = make_array("<i4")
        z = zarr.create_array(
            {}, shape=values.shape, chunks=(8, 8), dtype="<i4", zarr_format=2,
            filters=[Zlib()], compressors=Latrans(mode="bounded", max_error=5),
        )  # fmt: skip
        z[:] = values
        assert_same_bits(zarr.open_array(z.store)[:], values)
