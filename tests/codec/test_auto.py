"""Model "auto": a shipped codec is chosen by what is in the array, the same one everywhere."""

from __future__ import annotations

import json
from typing import Any

import numpy as np
import pytest

import latrans
from latrans import Codec
from latrans.chunk import choose_model, crop
from latrans.errors import ConfigError, ModelNotFoundError
from latrans.models import store

Array = np.ndarray[Any, Any]


def waves(*shape: int) -> Array:
    total = np.zeros(shape)
    for i, axis in enumerate(np.indices(shape)):
        total += np.sin(axis / (6 + 2 * i)) * 90
    noise = np.arange(total.size).reshape(shape) * 2654435761 % 2**32 >> 29
    return total + noise


PICTURE = (waves(64, 80) + 200).astype(np.uint16)
RECORDING = waves(2, 6000).astype(np.int16)
FIELD = waves(3, 40, 50).astype(np.float32)


def name_of(frame: bytes) -> str | None:
    return latrans.inspect(frame).model_name


@pytest.mark.parametrize(
    ("array", "axes", "geometry", "floats"),
    [
        (PICTURE, None, "plane", False),
        (PICTURE, "yx", "plane", False),
        (np.stack([PICTURE, PICTURE + 3]), "zyx", "plane", False),
        (RECORDING, None, "track", None),
        (RECORDING[0], None, "track", None),
        (np.ascontiguousarray(RECORDING.T), "tc", "track", None),
        (FIELD, None, "plane", True),
        (FIELD, "tyx", "plane", True),
    ],
)
def test_what_is_chosen_fits_shape_and_kind(
    array: Array, axes: str | None, geometry: str, floats: bool | None
) -> None:
    model = choose_model.choose(array, axes=axes)
    assert model is not None
    assert model.geometry == geometry
    if floats is not None:
        kinds = [np.dtype(entry["dtype"]).kind for entry in model.training["data"]]
        assert (kinds.count("f") * 2 > len(kinds)) == floats


@pytest.mark.parametrize("array", [PICTURE, RECORDING, FIELD, PICTURE.astype(">u2")])
def test_frames_name_the_chosen_model_and_come_back(array: Array) -> None:
    codec = Codec("auto")
    frame = codec.encode(array)
    chosen = name_of(frame)
    assert chosen in {model.name for model in choose_model.shipped()}
    assert frame == Codec(chosen).encode(array)
    decoded = codec.decode(frame)
    assert decoded.dtype == array.dtype
    assert np.array_equal(decoded, array)


def test_digits_are_only_for_their_own_shape() -> None:
    drawings = np.zeros((40, 28, 28), np.uint8)
    drawings[:, 8:20, 10:14] = 250 + np.arange(12)[:, None] % 5
    names = {model.name for model, _ in choose_model.candidates(drawings, None)}
    assert "digits-1" in names
    assert "digits-1" not in {m.name for m, _ in choose_model.candidates(drawings[:, :27], None)}
    assert "digits-1" not in {
        m.name for m, _ in choose_model.candidates(drawings.astype("f4"), None)
    }


def test_both_engines_choose_alike() -> None:
    small = RECORDING[:, :700]
    chosen = {choose_model.choose(small, engine=engine).name for engine in (None, "reference")}  # type: ignore[union-attr]
    assert len(chosen) == 1


def test_models_of_the_user_are_never_chosen(
    tmp_path: Any, monkeypatch: pytest.MonkeyPatch, models: dict[str, Any]
) -> None:
    for model in models.values():
        model.save(tmp_path / f"{model.name}.safetensors")
    monkeypatch.setenv("LATRANS_MODEL_PATH", str(tmp_path))
    packaged = {listed.digest for listed in store.list_models(store.packaged())}
    assert {model.digest for model in choose_model.shipped()} == packaged


def test_a_bound_is_kept() -> None:
    codec = Codec("auto", "bounded", max_error=0.5)
    frame = codec.encode(FIELD)
    assert not latrans.inspect(frame).fallback
    assert np.abs(codec.decode(frame).astype(float) - FIELD).max() <= 0.5


