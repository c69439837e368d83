"""Same input, same bytes: on every engine, thread, process, machine, and for a model read back."""

from __future__ import annotations

import hashlib
import json
import os
import subprocess
import sys
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import numpy as np
import pytest

import effort
import latrans
from latrans.engine import select
from latrans.errors import EngineError
from latrans.models.model import Model
from places import SUPPORT
from random_arrays import random_array
from small_frames import small_frames
from synthetic_models import KINDS, WITH_LATENTS, make_model


def has_native() -> bool:
    try:
        return select("native").name == "native"
    except EngineError:
        return False


needs_native = pytest.mark.skipif(not has_native(), reason="the compiled core does not load here")


def chunks(n: int, side: int = 24) -> list[np.ndarray]:
    """Arrays that models code: smooth, of several dtypes and shapes."""
    rng = np.random.default_rng(n)
    found = []
    for i in range(n):
        shape = [(side, side), (3, 8, 8), (2, side, side), (side * side,), (8, 8, 3)][i % 5]
        wave = 110 + 60 * np.sin(np.indices(shape).sum(0) / rng.uniform(3, 9))
        dtype = ["u1", "<i2", "<f4", ">u2", "<f2"][i % 4]
        found.append((wave + rng.normal(0, rng.choice([0.5, 4]), shape)).astype(dtype))
    return found


def codecs(model: Model, engine: str | None = None) -> list[latrans.Codec]:
    modes = [("lossless", None), ("bounded", 1.5)]
    if model.autoencoder is not None:
        modes.append(("lossy", None))
    return [latrans.Codec(model, mode, bound, engine=engine) for mode, bound in modes]


@needs_native
@pytest.mark.usefixtures("always_model")
class TestEngines:
    @pytest.mark.parametrize("kind", KINDS)
    def test_write_the_same_frames_and_read_each_other(self, models, kind):
        arrays = chunks(5, side=effort.of(12, 9))
        for reference, native in zip(
            codecs(models[kind], "reference"), codecs(models[kind], "native"), strict=True
        ):
            n_by_model = 0
            for array in arrays:
                frame = native.encode(array)
                assert reference.encode(array) == frame
                assert reference.decode(frame).tobytes() == native.decode(frame).tobytes()
                n_by_model += not latrans.inspect(frame).fallback
            assert n_by_model

    def test_agree_on_random_arrays(self, models):
        rng = np.random.default_rng(11)
        for i in range(60):
            array = random_array(rng)
            if array.size > 400 or array.dtype.names:
                continue  # structured arrays never reach an engine, and their padding is no data
            model = models[KINDS[i % len(KINDS)]]
            frame = latrans.Codec(model, engine="native").encode(array)
            assert latrans.Codec(model, engine="reference").encode(array) == frame
            found = latrans.decode(frame, engine="reference")
            assert found.tobytes() == latrans.decode(frame, engine="native").tobytes()

    @pytest.mark.parametrize("kind", WITH_LATENTS)
    def test_agree_on_latents_and_previews(self, models, kind):
        array = chunks(2)[1].astype("u1")
        native, reference = (latrans.Codec(models[kind], engine=e) for e in ("native", "reference"))
        assert np.array_equal(native.latents(array), reference.latents(array))
        assert np.array_equal(native.preview(array), reference.preview(array))

    def test_agree_where_sections_have_several_bands_states_and_lanes(self, models):
        rng = np.random.default_rng(12)
        plane = (
            (90 + rng.normal(0, 3, (40, effort.of(120, 60))).cumsum(1)).clip(0, 255).astype("u1")
        )
        track = rng.integers(-9, 10, 8300).cumsum().astype("<i4")
        for kind, array in (("plane", plane), ("track", track)):
            frame = latrans.Codec(models[kind], engine="native").encode(array)
            assert latrans.Codec(models[kind], engine="reference").encode(array) == frame
            assert np.array_equal(latrans.decode(frame, engine="reference"), array)

    def test_agree_on_small_frames_of_every_part(self, models):
        for model in models.values():
            latrans.open_model(model)
        for name, small in small_frames(models).items():
            if small.array.size < 1000:
                native, reference = (
                    latrans.decode(small.frame, engine=e) for e in ("native", "reference")
                )
                assert native.tobytes() == reference.tobytes(), name

    def test_are_chosen_by_argument_and_environment(self, models, monkeypatch):
        assert latrans.engine().startswith("native")
        monkeypatch.setenv("LATRANS_ENGINE", "reference")
        assert latrans.engine() == "reference"
        assert select("native").name == "native"
        monkeypatch.setenv("LATRANS_ENGINE", "abacus")
        with pytest.raises(EngineError, match="abacus"):
            latrans.Codec(models["plane"]).encode(chunks(1)[0])


