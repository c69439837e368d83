"""Stores that carry their model: inline, beside the data, damaged, copied."""

from __future__ import annotations

import json
import shutil
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import zarr

import latrans
import latrans.zarr
from adapter_samples import assert_same_bits, make_array, run_python
from latrans.errors import CodecError, ConfigError, ModelError, ModelNotFoundError
from latrans.models import store
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
    run_python(source, LATRANS_CACHE=str(cache), LATRANS_MODEL_PATH="")


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

    def test_inline(self, tmp_path, model, forgetting):
        latrans.zarr.create(tmp_path / "a", data=image(), model=model, model_storage="inline")
        forgetting()
        metadata = (tmp_path / "a" / "zarr.json").read_text()
        for old, new in (("base64,", "base64,AAAA"), ("base64,", "base64,*")):
            (tmp_path / "a" / "zarr.json").write_text(metadata.replace(old, new))
            with pytest.raises((ModelError, CodecError)):
                zarr.open_array(tmp_path / "a")[:]
