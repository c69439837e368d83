"""A recipe that loads means what it says; anything else is an error that names the entry."""

from __future__ import annotations

import pytest

from latrans.errors import ConfigError, RecipeError
from latrans.train.recipe import Objective, load_recipe, recipe_names

MINIMAL = """
name = "mine"
version = 1
geometry = "plane"
axes = "yx"
"""
DENSE = """
[autoencoder]
family = "dense"
sample_shape = [4, 4]
latents = 3
"""


@pytest.fixture
def load(tmp_path):
    def load(text):
        path = tmp_path / "recipe.toml"
        path.write_text(text, encoding="utf-8")
        return load_recipe(path)

    return load


@pytest.mark.parametrize("name", recipe_names())
def test_packaged_recipes_load_under_their_own_name(name):
    recipe = load_recipe(name)
    assert recipe.name == name
    assert recipe.description
    assert load_recipe(recipe) is recipe
    assert recipe.to_dict()["training"]["steps"] > 0


@pytest.mark.parametrize("variant", ["", "-sparse", "-denoising", "-variational"])
@pytest.mark.parametrize(
    ("sizes", "hidden", "latents"),
    [("784-128-64-16", (128, 64), 16), ("784-512-256-64", (512, 256), 64), ("784-128", (), 128)],
)
def test_the_classic_digit_autoencoders_are_there(sizes, hidden, latents, variant):
    network = load_recipe(f"mnist-{sizes}{variant}").autoencoder
    assert network.sample_shape == (28, 28)
    assert (network.hidden, network.latents) == (hidden, latents)


def test_defaults_fill_what_is_left_out(load):
    recipe = load(MINIMAL)
    assert recipe.autoencoder is None
    assert recipe.objective == Objective(mse=1.0)
    assert load(MINIMAL + "[training]\nlearning_rate = 1\n").training.learning_rate == 1.0


@pytest.mark.parametrize(
    ("text", "complaint"),
    [
        (MINIMAL + "colour = 1", "unknown key 'colour'; known are name, version"),
        (MINIMAL + "[training]\nsteps = 10\nspeed = 2", "training: unknown key 'speed'.*patience"),
        (MINIMAL.replace("version = 1", ""), "'version' is missing"),
        (MINIMAL.replace("1", "1.5"), "version is 1.5; expected int"),
        (MINIMAL + "[training]\nsteps = true", "steps is True; expected int"),
        (MINIMAL + "[training]\nsteps = 0", "steps is 0; expected at least 1"),
        (MINIMAL + "[training]\nlearning_rate = nan", "learning_rate is nan; expected float"),
        (MINIMAL + "[training]\nvalidation = 0.9", "validation must lie in"),
        (MINIMAL + "training = 3", "training is 3; expected a table"),
        (MINIMAL + "[predictor]\nhidden = 32", "hidden is 32; expected a list of integers"),
        (MINIMAL + "[predictor]\nhidden = [1.5]", "expected a list of integers"),
        (MINIMAL + "[predictor]\nhidden = []", "hidden is 0; expected at least 1"),
        (MINIMAL + "[objective]\nmse = -1.0", "mse is -1.0"),
        (MINIMAL + "[objective]\nl2 = 1.0", "no target"),
        (MINIMAL.replace("yx", "yy"), "axes is 'yy'"),
        (MINIMAL.replace("yx", "t"), "axes is 't'"),
        (MINIMAL.replace("plane", "cube"), "geometry is 'cube'; expected one of plane, track"),
        (MINIMAL + DENSE.replace("3", "0"), "latents is 0"),
        (MINIMAL + DENSE.replace("[4, 4]", "[16]"), r"sample_shape is \(16,\)"),
        (MINIMAL + DENSE + "strides = [2]", "strides belong to conv"),
        (MINIMAL + DENSE + "latent_scale = 3", "expected a power of two"),
        (MINIMAL + DENSE + 'init = "pca"\nhidden = [8]', "init 'pca' needs"),
        (MINIMAL + DENSE + "dropout = 1.0", "dropout is 1.0"),
        (MINIMAL + DENSE + "kernel = 4", "kernel is 4; expected an odd"),
        (MINIMAL + DENSE.replace("dense", "conv3d"), "family is 'conv3d'"),
        (MINIMAL + '[autoencoder]\nfamily = "conv2d"\nlatents = 2', "strides has 0 entries"),
        (MINIMAL + '[autoencoder]\nfamily = "conv1d"\nlatents = 2\nstrides = [2]', "does not fit"),
        ("name = ", "not TOML"),
    ],
)
def test_wrong_entries_are_named(load, text, complaint):
    with pytest.raises(RecipeError, match=complaint):
        load(text)


def test_unknown_recipe_lists_the_known_ones():
    with pytest.raises(RecipeError, match=r"no recipe 'imagine'.*mnist-784-128"):
        load_recipe("imagine")


def test_recipe_errors_are_configuration_errors():
    assert issubclass(RecipeError, ConfigError)


def test_file_that_is_no_text_is_a_recipe_error(tmp_path):
    path = tmp_path / "recipe.toml"
    path.write_bytes(b"\xff\xfe\x00")
    with pytest.raises(RecipeError, match="cannot be read"):
        load_recipe(path)
