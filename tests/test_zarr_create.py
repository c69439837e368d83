"""latrans.zarr.create and open: chunks that suit, and stores that carry their model."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
import textwrap
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import zarr

import latrans
import latrans.zarr
from adapter_samples import assert_same_bits, make_array
from latrans import store
from latrans.errors import CodecError, ConfigError, ModelError, ModelNotFoundError
from latrans.zarr import models
from synthetic_models import make_model

FORMATS = pytest.mark.parametrize("zarr_format", [3, 2])


@pytest.fixture
def model() -> latrans.Model:
    """A model that nobody else has."""
    return make_model("plane")


@pytest.fixture
def forgetting(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Any:
    """Call it to be a process that has never seen any model, with the shipped ones at most."""
    monkeypatch.setenv("LATRANS_CACHE", str(tmp_path / "cache"))
    monkeypatch.delenv("LATRANS_MODEL_PATH", raising=False)

    def forget() -> None:
        monkeypatch.setattr(store, "_loaded", {})
        monkeypatch.setattr(store, "_names", {})

    return forget


def image(shape: tuple[int, ...] = (40, 50)) -> np.ndarray[Any, Any]:
    return make_array("<i2", shape)


def run_elsewhere(source: str, cache: Path) -> None:
    """Statements in an interpreter that has no model but those that are shipped."""
    environment = {**os.environ, "LATRANS_CACHE": str(cache), "LATRANS_MODEL_PATH": ""}
    done = subprocess.run(
        [sys.executable, "-c", textwrap.dedent(source)],
        capture_output=True, text=True, check=False, env=environment,
    )  # fmt: skip
    assert done.returncode == 0, done.stderr


class TestChunks:
    @pytest.mark.parametrize(
        ("shape", "options", "chunks", "axes"),
        [
            ((2000, 3000), {}, (512, 512), None),
            ((100, 2000, 3000), {"axes": "zyx"}, (4, 512, 512), "zyx"),
            ((100, 2000, 3000), {"dimension_names": ["z", "y", "x"]}, (4, 512, 512), "zyx"),
            ((50, 700, 900), {"dimension_names": ["time", "lat", "lon"]}, (4, 512, 512), "tyx"),
            ((700, 900, 50), {"dimension_names": ["lat", "lon", "time"]}, (512, 512, 4), "yxt"),
            ((50, 700, 900), {"dimension_names": ["a", None, "b"]}, (4, 512, 512), None),
            ((1_000_000, 8), {"model": "series-1"}, (131072, 8), None),
            ((8, 1_000_000), {"model": "series-1"}, (8, 131072), None),
            ((1_000_000,), {"model": "series-1"}, (131072,), None),
            ((60_000, 28, 28), {"model": "digits-1"}, (1337, 28, 28), None),
            ((900, 800, 3), {"model": "rgb-1"}, (512, 512, 3), None),
            ((2000, 3000), {"model": "auto"}, (512, 512), None),
            ((9, 2000, 3000), {"model": "auto", "dimension_names": "zyx"}, (4, 512, 512), "zyx"),
            ((2000, 3000), {"chunks": (100, 200)}, (100, 200), None),
            ((), {}, (), None),
            ((0, 5), {}, (1, 5), None),
        ],
    )
    def test_they_suit_model_and_dimensions(self, shape, options, chunks, axes):
        z = latrans.zarr.create({}, shape=shape, dtype="u1", **options)
        assert z.chunks == chunks
        assert z.serializer.axes == axes
        assert z.metadata.codecs == (z.serializer,)  # nothing is compressed again

    def test_they_divide_shards(self):
        z = latrans.zarr.create({}, shape=(4000, 4000), dtype="u1", shards=(1000, 4000))
        assert (z.chunks, z.shards) == ((500, 500), (1000, 4000))

    @pytest.mark.parametrize(
        "options",
        [
            {"axes": "yxx"},
            {"chunks": "big"},
            {"batch_size": 0},
            {"batch_size": "many"},
            {"model_storage": "inside"},
            {"mode": "lossless", "max_error": 1.0},
            {"serializer": "auto"},
            {"compressors": None},
        ],
    )
    def test_arguments_that_do_not_go_together(self, options):
        with pytest.raises(ConfigError):
            latrans.zarr.create({}, shape=(8, 8), dtype="u1", **options)

    def test_an_array_needs_shape_and_dtype(self):
        for options in ({}, {"shape": (4,)}, {"dtype": "u1"}):
            with pytest.raises(ConfigError, match="shape and dtype"):
                latrans.zarr.create({}, **options)

    def test_absent_models_are_told_at_once(self):
        with pytest.raises(ModelNotFoundError):
            latrans.zarr.create({}, shape=(8, 8), dtype="u1", model="nobody-1")


@FORMATS
class TestArrays:
    def test_data_attributes_and_names(self, zarr_format, tmp_path):
        values = image()
        z = latrans.zarr.create(
            tmp_path, name="group/a", data=values, zarr_format=zarr_format,
            attributes={"unit": "m"}, dimension_names=["lat", "lon"],
        )  # fmt: skip
        assert type(z) is zarr.Array
        assert z.attrs["unit"] == "m"
        if zarr_format == 3:
            assert z.metadata.dimension_names == ("lat", "lon")
        else:
            assert z.attrs["_ARRAY_DIMENSIONS"] == ["lat", "lon"]
        assert_same_bits(latrans.zarr.open(tmp_path, "group/a")[:], values)
        assert_same_bits(zarr.open_group(tmp_path, mode="r")["group/a"][:], values)

    def test_modes(self, zarr_format):
        values = make_array("<f4", (64, 64))
        values[3] = 1e20
        z = latrans.zarr.create(
            {}, data=values, max_error=0.5, fill_value=1e20, zarr_format=zarr_format
        )
        found = z[:].astype("f8")
        assert 0 < np.abs(found - values).max() <= 0.5
        assert (found[3] == np.float32(1e20)).all()
        assert z.fill_value == np.float32(1e20)

    @pytest.mark.parametrize("fill_value", [None, np.nan, 0.0])
    def test_no_value_passes_for_the_fill_value(self, zarr_format, fill_value):
        values = np.array([[0x80000000, 0x7FC00001]] * 4, "u4").view("<f4")
        options = {} if fill_value is None else {"fill_value": fill_value}
        z = latrans.zarr.create({}, data=values, chunks=(4, 1), zarr_format=zarr_format, **options)
        assert_same_bits(z[:], values)

    def test_in_a_group(self, zarr_format):
        group = zarr.create_group({}, zarr_format=zarr_format)
        z = latrans.zarr.create(group, name="a", data=image(), model_storage="beside")
        assert z.metadata.zarr_format == zarr_format
        assert_same_bits(group["a"][:], image())
        assert_same_bits(latrans.zarr.open(group, "a")[:], image())

    def test_existing_arrays_are_replaced_only_when_asked(self, zarr_format, tmp_path):
        options: Any = {"data": image(), "zarr_format": zarr_format, "model_storage": "beside"}
        latrans.zarr.create(tmp_path, name="a", **options)
        with pytest.raises(Exception, match="exists"):
            latrans.zarr.create(tmp_path, name="a", **options)
        z = latrans.zarr.create(tmp_path, name="a", overwrite=True, **options)
        assert_same_bits(z[:], image())


class TestBatchSize:
    def test_it_is_that_of_the_handle(self):
        kept: dict[str, Any] = {}
        made = latrans.zarr.create(kept, shape=(8, 8), dtype="u1", batch_size=48)
        opened = latrans.zarr.open(kept, batch_size=24)
        for z, size in ((made, 48), (opened, 24), (latrans.zarr.open(kept), 1)):
            assert z.async_array.codec_pipeline.batch_size == size
        assert zarr.config.get("codec_pipeline.batch_size") == 1


@FORMATS
class TestCarried:
    """A copied store is complete: whoever has latrans[zarr] reads it."""

    @pytest.mark.parametrize("storage", ["inline", "beside"])
    def test_a_copy_opens_elsewhere_without_torch(self, zarr_format, storage, tmp_path, model):
        values = image()
        z = latrans.zarr.create(
            tmp_path / "here", name="group/a", data=values, model=model, chunks=(16, 20),
            model_storage=storage, zarr_format=zarr_format,
        )  # fmt: skip
        assert_same_bits(z[:], values)
        shutil.copytree(tmp_path / "here", tmp_path / "there")
        shutil.rmtree(tmp_path / "here")
        run_elsewhere(
            f"""
            import sys, latrans.zarr, zarr
            path = {str(tmp_path / "there")!r}
            z = latrans.zarr.open(path, "group/a", mode="r+")
            assert type(z) is zarr.Array
            assert z[:].sum() == {int(values.sum())}
            z[:16] = 7  # the model writes, too
            z[5, 5] = 8
            assert latrans.zarr.open(path)["group/a"][5, 4:6].tolist() == [7, 8]
            assert "torch" not in sys.modules
            """,
            tmp_path / "cache",
        )

    def test_inline_needs_zarr_alone(self, zarr_format, tmp_path, model):
        values = image()
        latrans.zarr.create(
            tmp_path / "a", data=values, model=model, model_storage="inline",
            zarr_format=zarr_format,
        )  # fmt: skip
        run_elsewhere(
            f"""
            import zarr
            assert zarr.open({str(tmp_path / "a")!r})[:].sum() == {int(values.sum())}
            """,
            tmp_path / "cache",
        )

    def test_beside_and_plain_zarr_says_what_to_do(self, zarr_format, tmp_path, model, forgetting):
        latrans.zarr.create(
            tmp_path, name="a", data=image(), model=model, model_storage="beside",
            zarr_format=zarr_format,
        )  # fmt: skip
        forgetting()
        z = zarr.open_group(tmp_path)["a"]
        for access in (lambda: z[:], lambda: z.__setitem__(slice(None), image())):
            with pytest.raises(ModelNotFoundError, match=r"latrans\.zarr\.open"):
                access()
        latrans.zarr.open(tmp_path, "a")
        assert_same_bits(z[:], image())

    def test_shipped_models_may_be_carried_as_well(self, zarr_format, tmp_path):
        for storage in ("inline", "beside"):
            z = latrans.zarr.create(
                tmp_path, name=storage, data=image(), model="image-fast-1",
                model_storage=storage, zarr_format=zarr_format,
            )  # fmt: skip
            assert_same_bits(z[:], image())
        kept = zarr.open_group(tmp_path)[f"models/{latrans.open_model('image-fast-1').digest}"]
        assert kept[:].tobytes() == latrans.open_model("image-fast-1").data
        assert kept.attrs["name"] == "image-fast-1"

    def test_no_warning_and_consolidated_metadata(
        self, zarr_format, tmp_path, model, forgetting, recwarn
    ):
        latrans.zarr.create(
            tmp_path, name="a", data=image(), model=model, model_storage="beside",
            zarr_format=zarr_format,
        )  # fmt: skip
        zarr.consolidate_metadata(tmp_path)
        forgetting()
        group = latrans.zarr.open(tmp_path)
        assert [name for name, _ in group.arrays()] == ["a"]
        assert_same_bits(group["a"][:], image())
        assert not [w for w in recwarn if "recognized" in str(w.message)]


class TestStorage:
    def test_references(self, model, tmp_path):
        path = tmp_path / "mine.safetensors"
        model.save(path)
        digest = f"sha256:{model.digest}"
        for given in (model, path, str(path), model.data):
            assert models.reference(given, "name") == digest
            assert models.reference(given, "beside") == digest
            assert models.reference(given, "inline").startswith("data:")
        assert models.reference("image-1", "name") == "image-1"
        assert models.reference("auto", "name") == "auto"
        inline = models.reference(model, "inline")
        assert models.reference(inline, "name") == models.reference(inline, "inline") == inline

    @pytest.mark.parametrize("storage", ["inline", "beside"])
    def test_auto_names_no_model_to_keep(self, storage):
        with pytest.raises(ConfigError, match="auto"):
            latrans.zarr.create(
                {}, name="a", shape=(8, 8), dtype="u1", model="auto", model_storage=storage
            )

    def test_large_models_do_not_go_inline(self):
        assert len(latrans.open_model("digits-1").data) > models.MAX_INLINE_NBYTES
        with pytest.raises(ConfigError, match="beside"):
            latrans.zarr.create(
                {}, shape=(8, 28, 28), dtype="u1", model="digits-1", model_storage="inline"
            )

    def test_the_root_of_a_store_has_no_place_beside_it(self, model):
        with pytest.raises(ConfigError, match="give it a name"):
            latrans.zarr.create({}, data=image(), model=model, model_storage="beside")

    def test_inline_models_are_read_once(self, model, monkeypatch):
        z = latrans.zarr.create({}, data=image(), model=model, model_storage="inline")
        monkeypatch.setattr(latrans.Model, "from_bytes", None)
        z[:] = image()
        assert_same_bits(zarr.open(z.store)[:], image())

    def test_shards_carry_it(self, tmp_path, model, forgetting):
        latrans.zarr.create(
            tmp_path, name="a", data=image((32, 32)), model=model, chunks=(8, 8), shards=(16, 16),
            model_storage="beside",
        )  # fmt: skip
        forgetting()
        assert_same_bits(latrans.zarr.open(tmp_path, "a")[:], image((32, 32)))

    def test_arrays_share_a_model(self, tmp_path, model, forgetting):
        for name in ("a", "deep/er/b"):
            latrans.zarr.create(
                tmp_path, name=name, data=image(), model=model, model_storage="beside"
            )
        assert len(list(tmp_path.rglob(model.digest))) == 1
        for path in ("a", "deep/er/b", "deep/er", "deep", None):
            forgetting()
            node = latrans.zarr.open(tmp_path, path)
            z = node if isinstance(node, zarr.Array) else zarr.open(tmp_path)["deep/er/b"]
            assert_same_bits(z[:], image())


class TestHostile:
    """What a store holds is checked before it is used."""

    @pytest.fixture
    def stored(self, tmp_path: Path, model: latrans.Model, forgetting: Any) -> Path:
        latrans.zarr.create(tmp_path, name="a", data=image(), model=model, model_storage="beside")
        forgetting()
        return tmp_path / "models" / model.digest

    def refused(self, folder: Path, error: type[Exception] = ModelError) -> str:
        root = folder.parent.parent
        messages = []
        for path in ("a", None):
            with pytest.raises(error) as caught:
                latrans.zarr.open(root, path)
            messages.append(str(caught.value))
        assert messages[0] == messages[1]
        return messages[0]

    def test_damaged(self, stored):
        data = bytearray((stored / "c" / "0").read_bytes())
        data[len(data) // 2] ^= 1
        (stored / "c" / "0").write_bytes(data)
        assert "damaged" in self.refused(stored)

    def test_gone(self, stored):
        shutil.rmtree(stored / "c")
        assert "damaged" in self.refused(stored)

    @pytest.mark.parametrize(
        "change",
        [
            {"shape": [1 << 27]},
            {"data_type": "float64"},
            {"chunk_grid": {"name": "regular", "configuration": {"chunk_shape": [1 << 40]}}},
        ],
    )
    def test_of_another_kind(self, stored, change):
        metadata = json.loads((stored / "zarr.json").read_text())
        if "data_type" in change:
            metadata["codecs"] = [{"name": "bytes", "configuration": {"endian": "little"}}]
        (stored / "zarr.json").write_text(json.dumps({**metadata, **change}))
        assert "a model is uint8" in self.refused(stored)

    def test_no_model_of_that_digest(self, stored, model):
        zarr.open_array(stored, mode="r+")[:] = 0
        assert "damaged" in self.refused(stored)

    def test_a_group_in_its_place_is_passed_by(self, stored):
        shutil.rmtree(stored)
        zarr.create_group(stored)
        z = latrans.zarr.open(stored.parent.parent, "a")
        with pytest.raises(ModelNotFoundError):
            z[:]

    def test_too_many(self, stored, monkeypatch):
        monkeypatch.setattr(models, "_MAX_GROUP_NBYTES", 100)
        with pytest.raises(ModelError, match="one by one"):
            latrans.zarr.open(stored.parent.parent)
        latrans.zarr.open(stored.parent.parent, "a")

    def test_it_is_mended_by_whoever_writes_the_next_array(self, stored, model):
        (stored / "c" / "0").write_bytes(b"x")
        latrans.zarr.create(
            stored.parent.parent, name="b", data=image(), model=model, model_storage="beside"
        )
        assert (stored / "c" / "0").read_bytes() == model.data

    def test_inline(self, tmp_path, model):
        latrans.zarr.create(tmp_path / "a", data=image(), model=model, model_storage="inline")
        metadata = (tmp_path / "a" / "zarr.json").read_text()
        for old, new in (("base64,", "base64,AAAA"), ("base64,", "base64,*")):
            (tmp_path / "a" / "zarr.json").write_text(metadata.replace(old, new))
            with pytest.raises((ModelError, CodecError)):
                zarr.open_array(tmp_path / "a")[:]
