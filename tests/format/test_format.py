"""FORMAT.md says enough: a reader written from it alone decodes arrays of every kind."""

from __future__ import annotations

import numpy as np
import pytest

import latrans
import random_arrays
import shipped
import synthetic_models
from format_reading import BASE, X, Y, channels, check, maps_of, smooth

LEVELS = np.array([3, 1117, 5023, 70_001, 70_013, 500_009, 600_011, 2_000_003, 9_000_041])
INTEGERS = {
    "bytes": (BASE.clip(0, 255).astype("u1"), 0),
    "signed bytes": ((BASE - 100).clip(-128, 127).astype("i1"), 0),
    "booleans": (BASE > 100, 0),
    "big-endian": ((BASE * 100).astype(">u2"), 0),
    "column-major": (np.asfortranarray(BASE.astype("i2")), 0),
    "wide": ((BASE * 2e6).astype("i4"), 0),
    "offset": (BASE.astype("i8") + (1 << 40), 1),
    "unsigned offset": ((BASE - 100).clip(-50, 50).astype("i8").astype("u4"), 1),
    "palette": (LEVELS[(BASE // 10).astype(int) % 9].astype("i4"), 2),
    "divided": ((BASE // 10).astype("i4") * 1000 + 7, 5),
    "divided but for some": (np.where(X == Y, 333, (BASE * 9).astype("i4") * 1000), 5),
    "divided and wide": ((BASE.astype("i8") << 33) + 5, 5),
    "times": ((BASE // 10).astype("M8[s]"), 0),
    "flat": (np.kron((Y + X)[:3, :4] % 3, np.ones((4, 4))).astype("u1"), 0),
    "one row": (BASE[0].astype("u2"), 0),
    "one column": (BASE[:, :1].astype("u2"), 0),
}


@pytest.mark.usefixtures("always_model")
@pytest.mark.parametrize("name", INTEGERS)
def test_integers(models, name):
    array, kind = INTEGERS[name]
    if name == "unsigned offset":
        array = array + np.uint32(3 << 30)
    assert maps_of(check(models["plane"], array), models["plane"])[0] == [kind]


FLOATS = {
    "grid": (BASE.round() / 32, 4),
    "packed grid": (np.round(BASE * 40) / 81 + 273.4, 6),
    "decimals": ((BASE * 100).round() / 100, 5),
    "fine": (BASE / 1000, 4),
    "noisy": (smooth(12, 16, noise=30.0) * 0.01, 4),
    "around zero": (BASE - 100, 4),
    "tiny": (BASE * 1e-43, 4),
    "palette": (np.sqrt(LEVELS)[(BASE // 10).astype(int) % 9], 2),
}
DOUBLES = {
    "packed": (np.round(BASE * 40) / 81 + 273.4, 6),
    "decimals": ((BASE * 100).round() / 100, 5),
    "decimals but for some": (np.where(X == Y, BASE.round(3), BASE.round()), 5),
    "palette": (np.sqrt(LEVELS)[(BASE // 10).astype(int) % 9], 2),
    "palette of decimals": (LEVELS[(BASE // 10).astype(int) % 9] / 100, 2),
    "palette from end to end": (np.array([-1e300, 1e300])[(BASE > 100).astype(int)], 2),
    "times": (1.6e9 + 0.5 * (16 * Y + X), 5),
}


@pytest.mark.usefixtures("always_model")
@pytest.mark.parametrize("dtype", ["<f4", ">f4", "<f2", ">f8"])
@pytest.mark.parametrize("name", FLOATS)
def test_floats(models, name, dtype):
    array, kind = FLOATS[name]
    array = array.astype("f4").astype(dtype)
    kinds, _, _ = maps_of(check(models["plane"], array), models["plane"])
    assert kinds == [kind] or array.dtype.itemsize == 2


@pytest.mark.usefixtures("always_model")
@pytest.mark.parametrize("dtype", ["<f8", ">f8"])
@pytest.mark.parametrize("name", DOUBLES)
def test_doubles(models, name, dtype):
    array, kind = DOUBLES[name]
    kinds, _, _ = maps_of(check(models["plane"], array.astype(dtype)), models["plane"])
    assert kinds == [kind]


@pytest.mark.usefixtures("always_model")
def test_corrected_floats(models):
    array = np.random.default_rng(0).integers(0, 30_000, (30, 40)).astype("f4")
    array = array * np.float32(0.0123) + np.float32(273.4)
    frame = check(models["plane"], array)
    assert maps_of(frame, models["plane"])[0] == [6]
    assert len(frame.maps) > 100


@pytest.mark.usefixtures("always_model")
@pytest.mark.parametrize("dtype", ["|u1", "|i1", ">i4", "<f4", ">f4", "<f8", ">f2"])
def test_bounded(models, dtype):
    array = BASE.copy()
    array[:4] = 127 if dtype == "|i1" else 255  # multiples of the step may lie beyond the dtype
    array = array.clip(0, 127 if dtype == "|i1" else 255).astype(dtype)
    frame = check(models["plane"], array, mode="bounded", max_error=6)
    assert maps_of(frame, models["plane"])[0] == [3]
    assert frame.max_error == 6


@pytest.mark.usefixtures("always_model")
@pytest.mark.parametrize("order", ["C", "F"])
@pytest.mark.parametrize("dtype", ["<f4", ">f4", ">f2"])
def test_masks(models, dtype, order):
    array = np.array(BASE.round(), dtype, order=order)
    array[2, :5] = np.nan
    assert maps_of(check(models["plane"], array), models["plane"])[1]
    array[5, 4], array[6, 7:9], array[7, 7] = -0.0, np.inf, -np.inf
    assert maps_of(check(models["plane"], array, axes="xy"), models["plane"])[1]
    array[9:11] = -9999
    frame = check(models["plane"], array, mode="bounded", max_error=1, fill_value=-9999)
    assert maps_of(frame, models["plane"])[1]


@pytest.mark.usefixtures("always_model")
@pytest.mark.parametrize("dtype", ["<f2", ">f2"])
def test_exceptions(models, dtype):
    array = channels().transpose(1, 2, 0).astype(dtype, order="F")
    array[3, 4:7, 0], array[5, 5, 2] = [700.5, 701, 703.5], -801.5
    frame = check(models["plane"], array, axes="yxz", mode="bounded", max_error=0.3)
    assert maps_of(frame, models["plane"]) == ([3], False, True)


@pytest.mark.usefixtures("always_model")
def test_colour(models):
    grain = np.random.default_rng(0).normal(0, 20, X.shape)
    array = (channels(noise=0.2) + grain).clip(0, 255).transpose(1, 2, 0).astype("u1")
    assert check(models["plane"], array).maps[0] & 1
    assert check(models["plane"], np.stack([array, array[::-1]])).maps[0] & 1


@pytest.mark.usefixtures("always_model")
@pytest.mark.parametrize("axes", ["cyx", "czyx", "cnyx", "zxyc"])
def test_a_map_for_each_channel(models, axes):
    planes = np.stack([channels()[0] * 0.001, channels()[1].round(), channels()[2] * 1e5])
    array = planes.astype("f4")
    if len(axes) == 4:
        array = np.stack([array, array[:, ::-1] + 1], axis=1)
    if axes == "zxyc":
        array = array.transpose(1, 3, 2, 0)
    kinds, _, _ = maps_of(check(models["plane"], array, axes=axes), models["plane"])
    assert len(kinds) in (3, 6)


@pytest.mark.usefixtures("always_model")
def test_channels_that_no_map_suits(models):
    doubles = np.random.default_rng(0).normal(size=400)
    table = np.stack([np.arange(400) % 7, doubles, np.full(400, 1 / 3), doubles.round(2)], 1)
    kinds, _, _ = maps_of(check(models["track"], table, axes="tc"), models["track"])
    assert kinds[1] == 7
    assert kinds.count(7) == 1


@pytest.mark.usefixtures("always_model")
def test_a_map_for_each_plane(models):
    planes = (
        smooth(6, 32, 40, noise=30.0).round() * 0.5 ** np.arange(6)[:, None, None] + 0.1 * np.pi
    )
    planes[1, 4:, :9] = np.nan
    planes = planes.astype("f4")
    for axes, n in (("zyx", 6), ("nyx", 6), ("zcyx", 2), ("cnyx", 6)):
        array = planes.reshape(2, 3, 32, 40) if len(axes) == 4 else planes
        if axes == "zcyx":
            array = np.stack([array[0], array[0] / 64])
        kinds, masked, _ = maps_of(check(models["plane"], array, axes=axes), models["plane"])
        assert len(kinds) in (n, 6)
        assert masked


STORED = {
    "raw": (np.arange(9, dtype="u1"), 0),
    "zstandard": (np.tile(np.arange(250, dtype="u1"), 9), 1),
    "blosc": (np.arange(900, dtype="f8") ** 0.5, 2),
    "constant": (np.full((3, 4), 2.5), 3),
    "empty": (np.zeros((0, 4), "i2"), 0),
    "scalar": (np.array(3.5), 0),
    "complex": (np.arange(6).astype(">c8"), None),
    "text": (np.array([["a", "bc"]]), None),
    "structured": (np.zeros(3, [("a", ">i4"), ("b", "<f8", (2,))]), None),
    "many dimensions": (np.arange(6).astype("c8").reshape(1, 2, 1, 3, 1, 1, 1, 1), None),
    "column-major": (np.asfortranarray(np.arange(6).astype("c16").reshape(2, 3)), None),
}


@pytest.mark.parametrize("name", STORED)
def test_fallback(models, name):
    array, method = STORED[name]
    frame = check(models["plane"], array)
    assert frame.is_fallback
    assert method is None or frame.rest[0] == method


@pytest.mark.usefixtures("always_model")
@pytest.mark.parametrize(
    "path", sorted(shipped.CODECS.glob("*/model.safetensors")), ids=lambda path: path.parent.name
)
def test_shipped_models(path):
    model = latrans.open_model(str(path))
    shape = {"digits-1": (1, 28, 28), "series-1": (2, 150)}.get(model.name, (12, 16))
    array = smooth(*shape).clip(0, 255).astype("u1")
    if not model.lossy_only:
        assert not check(model, array).is_fallback
    if model.has_latents:
        assert check(model, array, mode="lossy").latents


@pytest.mark.usefixtures("always_model")
def test_random_arrays(models):
    n_coded = 0
    for seed in range(150):
        rng = np.random.default_rng(seed)
        array = random_arrays.random_array(rng)
        model = models[str(rng.choice(synthetic_models.KINDS))]
        options = {"mode": "bounded", "max_error": 0.5} if rng.random() < 0.3 else {}
        if array.size < 200:
            n_coded += not check(model, array, **options).is_fallback
    assert n_coded > 15
