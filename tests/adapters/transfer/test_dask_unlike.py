"""Odd planes are found, on both sides of the rest, whatever the chunks, at the rate asked for."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

import effort
from latrans.errors import ConfigError

da = pytest.importorskip("dask.array")
zarr = pytest.importorskip("zarr")

import latrans.zarr
from latrans.dask import likeness, map_latents, plane_scores, scores, unlike
from latrans.dask.unlike import t_limit

Array = np.ndarray[Any, Any]
SIDE = 96
ODD = {
    4: "blank",
    9: "noisy",
    14: "blurred",
    19: "saturated",
    24: "doubled",
    29: "displaced",
    34: "another",
}


def smooth(values: Array, times: int) -> Array:
    for _ in range(times):
        for axis in (-2, -1):
            values = (values + np.roll(values, 1, axis)) / 2
    return values


@pytest.fixture(scope="module")
def clean() -> Array:
    """Forty planes that go over into one another, with grain."""
    rng = np.random.default_rng(3)
    layers = smooth(rng.normal(0, 1, (43, SIDE, SIDE)), 6)
    planes = layers[:-3] + layers[1:-2] + layers[2:-1] + layers[3:]
    scaled = 128 + 40 * planes / planes.std() + rng.normal(0, 4, planes.shape)
    return scaled.clip(0, 255).astype(np.uint8)


@pytest.fixture(scope="module")
def stack(clean: Array) -> Array:
    """The same with one odd plane of each kind."""
    rng = np.random.default_rng(4)
    odd = clean.copy()
    odd[4] = 0
    odd[9] = (clean[9] + rng.normal(0, 30, (SIDE, SIDE))).clip(0, 255)
    odd[14] = smooth(clean[14].astype(float), 6)
    odd[19] = ((clean[19] - 128.0) * 6 + 128).clip(0, 255)
    odd[24] = clean[23]
    odd[29] = np.roll(clean[29], (30, 40), (0, 1))
    odd[34] = smooth(rng.normal(128, 400, (SIDE, SIDE)), 12).clip(0, 255)
    return odd


def stored(values: Array, chunks: Any, **options: Any) -> zarr.Array:
    return latrans.zarr.create(
        {}, data=values, chunks=chunks, dimension_names=["z", "y", "x"], **options
    )


LAYOUTS: dict[str, dict[str, Any]] = {
    "a plane each": {"chunks": (1, SIDE, SIDE)},
    "many planes each": {"chunks": (7, SIDE, SIDE)},
    "parts of a plane": {"chunks": (1, 48, 64)},
    "parts of many planes": {"chunks": (3, 48, 64)},
    "shards": {"chunks": (1, SIDE, SIDE), "shards": (5, SIDE, SIDE)},
    "format 2": {"chunks": (4, SIDE, SIDE), "zarr_format": 2},
}


@pytest.mark.parametrize("layout", LAYOUTS)
def test_odd_planes_are_found_whatever_the_chunks(layout: str, stack: Array, clean: Array) -> None:
    for values, expected in ((stack, set(ODD)), (clean, set())):
        array = stored(values, **LAYOUTS[layout])
        bits, same = plane_scores(array), likeness(map_latents(array, "image-1"))
        assert bits.shape == same.shape == (40,)
        found = set(np.flatnonzero(unlike(bits, same, rate=0.001)).tolist())
        assert found - {23} == expected  # 23 is what 24 doubles
        by_bits = {i for i, kind in ODD.items() if kind not in ("doubled", "displaced")}
        assert by_bits & expected <= set(np.flatnonzero(unlike(bits)).tolist())


def test_planes_of_dask_arrays_and_of_lossy_stores(stack: Array) -> None:
    blocks = da.from_array(stack, chunks=(6, SIDE, SIDE))
    bits = plane_scores(blocks, "image-1", axes="zyx")
    assert np.array_equal(bits, plane_scores(stored(stack, (6, SIDE, SIDE))))
    lossy = stored(stack, (6, SIDE, SIDE), mode="lossy")
    found = set(np.flatnonzero(unlike(plane_scores(lossy), likeness(map_latents(lossy)))).tolist())
    assert {4, 24, 29} <= found  # what is left without pixels: noise is not
    assert len(found) < 12


def test_bits_of_planes_come_from_sizes_where_chunks_are_planes(stack: Array) -> None:
    for array in (
        stored(stack, (1, 48, 64)),
        zarr.create_array({}, data=stack, chunks=(1, 48, 64), fill_value=0),
    ):
        bits = plane_scores(array, "image-1", axes="zyx")
        sizes = scores(array) * np.multiply.outer([48, 48], [64, 32])
        assert bits[4] == 0  # not stored
        assert np.allclose(bits[5:], sizes[5:].sum((1, 2)) / SIDE**2)


def test_channels_of_recordings_count_as_planes() -> None:
    rng = np.random.default_rng(0)
    signal = np.cumsum(rng.integers(-3, 4, (16, 9000)), 1).astype(np.int16)
    signal[5] = 7
    signal[9] = rng.integers(-900, 900, 9000)
    array = latrans.zarr.create({}, data=signal, model="series-1", axes="ct", chunks=(8, 3000))
    assert np.flatnonzero(unlike(plane_scores(array), rate=0.001)).tolist() == [5, 9]


def test_outer_dimensions_keep_their_shape(stack: Array) -> None:
    films = da.from_array(stack.reshape(2, 20, SIDE, SIDE), chunks=(1, 4, SIDE, SIDE))
    bits = plane_scores(films, "image-1", axes="ntyx")
    assert bits.shape == (2, 20)
    assert unlike(bits).shape == (2, 20)
    assert unlike(bits)[0, 4]


def test_no_more_is_called_odd_than_the_rate_says() -> None:
    rng = np.random.default_rng(0)
    for n, n_scores in ((12, 1), (40, 2), (200, 2)):
        for rate in (0.05, 0.01):
            called = [
                unlike(*rng.normal(size=(n_scores, n)), rate=rate).mean()
                for _ in range(effort.of(40_000, 12_000) // n)
            ]
            assert np.mean(called) < 1.15 * rate
            assert n < 100 or np.mean(called) > 0.4 * rate


def test_a_drift_is_not_odd_and_what_leaves_it_is() -> None:
    drift = np.linspace(1, 9, 60) ** 2 + np.random.default_rng(0).normal(0, 0.1, 60)
    assert not unlike(drift, rate=0.001)[3:-3].any()
    drift[30] += 8
    assert unlike(drift, rate=0.001)[30]


def test_unknown_and_equal_values() -> None:
    values = np.full(30, 2.0)
    assert not unlike(values).any()
    values[[3, 4]] = np.nan, 9
    assert np.flatnonzero(unlike(values)).tolist() == [4]
    assert not unlike(np.full(5, np.nan)).any()
    assert not unlike([1.0]).any()
    assert unlike([]).shape == (0,)


@pytest.mark.parametrize(
    ("freedom", "rate", "limit"),
    [(1, 0.05, 12.706), (5, 0.01, 4.032), (30, 0.001, 3.646), (10_000, 0.05, 1.960)],
)
def test_limits_are_those_of_students_t(freedom: float, rate: float, limit: float) -> None:
    assert t_limit(freedom, rate) == pytest.approx(limit, rel=2e-3)


def test_likeness_of_few_planes_and_of_whole_samples() -> None:
    assert np.isnan(likeness(np.zeros((1, 3, 4, 4)))).all()
    assert likeness(np.zeros((3, 3, 4, 4))).tolist() == [0, 0, 0]
    latents = np.random.default_rng(0).normal(size=(5, 16))
    latents[2] = latents[1] * 3 + 1
    assert (likeness(latents) > 5).tolist() == [False, True, True, False, False]


def test_what_cannot_be_scored_is_refused(stack: Array) -> None:
    plain = zarr.create_array({}, data=stack)
    with pytest.raises(ConfigError, match="name a codec"):
        plane_scores(plain)
    with pytest.raises(ConfigError, match="axes"):
        plane_scores(plain, "image-1", axes="yx")
    for rate in (0, 1, 2.0):
        with pytest.raises(ConfigError, match="rate is"):
            unlike([1.0, 2.0], rate=rate)
    with pytest.raises(ConfigError, match="one shape"):
        unlike([1.0], [1.0, 2.0])
    with pytest.raises(ConfigError, match="one or more"):
        unlike()
