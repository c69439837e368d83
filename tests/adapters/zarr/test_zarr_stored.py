"""What Zarr arrays keep: models that are absent, damaged chunks, other processes."""

from __future__ import annotations

import json

import numpy as np
import pytest
import zarr
from zarr.errors import UnknownCodecError

import latrans
from adapter_samples import (
    ABSENT,
    chunk_files,
    create,
    every_kind,
    make_array,
    run_python,
    whole_chunks,
)
from latrans.errors import CodecError, ConfigError, ModelNotFoundError
from latrans.format.frame import Frame, pack

pytestmark = [
    pytest.mark.filterwarnings("ignore::zarr.errors.UnstableSpecificationWarning"),
    pytest.mark.filterwarnings("ignore:Consolidated metadata"),
]


@every_kind
class TestModels:
    def test_metadata_of_an_array_whose_model_is_absent_can_be_browsed(self, kind, tmp_path):
        group = zarr.create_group(tmp_path, zarr_format=2 if kind.startswith("v2") else 3)
        create(kind, group.store, {"model": ABSENT}, name="a/b", shape=(8, 8), dtype="u1")
        zarr.consolidate_metadata(group.store)
        for opened in (
            zarr.open_group(tmp_path, use_consolidated=False),
            zarr.open_consolidated(tmp_path),
        ):
            assert dict(opened["a"].members())["b"].shape == (8, 8)
            found = opened["a/b"]
            assert ABSENT in str(found.metadata.to_dict())
            assert ABSENT in str(found.info)
            assert (found[:] == 0).all()  # nothing is stored yet, so no model is needed

    def test_writing_without_the_model_names_it(self, kind):
        z = create(kind, codec={"model": ABSENT}, shape=(32, 32), dtype="u1")
        with pytest.raises(ModelNotFoundError, match="0" * 16):
            z[:] = make_array("|u1", (32, 32))

    def test_unknown_configuration_entries_are_not_an_unknown_codec(self, kind, tmp_path):
        create(kind, tmp_path, shape=(8, 8), dtype="u1")
        metadata = tmp_path / (".zarray" if kind.startswith("v2") else "zarr.json")
        text = metadata.read_text()
        metadata.write_text(json.dumps(json.loads(text.replace('"mode"', '"model_id"'))))
        with pytest.raises(ConfigError, match="model_id") as caught:
            zarr.open_array(tmp_path)
        assert not isinstance(caught.value, UnknownCodecError)


@whole_chunks
class TestStoredBytes:
    def test_reading_without_the_model_names_it(self, kind, tmp_path):
        z = create(kind, tmp_path, shape=(8, 8), dtype="u1", chunks=(8, 8))
        z[:] = make_array("|u1", (8, 8))
        (chunk,) = chunk_files(tmp_path)
        frame = Frame("lossless", np.dtype("u1"), (8, 8), model_digest=b"\xab" * 8, residual=b"12")
        chunk.write_bytes(pack(frame))
        opened = zarr.open_array(tmp_path)
        with pytest.raises(ModelNotFoundError, match="ab" * 8):
            opened[:]

    def test_damaged_chunks_are_a_codec_error(self, kind, tmp_path):
        z = create(kind, tmp_path, data=make_array("<i2"), chunks=(20, 12))
        (chunk,) = chunk_files(tmp_path)
        intact = chunk.read_bytes()
        for damaged in (b"", intact[:-1], intact[:9], intact[::-1], intact + b"x"):
            chunk.write_bytes(damaged)
            with pytest.raises(CodecError):
                z[:]

    def test_a_chunk_is_one_frame(self, kind, tmp_path):
        values = make_array(">u2")
        create(kind, tmp_path, data=values, chunks=(20, 12))
        (chunk,) = chunk_files(tmp_path)
        assert chunk.read_bytes() == latrans.Codec().encode(values)


@whole_chunks
class TestFreshInterpreter:
    def test_reading_needs_no_import_of_latrans_and_loads_no_torch(self, kind, tmp_path):
        values = make_array("<i2")
        create(kind, tmp_path, data=values, chunks=(8, 8))
        run_python(
            f"""
            import sys, zarr
            assert "latrans" not in sys.modules
            values = zarr.open_array({str(tmp_path)!r}, mode="r")[:]
            assert values.sum() == {int(values.sum())}
            heavy = {{"torch", "dask", "pyarrow", "xarray", "distributed"}} & set(sys.modules)
            assert not heavy, heavy
            """
        )
