"""Lossy chunks at any quality: shape and dtype come back, and finer is nearer and larger."""

from __future__ import annotations

import numcodecs
import numpy as np
import pytest

import latrans
from hostile import model_mutations, mutations, sealed
from latrans.errors import CodecError, ConfigError, ModelError, ModelNotFoundError
from latrans.models.model import Model
from latrans.numcodecs import Latrans
from synthetic_models import make_model
from synthetic_transform import make_lossy_model


@pytest.fixture(scope="module")
def model() -> Model:
    return latrans.open_model(make_lossy_model())


def smooth(shape: tuple[int, ...], dtype: str = "u1", scale: float = 1.0) -> np.ndarray:
    rng = np.random.default_rng(5)
    wave = np.sin(np.indices(shape).sum(0) / 7)
    return (scale * (120 + 70 * wave + rng.normal(0, 4, shape))).astype(dtype)


def lossy(model: Model, **options: object) -> latrans.Codec:
    return latrans.Codec(model, "lossy", **options)


def rmse(a: np.ndarray, b: np.ndarray) -> float:
    return float(np.sqrt(((a.astype(np.float64) - b.astype(np.float64)) ** 2).mean()))


class TestRoundTrip:
    @pytest.mark.parametrize("dtype", ["u1", "i1", "<u2", ">i2", "<i4", "<f4", ">f8", "<f2"])
    def test_dtype_shape_and_order_come_back(self, model, dtype):
        for order in ("C", "F"):
            array = np.asarray(smooth((2, 19, 23), dtype, 0.5), order=order)
            codec = lossy(model, quality=60)
            frame = codec.encode(array)
            found = codec.decode(frame)
            assert not latrans.inspect(frame).fallback
            assert (found.dtype.str, found.shape) == (array.dtype.str, array.shape)
            assert found.flags.f_contiguous == array.flags.f_contiguous
            assert rmse(found, array) < np.ptp(array.astype(float)) / 50

    @pytest.mark.parametrize(
        "shape", [(1,), (7,), (1, 1), (3, 40), (31, 1), (2, 2, 2), (17, 33, 3), (4, 9, 9, 2)]
    )
    def test_any_shape(self, model, shape):
        array = smooth(shape)
        found = lossy(model, quality=80).decode(lossy(model, quality=80).encode(array))
        assert found.shape == shape
        assert rmse(found, array) < 3

    def test_values_that_cannot_be_coded_come_back_exactly(self, model):
        array = smooth((20, 30), "f4")
        array[3, 4:9], array[10, 2] = np.nan, np.inf
        found = lossy(model, quality=60).decode(lossy(model, quality=60).encode(array))
        gone = ~np.isfinite(array)
        assert np.array_equal(found[gone], array[gone], equal_nan=True)

    def test_constant_and_empty_arrays(self, model):
        for array in (np.full((40, 50), 77, "u2"), np.zeros((0, 4), "u1"), np.full((9, 9), np.nan)):
            found = lossy(model).decode(lossy(model).encode(array))
            assert np.array_equal(found, array, equal_nan=array.dtype.kind == "f")

    @pytest.mark.parametrize("dtype", ["<f2", "<f4", ">f4", "<f8"])
    def test_values_clipped_at_the_largest_do_not_become_infinite(self, model, dtype):
        largest = float(np.finfo(dtype).max)
        y, x = np.indices((40, 50))
        with np.errstate(over="ignore"):
            wave = np.clip(1.5 * np.sin(x / 9) * np.cos(y / 7), -1, 1) * largest
        array = wave.astype(dtype)
        codec = lossy(model, quality=25)
        found = codec.decode(codec.encode(array))
        assert np.isfinite(found).all()
        assert float(abs(found).max()) <= largest

    def test_results_stay_within_the_dtype(self, model):
        array = np.where(np.indices((32, 32)).sum(0) % 2, 255, 0).astype("u1")
        found = lossy(model, quality=15).decode(lossy(model, quality=15).encode(array))
        assert rmse(found, array) < 100


