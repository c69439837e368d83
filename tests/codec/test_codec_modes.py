"""Bounded keeps its bound, lossy keeps shape and dtype, wrong arguments are told."""

from __future__ import annotations

import pickle

import numpy as np
import pytest

import latrans
from latrans.errors import CodecError, ConfigError, EngineError, ModelError, ModelNotFoundError
from random_arrays import NUMBERS, SPECIAL, dtype_of, random_content, random_layout, random_shape
from synthetic_models import KINDS, WITH_LATENTS

pytestmark = pytest.mark.filterwarnings("error")

FLOATS = ("<f2", "<f4", "<f8", ">f4")


def smooth(shape: tuple[int, ...], dtype: str = "u1", seed: int = 0) -> np.ndarray:
    rng = np.random.default_rng(seed)
    wave = np.sin(np.indices(shape).sum(0) / 7)
    return (120 + 70 * wave + rng.normal(0, 2, shape)).astype(dtype)


def assert_within(found: np.ndarray, given: np.ndarray, max_error: float) -> None:
    """The contract, checked in float64; what is not finite comes back bit for bit."""
    assert (found.dtype.str, found.shape) == (given.dtype.str, given.shape)
    if given.dtype.kind in "fc":
        finite = np.isfinite(given)
        assert found[~finite].tobytes() == given[~finite].tobytes()
        found, given = found[finite], given[finite]
    if given.dtype.kind in "mM":
        missing = np.isnat(given)
        assert np.isnat(found[missing]).all()
        found, given = found[~missing].astype("i8"), given[~missing].astype("i8")
    if given.dtype.kind in "iufb":
        error = np.abs(found.astype(np.float64) - given.astype(np.float64))
        assert (error <= max_error).all(), error.max()
    else:
        assert found.tobytes() == given.tobytes()


