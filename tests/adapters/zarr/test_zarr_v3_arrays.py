"""The Zarr v3 codec among others: shards, pipelines of codecs."""

from __future__ import annotations

import dataclasses
from typing import Any

import numpy as np
import pytest
import zarr
from zarr.abc.codec import ArrayArrayCodec
from zarr.codecs import BytesCodec, Crc32cCodec, ShardingCodec, TransposeCodec, ZstdCodec
from zarr.core.array_spec import ArraySpec
from zarr.core.buffer import cpu
from zarr.core.dtype import get_data_type_from_native_dtype

import latrans
import latrans.codec
from adapter_samples import (
    assert_same_bits,
    create,
    make_array,
)
from latrans.zarr import LatransCodec

pytestmark = pytest.mark.filterwarnings("ignore::zarr.errors.UnstableSpecificationWarning")


class TestShards:
    def test_inner_chunks_are_frames_and_read_alone(self):
        values = make_array("<i2", (32, 32))
        z = create("v3-sharded", data=values, chunks=(4, 4))
        assert z.metadata.to_dict()["codecs"][0]["configuration"]["codecs"] == (
            LatransCodec().to_dict(),
        )
        assert_same_bits(z[5:7, 9:30], values[5:7, 9:30])
        z[3:6, 3:6] = values[3:6, 3:6] = -1
        assert_same_bits(zarr.open_array(z.store)[:], values)

    def test_empty_inner_chunks_and_index_at_the_start(self):
        values = np.zeros((16, 16), "<i2")
        values[5, 5] = 1
        codec = ShardingCodec(
            chunk_shape=(4, 4), codecs=[LatransCodec(), Crc32cCodec()], index_location="start"
        )
        z = create("v3", data=values, chunks=(8, 8), serializer=codec)
        assert_same_bits(zarr.open_array(z.store)[:], values)

    @pytest.mark.skipif(
        zarr.__version__ == "3.1.3", reason="Zarr 3.1.3 reads no part of a shard within a shard"
    )
    def test_shards_in_shards(self):
        values = make_array("<f4", (32, 32))
        inner = ShardingCodec(chunk_shape=(4, 4), codecs=[LatransCodec(), ZstdCodec()])
        outer = ShardingCodec(chunk_shape=(8, 8), codecs=[inner])
        z = create("v3", data=values, chunks=(16, 16), serializer=outer)
        assert_same_bits(zarr.open_array(z.store)[1:30, 7], values[1:30, 7])

    def test_order_f_in_shards(self):
        values = make_array("<i4", (16, 16))
        z = create("v3-sharded", data=np.asfortranarray(values), chunks=(4, 8), order="F")
        assert_same_bits(z[:], values)


class TestPipelines:
    def test_between_other_codecs(self):
        values = make_array("<f4", (6, 10, 8))
        z = zarr.create_array(
            {}, data=values, chunks=(4, 5, 8), filters=[TransposeCodec(order=(2, 0, 1))],
            serializer=LatransCodec(), compressors=[ZstdCodec(), Crc32cCodec()],
        )  # fmt: skip
        assert_same_bits(zarr.open_array(z.store)[:], values)

    def test_after_a_codec_that_changes_the_dtype(self, tmp_path):
        values = make_array("<f4").round()
        z = create("v3", tmp_path, data=values, chunks=(20, 12), filters=[ToInt16()])
        assert_same_bits(z[:], values)
        frame = (tmp_path / "c" / "0" / "0").read_bytes()
        assert_same_bits(latrans.Codec().decode(frame), values.astype("<i2"))

    def test_copying_an_array_keeps_the_codec(self):
        values = make_array("<i2")
        z = create("v3", data=values, chunks=(8, 8))
        again = zarr.from_array({}, data=z)
        assert again.serializer == LatransCodec()
        assert_same_bits(again[:], values)

    def test_without_latrans_the_default_serializer_is_untouched(self):
        assert isinstance(zarr.create_array({}, shape=(4,), dtype="i2").serializer, BytesCodec)


@dataclasses.dataclass(frozen=True)
class ToInt16(ArrayArrayCodec):
    """float32 to int16, as a codec before ours may do."""

    is_fixed_size = True

    def resolve_metadata(self, chunk_spec: ArraySpec) -> ArraySpec:
        dtype = get_data_type_from_native_dtype(np.dtype("<i2"))
        return dataclasses.replace(chunk_spec, dtype=dtype, fill_value=np.int16(0))

    async def _encode_single(self, chunk_data: Any, chunk_spec: ArraySpec) -> Any:
        return cpu.NDBuffer.from_numpy_array(chunk_data.as_numpy_array().astype("<i2"))

    async def _decode_single(self, chunk_data: Any, chunk_spec: ArraySpec) -> Any:
        return cpu.NDBuffer.from_numpy_array(chunk_data.as_numpy_array().astype("<f4"))

    def compute_encoded_size(self, input_byte_length: int, chunk_spec: ArraySpec) -> int:
        return input_byte_length // 2