class TestRate:
    @pytest.mark.parametrize("shape", [(64, 80), (48, 40, 3)])
    def test_finer_is_larger_and_nearer(self, model, shape):
        array = smooth(shape)
        sizes, errors = [], []
        for quality in (10, 25, 40, 55, 70, 85):
            frame = lossy(model, quality=quality).encode(array)
            sizes.append(len(frame))
            errors.append(rmse(latrans.decode(frame), array))
        assert sizes == sorted(sizes)
        assert errors == sorted(errors, reverse=True)
        assert errors[-1] < 0.5 < 4 < errors[0]

    def test_ten_points_of_quality_halve_the_step(self, model):
        array = smooth((40, 40), "u2", 100)
        span = float(np.ptp(array))
        for quality in (30, 40, 57):
            by_step = lossy(model, step=span / 2 ** (quality / 10)).encode(array)
            by_quality = lossy(model, quality=quality).encode(array)
            found, other = latrans.decode(by_step), latrans.decode(by_quality)
            assert rmse(found, array) == pytest.approx(rmse(other, array), rel=0.02)

    @pytest.mark.parametrize(("dtype", "scale"), [("u2", 100.0), ("f4", 0.25), ("i4", 1e5)])
    def test_the_step_is_in_units_of_the_data(self, model, dtype, scale):
        array = smooth((60, 60), dtype, scale)
        codec = lossy(model, step=scale / 4)
        # At a fine step errors are uniform within it, and never far beyond half of it.
        assert rmse(codec.decode(codec.encode(array)), array) < 0.45 * scale / 4

    def test_an_impossibly_fine_step_is_as_fine_as_can_be(self, model):
        array = smooth((30, 30), "u2", 200)
        codec = lossy(model, step=1e-30)
        assert np.array_equal(codec.decode(codec.encode(array)), array)

    def test_colours_are_transformed_where_that_pays(self, model):
        grey = smooth((40, 60))
        alike = np.stack([grey, grey, grey], -1)
        different = np.stack([grey, grey[::-1], grey[:, ::-1]], -1)
        sizes = [len(lossy(model, quality=50).encode(a)) for a in (grey, alike, different)]
        assert sizes[1] < 1.6 * sizes[0]  # one plane, of a third more octaves
        assert sizes[2] < 3.3 * sizes[0]


class TestWhatAFrameTells:
    def test_latents_and_preview(self, model):
        array = smooth((2, 21, 34))
        frame = lossy(model, quality=50).encode(array)
        info = latrans.inspect(frame)
        assert (info.mode, info.latent_dtype, info.residual_nbytes) == ("lossy", "int32", 0)
        codec = lossy(model)
        latents = codec.latents(frame)
        assert (latents.shape, latents.dtype) == ((2, 21, 34), np.dtype("int32"))
        assert np.array_equal(codec.preview(frame), latrans.decode(frame))

    def test_the_model_file_comes_back(self, model):
        again = Model.from_bytes(make_lossy_model().data)
        assert again.digest == model.digest
        assert again.predictor is None

    def test_a_model_with_both_kinds_of_networks_is_refused(self, model):
        from dataclasses import replace

        both = replace(make_model("plane"), transform=model.transform)
        with pytest.raises(ModelError, match="transform"):
            Model.from_bytes(both.data)

    def test_damage_behind_the_checksum_is_a_codec_error_or_harmless(self, model):
        array = smooth((12, 14, 3))
        frame = lossy(model, quality=40).encode(array)
        refused = 0
        for i, (what, damaged) in enumerate(mutations(frame[:-4], 0)):
            if i % 5:
                continue
            try:
                latrans.decode(sealed(damaged))
            except (CodecError, ModelNotFoundError):  # a flip may hit the digest
                refused += 1
            except Exception as error:
                raise AssertionError(what) from error
        assert refused > 100

    def test_a_damaged_model_file_is_a_model_error_or_works(self):
        array = smooth((12, 12))
        refused = 0
        for i, (what, damaged) in enumerate(model_mutations(make_lossy_model().data)):
            if i % 23:
                continue
            try:
                codec = lossy(Model.from_bytes(damaged), quality=60)
            except ModelError:
                refused += 1
                continue
            assert codec.decode(codec.encode(array)).shape == array.shape, what
        assert refused > 50

    def test_frames_of_other_models_are_damage(self, model):
        from latrans.format.frame import pack, unpack

        plain = latrans.open_model(make_model("conv"))
        digests = [bytes.fromhex(m.digest[:16]) for m in (model, plain)]
        for codec, other in (
            (lossy(model), digests[1]),
            (latrans.Codec(plain, "lossy"), digests[0]),
            (latrans.Codec(plain), digests[0]),
        ):
            body = codec.encode(smooth((24, 24)))
            parts = unpack(body)
            if parts.fallback:
                continue
            from dataclasses import replace

            with pytest.raises(CodecError):
                latrans.decode(pack(replace(parts, model_digest=other)))


