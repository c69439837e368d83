"""What cannot be trained on is refused with what was found, before anything is trained."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

pytest.importorskip("torch")

import latrans
from latrans.errors import ConfigError

RAMP = np.random.default_rng(0).integers(0, 9, (96, 96)).cumsum(1).astype(np.uint16)


def fit(data: Any, recipe: str = "field", **options: Any) -> latrans.Model:
    return latrans.fit(data, recipe, steps=2, progress=False, **options)


@pytest.mark.parametrize("recipe", ["field", "image", "series", "image-lossy"])
@pytest.mark.parametrize(
    ("data", "message"),
    [
        ([], "empty list"),
        (np.zeros((0, 96, 96), np.uint8), r"shape \(0, 96, 96\) and so no"),
        ([RAMP, np.zeros((0, 96, 96), np.uint16)], "2 of 2, has shape"),
        (np.full((96, 96), np.nan, np.float32), "nothing to learn"),
        (np.full((96, 96), np.inf, np.float32), "nothing to learn"),
        (RAMP * 0, "nothing to learn"),
        (np.zeros((1, 1), np.uint16), "nothing to learn"),
        (np.ma.masked_greater(RAMP, 20), "masked"),
        (RAMP + 1j, "expected integers or floats"),
        ({"a": RAMP}, "training data is dict"),
    ],
    ids=[
        "no arrays", "no samples", "one without samples", "NaN", "infinite", "constant",
        "one sample", "masked", "complex", "dict",
    ],
)  # fmt: skip
def test_data_that_teaches_nothing_is_refused(recipe: str, data: Any, message: str) -> None:
    with pytest.raises(ConfigError, match=message):
        fit(data, recipe)


@pytest.mark.parametrize(
    ("axes", "message"),
    [("zyx", "name 3 dimensions, the training data has 2"), (["y", "x"], "expected a string")],
)
def test_axes_that_do_not_fit_are_refused(axes: Any, message: str) -> None:
    with pytest.raises(ConfigError, match=message):
        fit(RAMP, axes=axes)
    pytest.importorskip("dask.array")
    from latrans.dask import fit as fit_sample

    with pytest.raises(ConfigError, match=message):
        fit_sample(_dask(RAMP), "field", axes=axes, steps=2, progress=False)


def _dask(array: Any) -> Any:
    import dask.array as da

    return da.from_array(array, chunks=48)


def test_an_array_that_axes_do_not_fit_is_named() -> None:
    arrays = [np.zeros((40, 50), np.float32), np.zeros(40, np.float32)]
    with pytest.raises(ConfigError, match=r"training array '.*': axes 'yx' name 2 dimensions"):
        latrans.fit(arrays, "field", steps=1, progress=False)


def test_axes_of_a_codec_are_a_string() -> None:
    for axes in (["y", "x"], ("y", "x"), 2):
        with pytest.raises(ConfigError, match="expected a string"):
            latrans.Codec(axes=axes)  # type: ignore[arg-type]


def test_a_few_dimensions_less_are_fine_beside_others() -> None:
    assert fit([np.stack([RAMP] * 2), RAMP], axes="zyx").axes == "zyx"


def test_recordings_of_unsigned_integers_train() -> None:
    assert fit(RAMP[0], "series").axes == "t"


def test_a_recipe_that_takes_no_start_says_so() -> None:
    with pytest.raises(ConfigError, match="trains from scratch"):
        fit(RAMP, "image-lossy", start="image-1")
    with pytest.raises(ConfigError, match="own kind"):
        fit(RAMP, "field", start="series-1")


def test_integers_of_64_bits_train_a_lossy_model() -> None:
    assert fit(RAMP.astype(np.int64) << 40, "image-lossy").lossy_only
