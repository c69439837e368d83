"""Experts: kinds of data are told apart, and models that exist are gone on from."""

from __future__ import annotations

import numpy as np
import pytest

import latrans
from latrans.errors import ConfigError, RecipeError
from latrans.residual.table_map import cheapest_tables, identity_map, token_costs

pytest.importorskip("torch", reason="training needs PyTorch")

from dataclasses import replace

from latrans.train.experts import clusters
from latrans.train.recipe import load_recipe

RNG = np.random.default_rng(0)
IMAGES = RNG.integers(0, 40, (6, 64, 64)).cumsum(2).astype(np.uint16)


def recipe(**changes):
    base = load_recipe("field")
    return replace(
        base, predictor=replace(base.predictor, examples=6, rows=500, steps=12, **changes)
    )


@pytest.fixture(scope="module")
def model():
    return latrans.fit(IMAGES, recipe(), axes="zyx", progress=False)


def test_clusters_are_those_of_the_points():
    points = np.concatenate([RNG.normal(m, 0.1, (20, 3)) for m in (0, 5, 10)])
    found = clusters(points, 3, seed=1)
    assert len({tuple(found[i : i + 20]) for i in (0, 20, 40)}) == 3
    assert all(len(set(found[i : i + 20])) == 1 for i in (0, 20, 40))


def test_a_recipe_names_the_number_of_experts():
    found = latrans.fit(IMAGES, recipe(experts=3), axes="zyx", progress=False)
    assert len(found.neighbourhood.experts) == 3
    assert len({len(networks) for networks in found.neighbourhood.experts}) == 1
    codec = latrans.Codec(found, axes="zyx")
    assert np.array_equal(codec.decode(codec.encode(IMAGES)), IMAGES)
    with pytest.raises(RecipeError, match="at most 7"):
        recipe(experts=8)


def test_going_on_keeps_the_experts_and_adds_one(model):
    more = latrans.fit(IMAGES, recipe(), axes="zyx", start=model, progress=False)
    before, after = model.neighbourhood, more.neighbourhood
    assert len(after.experts) == len(before.experts) + 1
    first = before.experts[0][0].layers[0].weight
    assert np.array_equal(after.experts[0][0].layers[0].weight, first)
    assert np.array_equal(after.linear, before.linear)
    codec = latrans.Codec(more, axes="zyx")
    assert np.array_equal(codec.decode(codec.encode(IMAGES)), IMAGES)


def test_going_on_from_another_geometry_is_refused(model):
    with pytest.raises(ConfigError, match="start from a model"):
        latrans.fit(IMAGES[0], "series", axes="ct", start=model, steps=1, progress=False)


@pytest.mark.parametrize("dtype", ["f2", "f4", "f8"])
def test_floats_of_all_bits_can_be_learned_from(dtype):
    noise = np.random.default_rng(1).normal(size=(4, 64, 64)).cumsum(1).astype(dtype)
    found = latrans.fit(noise, recipe(), axes="zyx", progress=False)
    codec = latrans.Codec(found, "bounded", 0.01, axes="zyx")
    error = np.abs(codec.decode(codec.encode(noise)).astype("f8") - noise.astype("f8"))
    assert error.max() <= 0.01


def test_tables_are_remapped_where_that_pays(model):
    tables = model.neighbourhood.tables
    costs = token_costs(tables)
    counts = np.zeros(costs.shape, np.int64)
    assert np.array_equal(cheapest_tables(counts, costs), identity_map())
    # What class 40's table expects, in class 5.
    counts[5] = tables[40, : counts.shape[1]].astype(np.int64) * 50
    found = cheapest_tables(counts, costs)
    own = float(counts[5] @ costs[5])
    assert float(counts[5] @ costs[found[5]]) <= own
    assert np.array_equal(np.delete(found, 5), np.delete(identity_map(), 5))