class TestBounded:
    @pytest.mark.parametrize("kind", KINDS)
    def test_random_arrays_stay_within_random_bounds(self, models, always_model, thorough, kind):
        rng = np.random.default_rng(1)
        n_bounded = 0
        for i in range(500 if thorough else 15):
            dtype = dtype_of(NUMBERS[i % len(NUMBERS)])
            shape = random_shape(rng) if i % 3 else (2, 8, 8)
            array = random_layout(rng, random_content(rng, dtype, shape))
            max_error = float(10.0 ** rng.integers(-6, 7) * rng.choice([1, 0.3]))
            codec = latrans.Codec(models[kind], "bounded", max_error)
            frame = codec.encode(array)
            assert_within(codec.decode(frame), array, max_error)
            n_bounded += latrans.inspect(frame).mode == "bounded"
        assert n_bounded > (10 if thorough else -1)

    @pytest.mark.parametrize(
        "max_error", [1e-300, 1e-9, 0.01, 0.5, 1, 1.7, 100, 1e9, 1e300, 1.7e308]
    )
    @pytest.mark.parametrize("dtype", ["u1", "<i2", ">i4", "<i8", "<u8", *FLOATS])
    def test_bounds_of_every_size(self, models, dtype, max_error):
        array = smooth((16, 24), dtype)
        for kind in ("plane", "track", "conv"):
            codec = latrans.Codec(models[kind], "bounded", max_error)
            assert_within(codec.decode(codec.encode(array)), array, max_error)

    @pytest.mark.parametrize(
        "array",
        [
            np.array([[0, 2**64 - 1, 2**63, 2**62]] * 8, np.uint64),
            np.array([[-(2**63), 2**63 - 1, 2**62, 0]] * 8, np.int64),
            np.array([[-(2**31), 2**31 - 1, 7, 8]] * 8, np.int32),
            np.array([[0, 255, 1, 254]] * 8, np.uint8),
            np.array([[-128, 127, 0, 1]] * 8, np.int8),
            np.array([[65504, -65504, 6e-8, 1]] * 8, np.float16),
            np.array([[3.4e38, -3.4e38, 1e-45, 1]] * 8, np.float32),
            np.array([[1.7e308, -1.7e308, 5e-324, 1]] * 8),
            np.array([["NaT", "2001-01-01", "1066-10-14", "NaT"]] * 8, "M8[s]"),
            np.array([[True, False, True, True]] * 8),
        ],
        ids=lambda array: str(array.dtype),
    )
    @pytest.mark.parametrize("max_error", [0.4, 1.0, 3.0, 1e6, 1e15, 1e18, 1e30])
    def test_extreme_values(self, models, always_model, array, max_error):
        for kind in ("plane", "track"):
            codec = latrans.Codec(models[kind], "bounded", max_error)
            assert_within(codec.decode(codec.encode(array)), array, max_error)

    @pytest.mark.parametrize("dtype", FLOATS)
    @pytest.mark.parametrize("fill_value", [None, 1e20, -9999.0])
    def test_nan_infinities_and_fill_values_come_back_exactly(self, models, dtype, fill_value):
        rng = np.random.default_rng(3)
        array = smooth((20, 30), dtype)
        special = [np.nan, np.inf, -np.inf]
        with np.errstate(over="ignore"):
            if fill_value is not None:
                special.append(fill_value)
            array[rng.random(array.shape) < 0.2] = special[0]
            for i, value in enumerate(special):
                array[rng.integers(0, 20, 4), i * 7 : i * 7 + 5] = value
        codec = latrans.Codec(models["plane"], "bounded", 0.75, fill_value)
        frame = codec.encode(array)
        found = codec.decode(frame)
        assert latrans.inspect(frame).mode == "bounded"
        assert_within(found, array, 0.75)
        if fill_value is not None:
            with np.errstate(over="ignore"):
                fill = array == array.dtype.type(fill_value)
            assert fill.any()
            assert found[fill].tobytes() == array[fill].tobytes()

    @pytest.mark.parametrize("dtype", ["u1", "<i2", ">i4"])
    def test_fill_values_of_integers_come_back_exactly(self, models, dtype):
        array = smooth((20, 30), dtype)
        array[3:9, 4:20] = 99
        codec = latrans.Codec(models["plane"], "bounded", 5, fill_value=99)
        frame = codec.encode(array)
        assert latrans.inspect(frame).mode == "bounded"
        found = codec.decode(frame)
        assert (found[array == 99] == 99).all()
        assert_within(found, array, 5)

    @pytest.mark.parametrize("payload", SPECIAL[:5].view(np.uint32).tolist())
    def test_nan_payloads_come_back(self, models, payload):
        array = smooth((16, 16), "<f4")
        array.view(np.uint32)[::3, 1::5] = payload
        codec = latrans.Codec(models["plane"], "bounded", 0.5)
        frame = codec.encode(array)
        assert latrans.inspect(frame).mode == "bounded"
        assert (codec.decode(frame).view(np.uint32)[::3, 1::5] == payload).all()

    @pytest.mark.parametrize("kind", ["plane", "track", "conv"])
    @pytest.mark.parametrize("dtype", ["<i2", "<f2", "<f4", "<f8"])
    def test_encoding_again_stays_within_the_bound_of_what_came_back(self, models, kind, dtype):
        for seed, max_error in enumerate([0.01, 0.3, 1, 7.7]):
            codec = latrans.Codec(models[kind], "bounded", max_error)
            once = codec.decode(codec.encode(smooth((24, 24), dtype, seed)))
            again = codec.decode(codec.encode(once))
            assert np.abs(again.astype("f8") - once.astype("f8")).max() <= max_error

    def test_the_frame_records_the_bound(self, models):
        frame = latrans.Codec(models["plane"], "bounded", 0.125).encode(smooth((30, 30), "f4"))
        info = latrans.inspect(frame)
        assert (info.mode, info.max_error) == ("bounded", 0.125)

    def test_a_wider_bound_gives_smaller_frames(self, models):
        array = smooth((40, 40), "f4")
        sizes = [
            len(latrans.Codec(models["plane"], "bounded", e).encode(array)) for e in (0.01, 0.1, 1)
        ]
        assert sizes == sorted(sizes, reverse=True)
        assert sizes[0] < array.nbytes


