"""Recipes: everything that decides what a training makes, in one TOML file.

Unknown keys, missing keys and values of the wrong type or range are errors, so a recipe that
loads is a recipe that means what it says.
"""

from __future__ import annotations

import math
import tomllib
from collections.abc import Mapping
from dataclasses import MISSING, asdict, dataclass, field, fields
from importlib import resources
from pathlib import Path
from typing import Any, get_args, get_origin, get_type_hints

from ..errors import RecipeError
from .sections import (
    AutoencoderRecipe,
    Objective,
    PredictorRecipe,
    SourceFile,
    Training,
    TransformRecipe,
    check_at_least,
    check_choice,
)

__all__ = [
    "AutoencoderRecipe",
    "Objective",
    "PredictorRecipe",
    "Recipe",
    "SourceFile",
    "Training",
    "TransformRecipe",
    "load_recipe",
    "recipe_names",
]

GEOMETRIES = ("plane", "track")


@dataclass(frozen=True)
class Recipe:
    """A training, by name and version.

    Attributes
    ----------
    name : str
    version : int
    geometry : {"plane", "track"}
        Whether samples have neighbours in two dimensions or along time only.
    axes : str
        One letter per dimension of the data, as `latrans.Codec` takes it.
    description : str
        One line for people.
    autoencoder : AutoencoderRecipe or None
        None: the model has a residual coder only.
    transform : TransformRecipe or None
        Makes a lossy model, which has neither autoencoder nor residual coder.
    sources : tuple of SourceFile
        Data that the recipe was made for; empty for recipes that suit any.
    """

    name: str
    version: int
    geometry: str
    axes: str
    description: str = ""
    autoencoder: AutoencoderRecipe | None = None
    objective: Objective = field(default_factory=lambda: Objective(mse=1.0))
    predictor: PredictorRecipe = field(default_factory=PredictorRecipe)
    training: Training = field(default_factory=Training)
    transform: TransformRecipe | None = None
    sources: tuple[SourceFile, ...] = ()

    def __post_init__(self) -> None:
        check_choice("geometry", self.geometry, GEOMETRIES)
        check_at_least("version", self.version, 0)
        spatial = "yx" if self.geometry == "plane" else "t"
        known = set(self.axes) <= set("ncztyx") and len(set(self.axes)) == len(self.axes)
        if not known or not set(spatial) <= set(self.axes):
            raise RecipeError(
                f"axes is {self.axes!r}; expected different letters of 'ncztyx', "
                f"{' and '.join(repr(a) for a in spatial)} among them"
            )
        if self.transform is not None and (self.autoencoder or self.geometry != "plane"):
            raise RecipeError("a transform is for geometry 'plane', without an autoencoder")
        family = self.autoencoder.family if self.autoencoder else None
        if self.predictor.by_value and family != "dense":
            raise RecipeError("predictor.by_value needs an autoencoder of family 'dense'")
        if (family == "conv1d") != (self.geometry == "track") and family is not None:
            raise RecipeError(f"family {family!r} does not fit geometry {self.geometry!r}")

    def to_dict(self) -> dict[str, Any]:
        """Everything as plain values, defaults included: what a model file keeps."""
        return asdict(self)


def load_recipe(source: str | Path | Recipe) -> Recipe:
    """A packaged recipe by name, or one in a TOML file.

    Raises
    ------
    RecipeError
        Naming the entry that is unknown, missing, or wrong, and what was expected.

    Examples
    --------
    >>> from latrans.train.recipe import load_recipe
    >>> load_recipe("mnist-784-128-64-16").autoencoder.hidden
    (128, 64)
    """
    if isinstance(source, Recipe):
        return source
    text = str(source)
    if text in recipe_names():
        content = (_packaged() / f"{text}.toml").read_text("utf-8")
    elif Path(text).is_file():
        try:
            content = Path(text).read_text("utf-8")
        except (OSError, UnicodeDecodeError) as error:
            raise RecipeError(f"recipe {text!r} cannot be read: {error}") from error
    else:
        raise RecipeError(
            f"no recipe {text!r}: it is neither a file nor one of {', '.join(recipe_names())}"
        )
    try:
        table = tomllib.loads(content)
    except tomllib.TOMLDecodeError as error:
        raise RecipeError(f"recipe {text!r} is not TOML: {error}") from error
    recipe: Recipe = _read(Recipe, table, f"recipe {text!r}")
    return recipe


def recipe_names() -> list[str]:
    """Names of the recipes that come with latrans."""
    return sorted(p.name[:-5] for p in _packaged().iterdir() if p.name.endswith(".toml"))


def _packaged() -> Any:
    return resources.files(__package__) / "recipes"


def _read(kind: type[Any], table: Mapping[str, Any], where: str) -> Any:
    """Build dataclass `kind` from a table, field by field."""
    types = get_type_hints(kind)
    for key in table:
        if key not in types:
            raise RecipeError(f"{where}: unknown key {key!r}; known are {', '.join(types)}")
    for entry in fields(kind):
        required = entry.default is MISSING and entry.default_factory is MISSING
        if required and entry.name not in table:
            raise RecipeError(f"{where}: key {entry.name!r} is missing")
    values = {k: _value(types[k], v, f"{where}: {k}") for k, v in table.items()}
    try:
        return kind(**values)
    except RecipeError as error:
        raise RecipeError(f"{where}: {error}") from None


def _value(kind: Any, value: Any, where: str) -> Any:
    for option in get_args(kind) if get_origin(kind) is not tuple else ():
        if option is not type(None):
            kind = option
    if hasattr(kind, "__dataclass_fields__"):
        if isinstance(value, dict):
            return _read(kind, value, where)
        raise RecipeError(f"{where} is {value!r}; expected a table")
    if get_origin(kind) is tuple:
        item = get_args(kind)[0]
        if hasattr(item, "__dataclass_fields__"):
            if isinstance(value, list) and all(isinstance(v, dict) for v in value):
                return tuple(_read(item, v, f"{where}[{i}]") for i, v in enumerate(value))
            raise RecipeError(f"{where} is {value!r}; expected a list of tables")
        if isinstance(value, list) and all(type(v) is int for v in value):
            return tuple(value)
        raise RecipeError(f"{where} is {value!r}; expected a list of integers")
    if kind is float and type(value) is int:
        return float(value)
    if type(value) is not kind or (kind is float and not math.isfinite(value)):
        raise RecipeError(f"{where} is {value!r}; expected {kind.__name__}")
    return value