def test_lossy_takes_a_model_with_latents_and_says_so_where_there_is_none() -> None:
    frame = Codec("auto", "lossy").encode(PICTURE)
    assert latrans.inspect(frame).latent_dtype != "none"
    with pytest.raises(ConfigError, match="no shipped model"):
        Codec("auto", "lossy").encode(RECORDING[0])


@pytest.mark.parametrize(
    "array",
    [
        np.array(3.5),
        np.zeros((0, 4), np.int16),
        np.array([1 + 2j, 3]),
        np.array(["a", "bc"]),
        np.array(["2020-01-01", "NaT"], "M8[s]"),
    ],
)
def test_what_suits_no_model_goes_to_the_fallback(array: Array) -> None:
    frame = Codec("auto").encode(array)
    assert latrans.inspect(frame).fallback
    assert latrans.decode(frame).tobytes() == array.tobytes()


@pytest.mark.parametrize(("axes", "shape"), [("yx", (0, 4)), ("x", (0,)), ("t", (0,))])
def test_empty_arrays_with_axes_are_stored_all_the_same(axes: str, shape: tuple[int, ...]) -> None:
    codec = Codec("auto", axes=axes)
    found = codec.decode(codec.encode(np.zeros(shape, np.uint16)))
    assert (found.shape, found.dtype) == (shape, np.uint16)


def test_axes_that_fit_no_model_are_refused() -> None:
    with pytest.raises(ConfigError):
        Codec("auto", axes="yxc").encode(PICTURE)
    with pytest.raises(ConfigError):
        Codec("auto", axes="zz").encode(PICTURE)


def test_auto_is_no_model_that_could_be_opened() -> None:
    with pytest.raises(ModelNotFoundError):
        latrans.open_model("auto")


def test_cost_maps_follow_the_choice() -> None:
    cost = Codec("auto").cost_map(PICTURE)
    assert cost.shape == PICTURE.shape


def test_numcodecs_keeps_auto_in_its_configuration() -> None:
    from latrans.numcodecs import Latrans

    codec = Latrans("auto")
    config = codec.get_config()
    assert config["model"] == "auto"
    assert json.loads(json.dumps(config)) == config
    assert np.array_equal(Latrans("image-1").decode(codec.encode(PICTURE)), PICTURE)


@pytest.mark.parametrize("zarr_format", [2, 3])
def test_zarr_arrays_choose_by_chunk(zarr_format: int) -> None:
    zarr = pytest.importorskip("zarr")
    from latrans.numcodecs import Latrans
    from latrans.zarr import LatransCodec

    own: dict[str, Any] = {"compressors": Latrans("auto")}
    if zarr_format == 3:
        own = {"compressors": None, "serializer": LatransCodec(model="auto")}
    chunked = zarr.create_array({}, data=PICTURE, chunks=(32, 40), zarr_format=zarr_format, **own)
    assert '"auto"' in json.dumps(chunked.metadata.to_dict(), default=str)
    assert np.array_equal(chunked[:], PICTURE)


# --- the middle of an array ----------------------------------------------------------------------


@pytest.mark.parametrize(
    ("shape", "axes", "expected"),
    [
        ((100, 512, 512), "zyx", (2, 90, 91)),
        ((512, 768, 3), "yxc", (60, 91, 3)),
        ((512, 768, 3), None, (60, 91, 3)),
        ((650_000, 2), "tc", (8192, 2)),
        ((650_000, 2), None, (8192, 2)),
        ((64, 9000), "ct", (8, 2048)),
        ((5000, 28, 28), "nyx", (20, 28, 28)),
        ((3, 50_000, 4), "nyx", (2, 2048, 4)),
        ((40, 3, 9001), "nct", (2, 3, 2730)),
        ((7,), None, (7,)),
        ((), None, ()),
        ((0, 5), None, (0, 5)),
    ],
)
def test_crops_keep_channels_and_planes(
    shape: tuple[int, ...], axes: str | None, expected: tuple[int, ...]
) -> None:
    found = tuple(
        len(range(*part.indices(size)))
        for part, size in zip(crop.window(shape, axes, 1 << 14), shape, strict=True)
    )
    assert found == expected


def test_crops_come_from_the_middle() -> None:
    array = np.arange(101 * 101).reshape(101, 101)
    assert crop.crop(array, "yx", 9)[0, 0] // 101 > 30
    assert crop.crop(array, "yx", 1 << 20).shape == array.shape