class TestLossy:
    @pytest.mark.parametrize("kind", WITH_LATENTS)
    @pytest.mark.parametrize("name", NUMBERS)
    def test_shape_and_dtype_are_kept(self, models, kind, name):
        rng = np.random.default_rng(5)
        for shape in [(8, 8), (3, 8, 8), (5, 7), (17,), ()]:
            array = random_layout(rng, random_content(rng, dtype_of(name), shape))
            codec = latrans.Codec(models[kind], "lossy")
            found = codec.decode(codec.encode(array))
            assert (found.dtype.str, found.shape) == (array.dtype.str, array.shape)
            if found.dtype.kind == "b":
                assert found.view(np.uint8).max(initial=0) <= 1

    @pytest.mark.parametrize("kind", WITH_LATENTS)
    @pytest.mark.parametrize("dtype", ["u1", "<i2", "<f4"])
    def test_the_reconstruction_looks_like_the_array(self, models, kind, dtype):
        if kind in ("dense", "values") and dtype == "<f4":
            pytest.skip("dense models take integers only")
        array = smooth((5, 8, 8), dtype)
        codec = latrans.Codec(models[kind], "lossy")
        frame = codec.encode(array)
        info = latrans.inspect(frame)
        assert (info.mode, info.latent_dtype, info.residual_nbytes) == ("lossy", "int8", 0)
        error = codec.decode(frame).astype(float) - array
        assert np.abs(error).mean() < array.astype(float).std() / 2

    @pytest.mark.parametrize("kind", WITH_LATENTS)
    def test_lossy_frames_are_the_preview_of_lossless_ones(self, models, kind):
        array = smooth((5, 8, 8), "u1")
        lossless = latrans.Codec(models[kind])
        with pytest.MonkeyPatch.context() as patch:
            patch.setattr("latrans.codec.smaller_of", lambda packed, *_: packed)
            frame = lossless.encode(array)
        lossy = latrans.Codec(models[kind], "lossy").encode(array)
        seen = lossless.preview(frame)
        assert (seen.shape, seen.dtype) == (array.shape, array.dtype)
        assert np.array_equal(seen, latrans.decode(lossy))
        assert np.array_equal(seen, lossless.preview(array))
        assert np.array_equal(lossless.decode(frame), array)

    @pytest.mark.parametrize("kind", WITH_LATENTS)
    def test_latents_are_those_of_the_model(self, models, kind):
        array = smooth((5, 8, 8), "u1")
        codec, model = latrans.Codec(models[kind], "lossy"), models[kind]
        latents = codec.latents(array)
        rows, columns = (8, 8) if model.geometry == "plane" else (1, 8)
        n_planes = array.size // (rows * columns)
        assert latents.shape == (n_planes, *model.autoencoder.latent_shape((rows, columns)))
        assert latents.dtype == np.int8
        assert np.array_equal(latents, codec.latents(codec.encode(array)))
        assert latents.any()

    @pytest.mark.parametrize("dtype", ["u1", "?", "<u2", ">i4", "<f4", ">f8", "<f2"])
    def test_latents_of_an_array_are_those_of_its_lossy_frame(self, models, dtype):
        array = smooth((3, 21, 17), "f8").astype(dtype)
        if array.dtype.kind == "f":
            array[1, 3:5] = np.nan
        for order in ("C", "F"):
            array = np.asarray(array, order=order)
            for codec in (latrans.Codec(models["conv"], axes=axes) for axes in (None, "zxy")):
                frame = latrans.Codec(models["conv"], "lossy", axes=codec.axes).encode(array)
                assert np.array_equal(codec.latents(array), codec.latents(frame))

    def test_arrays_without_latents_and_rates_of_other_models_are_refused(self, models):
        with pytest.raises(CodecError, match="no latents"):
            latrans.Codec(models["conv"]).latents(np.full((8, 8), np.nan))
        with pytest.raises(ConfigError, match="takes neither quality nor step"):
            latrans.Codec(models["conv"], "lossy", quality=5).latents(smooth((8, 8), "u1"))

    def test_fill_values_do_not_spoil_the_rest(self, models):
        array = smooth((3, 16, 16), "<f4")
        expected = array.copy()
        array[:, 2:5, 3:9] = 1e20
        array[:, 12, 1] = np.nan
        for fill_value in (1e20, None):
            codec = latrans.Codec(models["conv"], "lossy", fill_value=fill_value)
            frame = codec.encode(array)
            found = codec.decode(frame)
            assert latrans.inspect(frame).mode == "lossy"
            missing = (array == np.float32(1e20)) | np.isnan(array)
            assert found[missing].tobytes() == array[missing].tobytes()
            assert np.abs(found - expected)[~missing].mean() < 20

    @pytest.mark.parametrize("scale", [1e-310, 1e-38, 1.0, 1e37, 1e307])
    def test_floats_of_every_magnitude(self, models, scale):
        for dtype in ("<f4", "<f8"):
            with np.errstate(over="ignore"):
                array = (smooth((16, 16), "<f8") / 100 * scale).astype(dtype)
            array[0, 0] = -array[1, 1]
            codec = latrans.Codec(models["conv"], "lossy")
            assert codec.decode(codec.encode(array)).shape == array.shape

    def test_a_model_without_an_autoencoder_has_no_lossy_mode(self, models):
        array = smooth((16, 16), "u1")
        codec = latrans.Codec(models["plane"], "lossy")
        with pytest.raises(ConfigError, match="no autoencoder"):
            codec.encode(array)
        frame = latrans.Codec(models["plane"]).encode(array)
        for look in (codec.latents, codec.preview):
            with pytest.raises(CodecError, match="no latents"):
                look(frame)


