"""FORMAT.md says enough about the lossy transform (see test_format.py)."""

from __future__ import annotations

import numpy as np
import pytest

from format_reading import channels, check, smooth
from synthetic_transform import make_lossy_model


@pytest.fixture(scope="module")
def model():
    return make_lossy_model()


@pytest.mark.parametrize("shape", [(1,), (1, 1), (1, 21), (18, 1), (2, 19), (17, 18), (20, 35)])
def test_planes_of_any_size(model, shape):
    frame = check(model, np.rint(smooth(*shape)).astype("<i2"), mode="lossy", quality=60)
    assert frame.is_lossy


@pytest.mark.parametrize("quality", [8, 45, 95])
def test_coarse_and_fine(model, quality):
    check(model, (100 * smooth(18, 20)).astype("<i4"), mode="lossy", quality=quality)


def test_colours(model):
    picture = np.moveaxis(channels(), 0, -1).astype("u1")
    check(model, np.pad(picture, ((4, 4), (2, 3), (0, 0)), "reflect"), mode="lossy", quality=55)


def test_colours_that_have_nothing_in_common(model):
    picture = np.stack([smooth(14, 20, seed=i) for i in range(3)], -1)
    check(model, (40 * picture).astype("<i2"), mode="lossy", quality=50)


def test_stacks_and_fields(model):
    check(model, smooth(2, 12, 18).astype("<f4"), mode="lossy", step=0.5)
    field = smooth(18, 12).astype("<f8")
    field[3, 4:7] = np.nan
    check(model, field, mode="lossy", quality=40)


def test_large_values(model):
    rng = np.random.default_rng(0)
    check(model, rng.integers(-(2**29), 2**29, (9, 20)).astype("<i4"), mode="lossy", quality=100)
    check(model, rng.integers(-(2**29), 2**29, (20, 9)).astype("<i4"), mode="lossy", step=0.1)


@pytest.mark.parametrize("dtype", ["<f4", "<f8"])
def test_values_beyond_the_largest(model, dtype):
    wave = np.clip(1.5 * np.sin(np.indices((18, 20)).sum(0) / 4), -1, 1)
    array = (wave * float(np.finfo(dtype).max)).astype(dtype)
    check(model, array, mode="lossy", quality=15)