class TestThreads:
    @pytest.mark.parametrize("kind", KINDS)
    def test_eight_threads_that_share_a_codec_write_the_frames_of_one(self, kind):
        arrays = chunks(40 if has_native() else 8, side=40 if has_native() else 9)
        for codec in codecs(make_model(kind, seed=5)):  # of its own: nothing is prepared yet
            with ThreadPoolExecutor(8) as pool:
                together = list(pool.map(codec.encode, arrays))
            assert together == [codec.encode(array) for array in arrays]
            with ThreadPoolExecutor(8) as pool:
                found = list(pool.map(codec.decode, together))
            for one, frame in zip(found, together, strict=True):
                assert one.tobytes() == codec.decode(frame).tobytes()

    def test_threads_may_open_the_same_model_at_once(self, tmp_path):
        path = tmp_path / "m.safetensors"
        make_model("plane", seed=6).save(path)
        array = chunks(1)[0]
        with ThreadPoolExecutor(8) as pool:
            frames = list(pool.map(lambda _: latrans.encode(array, model=path), range(16)))
        assert len(set(frames)) == 1

    def test_batches_are_their_single_frames(self, models):
        arrays = chunks(5)
        codec = latrans.Codec(models["plane"])
        assert codec.encode_batch(arrays) == [codec.encode(array) for array in arrays]


class TestModelsReadBack:
    @pytest.mark.parametrize("kind", KINDS)
    def test_write_the_same_frames(self, tmp_path, always_model, kind):
        model = make_model(kind, seed=7)
        model.save(tmp_path / "m.safetensors")
        loaded = Model.from_bytes((tmp_path / "m.safetensors").read_bytes())
        assert loaded is not model
        assert loaded.digest == model.digest
        for array in chunks(4, side=16):
            for a, b in zip(codecs(model), codecs(loaded), strict=True):
                assert a.encode(array) == b.encode(array)


@needs_native
class TestMachines:
    """Planning and maps use doubles: they must not depend on BLAS, its threads or SIMD."""

    def test_frames_do_not_depend_on_blas_or_instructions_or_hashes(self, models, tmp_path):
        # Inputs travel as files: NumPy's own sine may differ.
        for kind in ("plane", "track", "conv"):
            models[kind].save(tmp_path / f"{kind}.safetensors")
        for i, array in enumerate(chunks(5, side=100)):
            np.save(tmp_path / f"{i}.npy", array)
        walk = np.random.default_rng(0).integers(-9, 10, (3, 6000)).cumsum(1)
        np.save(tmp_path / "walk.npy", walk.astype("<i4"))
        plain = frames_elsewhere(tmp_path, {"PYTHONHASHSEED": "1"})
        for environment in (
            {"OPENBLAS_NUM_THREADS": "2", "PYTHONHASHSEED": "2"},
            {"OPENBLAS_CORETYPE": "Nehalem"},
            {"OPENBLAS_CORETYPE": "Haswell"},
            {"NPY_DISABLE_CPU_FEATURES": "X86_V4 X86_V3 AVX512F AVX512_SKX AVX2 FMA3"},
        ):
            assert frames_elsewhere(tmp_path, environment) == plain, environment


def frames_elsewhere(folder: Path, environment: dict[str, str]) -> dict[str, str]:
    """Digests of the frames of a folder's arrays by its models, in another process."""
    path = os.pathsep.join(filter(None, (str(SUPPORT), os.environ.get("PYTHONPATH"))))
    done = subprocess.run(
        [sys.executable, "-W", "ignore", __file__, str(folder)],
        capture_output=True,
        text=True,
        check=True,
        env={**os.environ, "OPENBLAS_NUM_THREADS": "1", "PYTHONPATH": path, **environment},
    )
    found: dict[str, str] = json.loads(done.stdout)
    assert found
    return found


def main(folder: Path) -> None:
    found = {}
    for model in sorted(folder.glob("*.safetensors")):
        for array in sorted(folder.glob("*.npy")):
            for codec in codecs(latrans.open_model(model)):
                frame = codec.encode(np.load(array))
                name = f"{model.stem} {array.stem} {codec.mode}"
                found[name] = hashlib.sha256(frame).hexdigest()
    json.dump(found, sys.stdout)


if __name__ == "__main__":
    main(Path(sys.argv[1]))
