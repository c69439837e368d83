"""Stores of format 2 that Zarr's own migration, or a virtual store, describes by format 3."""

from __future__ import annotations

import json
import pickle
from typing import Any

import numpy as np
import pytest
import zarr
from zarr.storage import MemoryStore

from adapter_samples import assert_same_bits, create, make_array, run_python
from latrans.errors import CodecError, ConfigError
from latrans.numcodecs import Latrans
from latrans.zarr import LatransAdapter

migration = pytest.importorskip("zarr.metadata.migrate_v3")
pytestmark = [
    pytest.mark.filterwarnings("ignore::zarr.errors.UnstableSpecificationWarning"),
    pytest.mark.filterwarnings("ignore:Numcodecs codecs are not in"),
]


def migrated(store: Any) -> Any:
    migration.migrate_v2_to_v3(input_store=store)
    return zarr.open(store, zarr_format=3)


@pytest.mark.parametrize("order", ["C", "F"])
class TestMigration:
    @pytest.mark.parametrize("dtype", ["|u1", "<i2", ">i2", "<f4", ">f8", "|b1", "<c8", "<M8[s]"])
    @pytest.mark.parametrize("shape", [(20, 12), (7,), (5, 6, 4), (1, 9)])
    def test_every_value_is_there_and_can_be_changed(self, order, dtype, shape):
        store, values = MemoryStore(), make_array(dtype, shape)
        zarr.create_array(
            store, data=values, chunks=tuple(-(-n // 2) for n in shape), zarr_format=2,
            order=order, compressors=Latrans(),
        )  # fmt: skip
        z = migrated(store)
        assert_same_bits(z[...].astype(values.dtype), values)
        changed = values.copy()
        z[:3] = changed[:3] = values[::-1][:3]
        assert_same_bits(z[...].astype(values.dtype), changed)
        # Whoever reads format 2 sees the same: both share the chunks.
        assert_same_bits(zarr.open(store, zarr_format=2)[...], changed)

    def test_groups_filters_and_bounds(self, order):
        from numcodecs import BitRound, Delta

        store, values = MemoryStore(), make_array("<f4")
        group = zarr.open_group(store, mode="w", zarr_format=2)
        kept = {
            "exact": (values, None, Latrans("field-1", axes="yx")),
            "bounded": (values, None, Latrans("field-1", mode="bounded", max_error=0.5)),
            "rounded": (values, [BitRound(8)], Latrans("field-1")),
            "delta": (make_array("<i4"), [Delta("<i4")], Latrans()),
        }
        for name, (data, filters, compressor) in kept.items():
            z = group.create_array(
                name, shape=data.shape, dtype=data.dtype, chunks=(20, 7), filters=filters,
                compressors=compressor, order=order,
            )  # fmt: skip
            z[:] = data
        before = {name: group[name][:] for name in kept}
        if order == "F" and zarr.__version__ < "3.3":
            del before["delta"]  # such filters read it otherwise there, whatever the compressor
        found = migrated(store)
        for name, expected in before.items():
            assert_same_bits(found[name][:], expected)
        written = found["bounded"][:]
        found["bounded"][:5] = values[:5]  # a part: what was read is written again
        written[:5] = values[:5]
        assert_same_bits(found["bounded"][:], written)


class TestCodec:
    def test_configuration_is_that_of_format_2(self):
        codec = Latrans("field-1", mode="bounded", max_error=0.5)
        entry = {"name": "numcodecs.latrans", "configuration": codec.get_config()}
        found = LatransAdapter.from_dict(entry)
        assert found.to_mapping() == codec.to_mapping()
        assert LatransAdapter.from_dict(json.loads(json.dumps(found.to_dict()))) == found
        assert pickle.loads(pickle.dumps(found)) == found
        with pytest.raises(ConfigError, match="unknown entries"):
            LatransAdapter.from_dict({"name": "numcodecs.latrans", "configuration": {"x": 1}})

    def test_chunks_of_another_array_are_refused(self):
        store = MemoryStore()
        create("v2", store, data=make_array("<i2", (8, 6)), chunks=(8, 6))
        z = migrated(store)
        other = create("v3", {}, shape=(9, 6), dtype="<i2", chunks=(9, 6)).metadata.to_dict()
        other["codecs"] = z.metadata.to_dict()["codecs"]
        other["chunk_key_encoding"] = z.metadata.to_dict()["chunk_key_encoding"]
        plain: dict[str, Any] = {"0.0": store._store_dict["0.0"]}
        plain["zarr.json"] = zarr.core.buffer.cpu.Buffer.from_bytes(json.dumps(other).encode())
        with pytest.raises(CodecError, match="do not belong together"):
            zarr.open_array(MemoryStore(plain))[:]

    def test_shards_and_missing_chunks(self):
        values = make_array("<i2", (20, 12))
        z = zarr.create_array(
            {}, shape=values.shape, dtype="<i2", chunks=(5, 6), shards=(10, 12),
            compressors=LatransAdapter(),
        )  # fmt: skip
        z[:7] = values[:7]
        expected = np.where(np.arange(20)[:, None] < 7, values, 0).astype("<i2")
        assert_same_bits(z[:], expected)

    def test_readers_need_no_import(self, tmp_path):
        values = make_array("<i2")
        create("v2", tmp_path, data=values)
        migration.migrate_v2_to_v3(input_store=zarr.storage.LocalStore(tmp_path))
        run_python(
            f"""
            import zarr
            assert zarr.open({str(tmp_path)!r}, zarr_format=3)[:].sum() == {int(values.sum())}
            """
        )
