"""Training: from arrays to a model (needs `latrans[train]`, that is PyTorch).

`fit` trains the autoencoder, if the recipe has one, then the residual network on rows that the
coder itself makes, fits the tables, and joins everything into a `latrans.Model`.
"""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from ..models.model import Model
    from .examples import Source
    from .recipe import Recipe

__all__ = ["Source", "fit"]


def fit(
    data: Any = None,
    recipe: str | Path | Recipe = "image",
    *,
    axes: str | None = None,
    name: str | None = None,
    seed: int | None = None,
    steps: int | None = None,
    start: str | Path | Model | None = None,
    progress: bool = True,
) -> Model:
    """Train a model on data.

    Parameters
    ----------
    data : array, path, Source, or list of those
        NumPy or Zarr arrays; .npy, .npz and idx files or Zarr stores.  Random pieces are read,
        never everything at once.  A folder, for recipes that name their files.
    recipe : str, path or Recipe
        A packaged recipe by name ("image", "series", "field", "digits", ...) or a TOML file.
    axes : str, optional
        One letter per dimension of the data; the recipe's by default.
    name : str, optional
        Name of the model; the recipe's by default.
    seed, steps : int, optional
        Override the recipe's; `steps` counts for both networks.
    start : str, path or Model, optional
        A model to go on from instead of from nothing: less training goes further.  Its geometry
        must be the recipe's; an autoencoder is taken over as it is.
    progress : bool
        Show a progress bar where standard error is a terminal.

    Returns
    -------
    Model

    Raises
    ------
    RecipeError, ConfigError
        If the recipe or the data cannot be used.
    ModuleNotFoundError
        If PyTorch is not installed.

    Examples
    --------
    >>> import numpy as np, latrans
    >>> rng = np.random.default_rng(0)
    >>> images = rng.integers(0, 50, (4, 64, 64)).cumsum(2).astype(np.uint16)
    >>> model = latrans.fit(images, "field", name="mine", steps=20, progress=False)
    >>> model.name
    'mine'
    """
    # Whoever only looks at what there is need not have PyTorch, nor wait for it.
    try:
        from .training import fit as train
    except ModuleNotFoundError as error:
        if error.name != "torch":
            raise
        raise ModuleNotFoundError(
            "training needs PyTorch, which is not installed: pip install 'latrans[train]'",
            name=error.name,
        ) from error
    return train(
        data,
        recipe,
        axes=axes,
        name=name,
        seed=seed,
        steps=steps,
        start=start,
        progress=progress,
    )


def __getattr__(name: str) -> Any:
    if name == "Source":
        from .examples import Source

        return Source
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
