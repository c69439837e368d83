"""A model is found by name, path, digest, bytes or data URI, in a known order, or told missing."""

from __future__ import annotations

import base64
import os
import pickle
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

import latrans
from latrans.errors import ModelError, ModelNotFoundError
from latrans.models import store
from latrans.models.model import Model
from latrans.models.model_file import MAX_NBYTES
from synthetic_models import make_model

ABSENT = "0123456789abcdef" * 4


@pytest.fixture
def places(tmp_path, monkeypatch) -> dict[str, Path]:
    """Directories of the search path, empty, and nothing loaded."""
    found = {name: tmp_path / name for name in ("cache", "first", "second")}
    for path in found.values():
        path.mkdir()
    monkeypatch.setenv("LATRANS_CACHE", str(found["cache"]))
    path = os.pathsep.join((str(found["first"]), "", str(tmp_path / "none"), str(found["second"])))
    monkeypatch.setenv("LATRANS_MODEL_PATH", path)
    monkeypatch.setattr(store, "_loaded", {})
    monkeypatch.setattr(store, "_digests", {})
    return found


@pytest.fixture(scope="module")
def model() -> Model:
    return make_model("plane")


@pytest.fixture(scope="module")
def other() -> Model:
    return make_model("plane", seed=1)


class TestWaysToNameAModel:
    def test_a_model_is_itself(self, places, model):
        assert latrans.open_model(model) is model

    def test_path(self, places, model, tmp_path):
        path = tmp_path / "mine.safetensors"
        model.save(path)
        for source in (path, str(path), os.path.relpath(path)):
            assert latrans.open_model(source).digest == model.digest

    def test_home_is_expanded(self, places, model, tmp_path, monkeypatch):
        monkeypatch.setenv("HOME", str(tmp_path))
        model.save(tmp_path / "mine.safetensors")
        assert latrans.open_model("~/mine.safetensors").digest == model.digest

    @pytest.mark.parametrize("wrap", [bytes, bytearray, memoryview])
    def test_bytes(self, places, model, wrap):
        assert latrans.open_model(wrap(model.data)).digest == model.digest

    def test_data_uri(self, places, model):
        text = base64.b64encode(model.data).decode("ascii")
        for head in ("data:;base64,", "data:application/octet-stream;base64,"):
            assert latrans.open_model(head + text).digest == model.digest

    @pytest.mark.parametrize("prefix", ["", "sha256:"])
    @pytest.mark.parametrize("n", [16, 17, 63, 64])
    def test_digest_and_its_prefixes(self, places, model, other, prefix, n):
        other.save(places["first"] / "a.safetensors")
        model.save(places["first"] / "b.safetensors")
        assert latrans.open_model(prefix + model.digest[:n]).digest == model.digest

    def test_name_of_a_file_and_of_a_directory(self, places, model, other):
        model.save(places["first"] / "plain-7.safetensors")
        (places["second"] / "folder-2").mkdir()
        other.save(places["second"] / "folder-2" / "model.safetensors")
        assert latrans.open_model("plain-7").digest == model.digest
        assert latrans.open_model("folder-2").digest == other.digest

    def test_name_of_a_registered_model(self, places, model):
        store.register(model)
        assert latrans.open_model(model.name) is model

    def test_shipped_models_need_no_setting(self, places):
        assert latrans.open_model("image-1").name == "image-1"


class TestOrder:
    def test_names_cache_before_path_and_path_in_its_order(self, places):
        found = {name: make_model("plane", seed) for seed, name in enumerate(places)}
        for name in ("second", "first", "cache"):
            found[name].save(places[name] / "same-1.safetensors")
            assert latrans.open_model("same-1").digest == found[name].digest

    def test_shipped_names_are_not_shadowed(self, places, model):
        shipped = latrans.open_model("image-1")
        model.save(places["cache"] / "image-1.safetensors")
        store.register(make_model("track", name="image-1"))
        assert latrans.open_model("image-1").digest == shipped.digest

    def test_registered_models_come_last_by_name(self, places, model, other):
        store.register(other)
        model.save(places["second"] / f"{other.name}.safetensors")
        assert latrans.open_model(other.name).digest == model.digest

    def test_a_file_that_is_replaced_is_read_again(self, places, model, other):
        path = places["first"] / "mine.safetensors"
        model.save(path)
        assert store.find(model.digest).digest == model.digest
        store._loaded.clear()
        other.save(path)
        os.utime(path, ns=(1, 1))
        assert store.find(other.digest).digest == other.digest
        with pytest.raises(ModelNotFoundError):
            store.find(model.digest)


class TestFramesFindTheirModel:
    def test_by_digest_in_another_process(self, places, model, tmp_path):
        array = np.add.outer(np.arange(40), np.arange(40)).astype(np.uint8)
        frame = tmp_path / "frame"
        frame.write_bytes(latrans.Codec(model).encode(array))
        assert not latrans.inspect(frame.read_bytes()).fallback
        code = (
            "import sys, latrans\n"
            "array = latrans.decode(open(sys.argv[1], 'rb').read())\n"
            "assert int(array.sum()) == int(sys.argv[2])\n"
        )
        command = [sys.executable, "-c", code, str(frame), str(int(array.sum()))]
        done = subprocess.run(command, capture_output=True, text=True, check=False)
        assert done.returncode
        assert f"ModelNotFoundError: no model with digest {model.digest[:16]}" in done.stderr
        model.save(places["second"] / "whatever.safetensors")
        subprocess.run(command, check=True)


