"""Training of lossy models: what comes out works, is the same again, and has learned."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

pytest.importorskip("torch")

import latrans
from latrans.errors import ConfigError, RecipeError
from latrans.train.pictures import PictureSampler, Source
from latrans.train.recipe import load_recipe
from latrans.train.sections import TransformRecipe
from latrans.train.transform import train_transform

SMALL = TransformRecipe(hidden=(8,), pictures=6, share=0.3, steps=60, batch=512)


def textures(n: int = 4) -> np.ndarray:
    """Smooth noise at several strengths."""
    rng = np.random.default_rng(2)
    noise = rng.normal(size=(n, 96, 96)).cumsum(1).cumsum(2)
    return (500 + 40 * noise / noise.std() * (1 + np.arange(n))[:, None, None]).astype("u2")


@pytest.fixture(scope="module")
def pictures():
    sampler = PictureSampler([Source(textures())], "yx", augment=True)
    rng = np.random.default_rng(0)
    return [sampler.draw(rng) for _ in range(SMALL.pictures)]


def test_the_same_training_gives_the_same_model(pictures):
    first, bits = train_transform(pictures, SMALL, seed=1)
    again, _ = train_transform(pictures, SMALL, seed=1)
    assert bits > 0
    one, two = (t.to_tensors("t")[0] for t in (first, again))
    assert all(np.array_equal(one[k], two[k]) for k in one)


def test_a_training_may_be_short(pictures):
    assert train_transform(pictures, replace(SMALL, steps=10), seed=1)[1] > 0


def test_longer_training_is_smaller(pictures):
    bits = [train_transform(pictures, replace(SMALL, steps=n), seed=1)[1] for n in (2, 160)]
    assert bits[1] < 0.97 * bits[0]


def test_a_recipe_makes_a_lossy_model_that_codes_what_it_was_made_for():
    images = textures()
    model = latrans.fit(images, "image-lossy", name="mine", steps=40, progress=False)
    assert (model.name, model.lossy_only) == ("mine", True)
    assert model.training["data"][0]["shape"] == images.shape
    codec = latrans.Codec(model, "lossy", quality=60)
    frame = codec.encode(images)
    assert len(frame) < images.nbytes / 3
    error = codec.decode(frame).astype(float) - images
    assert np.sqrt((error**2).mean()) < np.ptp(images) / 2**6


def test_colours_are_drawn_together_and_alone():
    sampler = PictureSampler(
        [Source(np.zeros((2, 40, 50, 3), np.uint8), "nyxc")], "yx", augment=False
    )
    rng = np.random.default_rng(0)
    shapes = {sampler.draw(rng).planes.shape for _ in range(20)}
    assert shapes == {(1, 40, 50), (3, 40, 50)}


def test_fields_are_drawn_on_a_grid_of_their_range():
    field = np.random.default_rng(0).normal(size=(40, 50)).astype("f4")
    field[2, 3] = np.nan
    picture = PictureSampler([Source(field)], "yx", augment=False).draw(np.random.default_rng(0))
    assert picture.planes.min() == 0
    assert picture.planes.max() == 16384


@pytest.mark.parametrize(
    "text",
    ["hidden = [0]", "pictures = 0", "share = 0.0", "share = 1.5", "steps = 1", "unknown = 1"],
)
def test_unusable_entries_are_a_recipe_error(tmp_path, text):
    path = tmp_path / "r.toml"
    head = 'name = "x"\nversion = 1\naxes = "yx"\n'
    path.write_text(f'{head}geometry = "plane"\n[transform]\n{text}\n')
    with pytest.raises(RecipeError):
        load_recipe(path)


def test_a_transform_has_planes_and_no_autoencoder(tmp_path):
    path = tmp_path / "r.toml"
    path.write_text('name = "x"\nversion = 1\naxes = "t"\ngeometry = "track"\n[transform]\n')
    with pytest.raises(ConfigError, match="transform"):
        load_recipe(path)