class TestArguments:
    @pytest.mark.parametrize(
        "options",
        [
            {"quality": 0}, {"quality": 100.5}, {"quality": float("nan")}, {"quality": "high"},
            {"quality": True}, {"step": 0}, {"step": -1.0}, {"step": float("inf")},
            {"quality": 50, "step": 1.0}, {"quality": 50, "mode": "lossless"},
        ],
    )  # fmt: skip
    def test_unusable_ones_are_a_config_error(self, model, options):
        with pytest.raises(ConfigError):
            latrans.Codec(model, **{"mode": "lossy", **options})

    @pytest.mark.parametrize("options", [{}, {"mode": "bounded", "max_error": 1.0}])
    def test_a_lossy_model_has_no_other_mode(self, model, options):
        with pytest.raises(ConfigError, match="lossy only"):
            latrans.Codec(model, **options).encode(smooth((8, 8)))
        with pytest.raises(ConfigError, match="lossy only"):
            latrans.Codec(model, "lossy").cost_map(smooth((8, 8)))

    def test_a_model_of_one_rate_takes_no_quality(self):
        with pytest.raises(ConfigError, match="one rate"):
            latrans.Codec(make_model("conv"), "lossy", quality=30).encode(smooth((8, 8)))


class TestAdapters:
    @pytest.mark.parametrize("rate", [{"quality": 35}, {"step": 2.5}])
    def test_the_configuration_keeps_the_rate(self, model, rate):
        codec = Latrans(model, "lossy", **rate)
        config = codec.get_config()
        assert {k: config[k] for k in rate} == rate
        again = numcodecs.get_codec(config)
        assert again == codec
        array = smooth((30, 30))
        assert again.encode(array) == lossy(model, **rate).encode(array)
        assert again.decode(again.encode(array)).shape == array.shape

    def test_zarr_arrays_keep_it_too(self, model):
        zarr = pytest.importorskip("zarr")
        from latrans.zarr import LatransCodec

        array = smooth((40, 30))
        stored = zarr.create_array(
            {},
            data=array,
            chunks=(20, 30),
            serializer=LatransCodec(model, "lossy", quality=50),
            compressors=None,
        )
        reopened = zarr.open_array(stored.store, mode="r")
        assert rmse(reopened[:], array) < 6
        assert np.array_equal(
            reopened[:20], latrans.decode(lossy(model, quality=50).encode(array[:20]))
        )

    def test_the_command_line_takes_it(self, tmp_path, monkeypatch, capsys):
        pytest.importorskip("zarr")
        from latrans import cli

        monkeypatch.chdir(tmp_path)
        array = smooth((40, 30))
        np.save("a.npy", array)
        make_lossy_model().save("m.safetensors")
        sizes = []
        for quality in ("20", "70"):
            given = ["--model", "m.safetensors", "--mode", "lossy", "--quality", quality]
            assert cli.main(["compress", "a.npy", f"{quality}.zarr", *given]) == 0
            assert cli.main(["verify", "a.npy", f"{quality}.zarr"]) == 0
            stored = capsys.readouterr().out.split("bytes out")[1].split()[0]
            sizes.append(int(stored.replace(",", "")))
        assert sizes[0] < sizes[1]
        assert cli.main(["compress", "a.npy", "b.zarr", "--quality", "20"]) != 0

    def test_untyped_buffers_stay_lossless(self, model):
        codec = Latrans(model, "lossy", quality=20)
        assert codec.decode(codec.encode(b"as it is" * 9)).tobytes() == b"as it is" * 9