class TestWrongArguments:
    @pytest.mark.parametrize(
        ("options", "match"),
        [
            ({"mode": "perfect"}, "expected one of lossy, bounded, lossless"),
            ({"mode": None}, "mode is None"),
            ({"mode": "bounded"}, "max_error > 0"),
            ({"mode": "bounded", "max_error": 0}, "max_error > 0"),
            ({"mode": "bounded", "max_error": -1}, "max_error > 0"),
            ({"mode": "bounded", "max_error": float("nan")}, "max_error > 0"),
            ({"mode": "bounded", "max_error": float("inf")}, "max_error > 0"),
            ({"mode": "bounded", "max_error": "1"}, "max_error > 0"),
            ({"max_error": 1.0}, "is for mode 'bounded'"),
            ({"mode": "lossy", "max_error": 1.0}, "is for mode 'bounded'"),
        ],
    )
    def test_modes_and_bounds(self, options, match):
        with pytest.raises(ConfigError, match=match):
            latrans.Codec(**options)

    @pytest.mark.parametrize("axes", ["y", "yxz", "xx", "qx", "yc", "cc", "zz"])
    def test_axes_that_do_not_fit(self, models, axes):
        with pytest.raises(ConfigError, match="axes"):
            latrans.Codec(models["plane"], axes=axes).encode(smooth((8, 8)))

    def test_engines_that_are_not_there(self, models):
        array = smooth((16, 16))
        with pytest.raises(EngineError, match="unknown"):
            latrans.Codec(models["plane"], engine="abacus").encode(array)

    def test_models_that_are_not_there_show_when_data_is_touched(self):
        codec = latrans.Codec("no-such-model")
        repr(codec)
        with pytest.raises(ModelNotFoundError, match="no-such-model"):
            codec.encode(smooth((8, 8)))

    def test_models_of_a_wrong_kind(self):
        with pytest.raises(ModelError):
            latrans.Codec(b"not a model").encode(smooth((8, 8)))

    @pytest.mark.parametrize(
        "out", [np.zeros((8, 9), "u1"), np.zeros((8, 8), "i1"), np.zeros(64, "u1")]
    )
    def test_out_of_another_shape_or_dtype(self, models, out):
        codec = latrans.Codec(models["plane"])
        with pytest.raises(CodecError, match="out has shape"):
            codec.decode(codec.encode(smooth((8, 8))), out=out)

    def test_unknown_options(self):
        with pytest.raises(TypeError):
            latrans.encode(smooth((8, 8)), level=3)


class TestCodecsAreValues:
    @pytest.mark.parametrize("kind", KINDS)
    def test_codecs_and_models_are_pickled(self, models, kind):
        codec = latrans.Codec(models[kind], "bounded", 2.0, axes=None)
        copy = pickle.loads(pickle.dumps(codec))
        array = smooth((8, 8), "<i2")
        assert copy.encode(array) == codec.encode(array)
        assert copy.model.digest == models[kind].digest

    def test_inspection_tells_what_the_frame_is(self, models):
        model = models["conv"]
        array = np.asfortranarray(smooth((20, 30), ">i2"))
        with pytest.MonkeyPatch.context() as patch:
            patch.setattr("latrans.codec.smaller_of", lambda packed, *_: packed)
            frame = latrans.Codec(model).encode(array)
        info = latrans.inspect(frame)
        assert info.model_name == model.name
        assert info.model_version == model.version
        assert info.model_digest == model.digest[:16]
        assert info.latent_dtype == "int8"
        assert (info.mode, info.max_error) == ("lossless", None)
        assert (info.dtype.str, info.shape, info.order) == (">i2", (20, 30), "F")
        assert info.nbytes == len(frame)
        assert info.latent_nbytes > 0
        assert info.residual_nbytes > 0
        assert not info.fallback

    def test_inspection_needs_no_model(self, models):
        frame = bytearray(latrans.Codec(models["plane"]).encode(smooth((28, 28))))
        code = (
            "import sys, latrans; info = latrans.inspect(bytes.fromhex(sys.argv[1]));"
            "assert info.model_name is None and info.model_digest == sys.argv[2], info;"
            "assert info.shape == (28, 28)"
        )
        import subprocess
        import sys

        command = [sys.executable, "-c", code, frame.hex(), models["plane"].digest[:16]]
        subprocess.run(command, check=True)