class TestMissing:
    def test_names_say_name_and_what_to_do(self, places):
        with pytest.raises(ModelNotFoundError, match="'weather-9'") as caught:
            latrans.open_model("weather-9")
        for part in ("latrans models", str(places["cache"]), "LATRANS_MODEL_PATH"):
            assert part in str(caught.value)

    @pytest.mark.parametrize("source", [ABSENT, ABSENT[:16], f"sha256:{ABSENT}"])
    def test_digests_say_digest_and_what_to_do(self, places, source):
        with pytest.raises(ModelNotFoundError, match=ABSENT[:16]) as caught:
            latrans.open_model(source)
        for part in (str(places["cache"]), "LATRANS_MODEL_PATH"):
            assert part in str(caught.value)

    @pytest.mark.parametrize("source", ["/none/such.safetensors", "such.safetensors", "./such"])
    def test_paths_say_the_path(self, places, source):
        with pytest.raises(ModelNotFoundError, match="such"):
            latrans.open_model(source)

    @pytest.mark.parametrize("source", ["", "sha256:", "sha256:0123", "data:,x", "image-1\n"])
    def test_odd_names_are_missing_like_any_other(self, places, source):
        with pytest.raises(ModelNotFoundError):
            latrans.open_model(source)

    def test_it_is_a_model_error_and_no_key_error(self):
        assert issubclass(ModelNotFoundError, ModelError)
        assert not issubclass(ModelNotFoundError, KeyError)


class TestWhatIsNoModel:
    def write(self, places: dict[str, Path], data: bytes) -> Path:
        path = places["first"] / "bad.safetensors"
        path.write_bytes(data)
        return path

    class Bomb:
        def __reduce__(self):
            return os.abort, ()

    @pytest.mark.parametrize(
        "data",
        [b"", b"\0" * 100, b"PK\x03\x04", pickle.dumps(Bomb()), b"\x80\x04."],
        ids=["empty", "zeros", "zip", "pickle", "short pickle"],
    )
    def test_only_safetensors_are_read(self, places, data):
        path = self.write(places, data)
        with pytest.raises(ModelError, match="not a latrans model"):
            latrans.open_model(path)
        with pytest.raises(ModelError):
            latrans.open_model(data)

    def test_safetensors_of_others_are_refused_and_passed_by(self, places, model):
        import safetensors.numpy

        foreign = safetensors.numpy.save({"weight": np.zeros(3)}, {"format": "pt"})
        path = self.write(places, foreign)
        model.save(places["first"] / "good.safetensors")
        with pytest.raises(ModelError, match="not a latrans model"):
            latrans.open_model(path)
        assert store.find(model.digest).digest == model.digest
        listed = [entry.path for entry in store.list_models()]
        assert places["first"] / "good.safetensors" in listed
        assert path not in listed

    def test_another_model_format_says_update(self, places, model):
        assert model.data.count(b'\\"format\\":1,') == 1
        with pytest.raises(ModelError, match="update"):
            Model.from_bytes(model.data.replace(b'\\"format\\":1,', b'\\"format\\":9,'))

    def test_data_uris_must_be_base64(self, places):
        with pytest.raises(ModelError, match="base64"):
            latrans.open_model("data:;base64,***")

    @pytest.mark.skipif(not hasattr(os, "mkfifo"), reason="needs named pipes")
    def test_pipes_devices_and_directories_are_refused_not_read(self, places, model):
        pipe, folder = places["first"] / "a.safetensors", places["first"] / "b.safetensors"
        os.mkfifo(pipe)
        folder.mkdir()
        endless = places["first"] / "c.safetensors"
        endless.symlink_to("/dev/zero")
        for path in (pipe, folder, endless):
            with pytest.raises(ModelNotFoundError, match="no model file"):
                latrans.open_model(path)
        model.save(places["second"] / "d.safetensors")
        assert store.find(model.digest).digest == model.digest
        assert {entry.name for entry in store.list_models()} >= {model.name, "image-1"}

    def test_giant_files_are_passed_by(self, places, model):
        giant = places["first"] / "giant.safetensors"
        with giant.open("wb") as file:
            file.truncate(MAX_NBYTES + 1)
        with pytest.raises(ModelError, match="larger than any model"):
            latrans.open_model(giant)
        with pytest.raises(ModelNotFoundError):
            store.find(ABSENT)
        assert not store._digests.keys() & {str(giant)}


class TestModelFiles:
    @pytest.mark.parametrize("kind", ["plane", "track", "dense", "conv", "conv1d", "values"])
    def test_a_model_saved_and_loaded_is_the_same(self, tmp_path, kind):
        model = make_model(kind)
        model.save(tmp_path / "m.safetensors")
        loaded = latrans.open_model(tmp_path / "m.safetensors")
        assert (loaded.name, loaded.version, loaded.axes) == (model.name, 1, model.axes)
        assert loaded.digest == model.digest
        assert loaded.data == model.data
        assert [p.name for p in tmp_path.iterdir()] == ["m.safetensors"]

    def test_saving_fails_whole(self, tmp_path, model):
        target = tmp_path / "folder.safetensors"
        target.mkdir()
        with pytest.raises(OSError, match="folder"):
            model.save(target)
        assert [p.name for p in tmp_path.iterdir()] == ["folder.safetensors"]

    def test_listed_models_tell_what_they_are(self, places, model):
        model.save(places["cache"] / "mine-3.safetensors")
        entry = next(e for e in store.list_models() if e.digest == model.digest)
        assert (entry.name, entry.version, entry.nbytes) == (model.name, 1, len(model.data))
        assert entry.path == places["cache"] / "mine-3.safetensors"
