"""Autoencoders in integers: planes of any range go in and come back on their own scale."""

from __future__ import annotations

import copy
import json
from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from latrans.engine import select
from latrans.engine.program import Layer, Program
from latrans.errors import ConfigError, ModelError
from latrans.models.autoencoder import Autoencoder, denormalise, normalise, plane_statistics

ENGINE = select("reference")


def layer(op, weight, shift, limit, **kwargs):
    weight = np.array(weight, np.int8)
    n = weight.shape[0]
    bias, shift = np.zeros(n, np.int32), np.full(n, shift, np.uint8)
    return Layer(op, weight, bias, shift, *limit, **kwargs)


@pytest.fixture
def dense():
    """Two by three samples, whose latents are their first two values, halved."""
    first = layer("dense", np.eye(2, 6), 1, (-127, 127))
    second = layer("dense", 4 * np.eye(6, 2), 1, (0, 255))
    return Autoencoder(
        Program((first,), 0, 255, (6,)), Program((second,), -127, 127, (2,)),
        "dense", (2, 3), (), "int8",
    )  # fmt: skip


@pytest.fixture
def conv():
    """One latent per 2 by 2 samples: one of them, spread over all four."""
    first = layer("conv", [[[[2]]]], 1, (-127, 127), stride=(2, 2))
    second = layer("conv", np.full((4, 1, 1, 1), 32), 1, (-2047, 2047))
    return Autoencoder(
        Program((first,), -127, 127, (1, None, None)),
        Program((second, Layer("shuffle", factor=(2, 2))), -127, 127, (1, None, None)),
        "conv", None, (2, 2), "int8",
    )  # fmt: skip


def test_dense_samples_pass_through_their_latents(dense):
    planes = np.array([[[10, 200, 3], [4, 5, 6]]], np.int32)
    statistics = dense.statistics(planes)
    latents = dense.analyse(ENGINE, planes, statistics)
    assert dense.normalise == "identity"
    assert statistics.shape == (1, 0)
    assert latents.tolist() == [[5, 100]]
    back = dense.synthesise(ENGINE, latents, (2, 3), statistics)
    assert back.tolist() == [[[10, 200, 0], [0, 0, 0]]]
    assert dense.fits((2, 3), 0, 255)
    assert not dense.fits((2, 3), 0, 256)
    assert not dense.fits((3, 2), 0, 255)


@pytest.mark.parametrize("shape", [(1, 1), (5, 7), (8, 8)])
def test_conv_planes_have_any_size(conv, shape):
    planes = np.random.default_rng(0).integers(-3000, 70000, (3, *shape), dtype=np.int32)
    statistics = conv.statistics(planes)
    latents = conv.analyse(ENGINE, planes, statistics)
    assert latents.shape == (3, *conv.latent_shape(shape))
    back = conv.synthesise(ENGINE, latents, shape, statistics)
    assert back.shape == planes.shape
    steps = 1 << statistics[:, 1]
    inside = np.abs(planes - statistics[:, 0, None, None]) < 1.9 * steps[:, None, None]
    error = np.abs(back - planes)[:, ::2, ::2][inside[:, ::2, ::2]]
    assert error.max() <= steps.max() / 64 + 1


def test_what_does_not_fit_is_refused(dense, conv):
    with pytest.raises(ConfigError, match="samples have shape"):
        dense.analyse(ENGINE, np.zeros((1, 3, 3), np.int32), np.zeros((1, 0), np.int64))
    with pytest.raises(ConfigError, match="latents have shape"):
        conv.synthesise(
            ENGINE, np.zeros((1, 1, 2, 2), np.int32), (9, 9), np.zeros((1, 2), np.int64)
        )


@given(st.integers(-(2**31), 2**31 - 1), st.integers(0, 31), st.integers(1, 99), st.integers(0))
def test_statistics_and_back_stay_within_a_step(centre, spread, n, seed):
    rng = np.random.default_rng(seed)
    plane = np.rint(centre + rng.normal(size=(1, n)) * 2.0**spread)
    plane = np.clip(plane, -(2**31), 2**31 - 1).astype(np.int32)
    mean, shift = plane_statistics(plane)
    assert abs(mean - plane.mean(dtype=np.float64)) <= 0.5 + 1e-6
    statistics = np.array([[mean, shift]], np.int64)
    x = normalise(plane[None], statistics)
    assert np.abs(x).max() <= 127
    back = denormalise(x * 16, statistics).astype(np.int64)
    inside = np.abs(x[0]) < 127
    assert np.abs(back[0] - plane)[inside].max(initial=0) <= (1 << shift) // 64 + 1


def test_spread_is_near_a_quarter_of_the_scale():
    plane = np.random.default_rng(0).normal(0, 1000, (64, 64)).astype(np.int32)
    _, shift = plane_statistics(plane)
    assert shift == 11


def test_tensors_and_json_bring_it_back(dense, conv):
    for autoencoder in (dense, conv):
        tensors, spec = autoencoder.to_tensors("a")
        again = Autoencoder.from_tensors("a", tensors, json.loads(json.dumps(spec)))
        assert again.to_tensors("a")[1] == spec
        assert (again.sample_shape, again.stride) == (autoencoder.sample_shape, autoencoder.stride)


@pytest.mark.parametrize("key", ["kind", "sample_shape", "stride", "latent_dtype", "analysis"])
@pytest.mark.parametrize("junk", [None, 3, "x", [0], [2, 2, 2], {"a": 1}])
def test_damaged_description_is_a_model_error(dense, conv, key, junk):
    for autoencoder in (dense, conv):
        tensors, spec = autoencoder.to_tensors("a")
        spec = copy.deepcopy(spec)
        if (spec[key] or None) == (junk or None):
            continue
        spec[key] = junk
        with pytest.raises(ModelError):
            Autoencoder.from_tensors("a", tensors, spec)
    with pytest.raises(ModelError):
        Autoencoder.from_tensors("a", tensors, junk)


def test_programs_must_belong_together(dense, conv):
    wide = replace(dense.analysis.layers[0], hi=300)
    for wrong in (
        replace(dense, synthesis=conv.synthesis),
        replace(dense, analysis=Program((wide,), 0, 255, (6,))),
        replace(dense, sample_shape=(2, 2)),
        replace(conv, stride=(4, 4)),
        replace(conv, kind="dense"),
    ):
        with pytest.raises(ModelError):
            wrong.check()
