"""fit: data and a recipe in, a model out."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import asdict, replace
from pathlib import Path
from typing import Any

import numpy as np
import torch

from ..coding.geometry import GEOMETRIES
from ..coding.latents import fit_tables as fit_latent_tables
from ..engine import select
from ..errors import ConfigError
from ..format.axes import named as axes_named
from ..models.model import Model
from ..models.store import open_model
from ..residual.predictor import MAX_DESCRIBED_REFERENCES, Predictor
from ..residual.values.coder import ValuePredictor
from . import pictures
from .checks import opened, refuse_flat, refuse_if_flat
from .data import PatchSource
from .examples import Sampler, Source, as_sources
from .experts import parts, train_experts
from .predictor import fit_tables
from .progress import progress_bar
from .recipe import Recipe, load_recipe
from .rows import Example, blank_predictor, collect, train_linear
from .transform import train_transform
from .values import collect_values, train_values

_TRAINED_SHARE = 0.15


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
    """Train a model on data; see `latrans.fit`."""
    recipe = load_recipe(recipe)
    seed = recipe.training.seed if seed is None else seed
    given, axes = axes_named(axes), axes or recipe.axes
    if steps is not None:
        recipe = replace(
            recipe,
            predictor=replace(recipe.predictor, steps=steps),
            training=replace(recipe.training, steps=steps),
            transform=recipe.transform and replace(recipe.transform, steps=max(2, steps)),
        )
    sources = opened(_sources(data, recipe), given)
    if recipe.transform is not None:
        if start is not None:
            raise ConfigError(
                f"recipe {recipe.name!r} always trains from scratch: leave out start= (--from)"
            )
        return _fit_transform(recipe, sources, axes, name, seed, progress)
    before = None if start is None else _started(start, recipe)
    if not recipe.predictor.by_value:
        refuse_flat(sources, axes, recipe.geometry)
    autoencoder = None if before is None else before.autoencoder
    if recipe.autoencoder is not None and autoencoder is None:
        from .autoencoder import train_autoencoder

        patches = _patches(sources, axes, recipe)
        autoencoder = train_autoencoder(recipe, patches, seed=seed, progress=progress)
    rng = np.random.default_rng(seed)
    identity = autoencoder is not None and autoencoder.normalise == "identity"
    latent_tables = None
    predictor: Predictor | ValuePredictor
    if recipe.predictor.by_value:
        assert autoencoder is not None
        predictor, bits, latents = _train_values(
            recipe, autoencoder, sources, axes, rng, seed, progress
        )
        latent_tables = fit_latent_tables(latents)
    else:
        sampler = Sampler(sources, axes, recipe.geometry, recipe.predictor.augment, identity)
        examples = [sampler.draw(rng) for _ in range(recipe.predictor.examples)]
        refuse_if_flat(example.plane for example in examples)
        if autoencoder is not None:
            with_reconstruction, latents = _with_reconstructions(autoencoder, examples)
            latent_tables = fit_latent_tables(latents)
            examples = with_reconstruction if recipe.predictor.reconstruction else examples
        known = None if before is None else before.neighbourhood
        predictor, bits = _train_predictor(recipe, examples, known, rng, seed, progress)
    return Model(
        name=name or recipe.name,
        version=recipe.version,
        axes=axes,
        predictor=predictor,
        autoencoder=autoencoder,
        latent_tables=latent_tables,
        training=_record(recipe, seed, bits, _patches(sources, axes, recipe)),
        summary=recipe.description,
    )


def _started(start: str | Path | Model, recipe: Recipe) -> Model:
    model = open_model(start)
    if (
        model.by_value
        or model.predictor is None
        or model.geometry != recipe.geometry
        or recipe.predictor.by_value
    ):
        raise ConfigError(
            f"model {model.name!r} codes {model.geometry}s and recipe {recipe.name!r} "
            f"{recipe.geometry}s; start from a model of the recipe's own kind"
        )
    return model


def _record(recipe: Recipe, seed: int, bits: float, source: PatchSource) -> dict[str, Any]:
    """What a model file says of its training."""
    return {
        "recipe": recipe.to_dict(),
        "seed": seed,
        "bits_per_sample": round(bits, 4),
        "data": [asdict(entry) for entry in source.manifest()],
    }


def _fit_transform(
    recipe: Recipe,
    sources: Sequence[Source],
    axes: str,
    name: str | None,
    seed: int,
    progress: bool,
) -> Model:
    """A lossy model."""
    settings = recipe.transform
    assert settings is not None
    sampler = pictures.PictureSampler(sources, axes, settings.augment)
    rng = np.random.default_rng(seed)
    drawn = [sampler.draw(rng) for _ in range(settings.pictures)]
    refuse_if_flat(picture.planes for picture in drawn)
    torch.set_num_threads(1)
    with progress_bar("transform", settings.steps, progress) as report:
        transform, bits = train_transform(drawn, settings, seed=seed, report=report)
    return Model(
        name=name or recipe.name,
        version=recipe.version,
        axes=axes,
        predictor=None,
        training=_record(recipe, seed, bits, _patches(sources, axes, recipe)),
        summary=recipe.description,
        transform=transform,
    )


def _sources(data: Any, recipe: Recipe) -> list[Source]:
    if not recipe.sources:
        if data is None:
            raise ConfigError(f"recipe {recipe.name!r} names no data; give some to train on")
        return as_sources(data)
    if not isinstance(data, (str, Path)) or not Path(data).is_dir():
        raise ConfigError(
            f"recipe {recipe.name!r} names its own files; give the folder that holds them, "
            f"found {data!r}"
        )
    return [Source(Path(data) / s.file, s.axes or None, s.weight) for s in recipe.sources]


def _patches(sources: Sequence[Source], axes: str, recipe: Recipe) -> PatchSource:
    return PatchSource.join([PatchSource(s.data, s.axes or axes, recipe.geometry) for s in sources])


def _with_reconstructions(
    autoencoder: Any, examples: Sequence[Example]
) -> tuple[list[Example], np.ndarray[Any, Any]]:
    engine = select()
    out, latents = [], []
    for example in examples:
        planes = example.plane[None].astype(np.int32)
        statistics = autoencoder.statistics(planes)
        mine = autoencoder.analyse(engine, planes, statistics)
        reconstruction = autoencoder.synthesise(engine, mine, planes.shape[1:], statistics)
        out.append(replace(example, reconstruction=reconstruction[0].astype(np.int64)))
        latents.append(mine.reshape(*mine.shape[:2], -1))
    widths = {v.shape[2] for v in latents}
    if len(widths) > 1:  # items of several sizes: one long item serves the tables as well
        return out, np.concatenate(
            [v.transpose(1, 0, 2).reshape(1, v.shape[1], -1) for v in latents], axis=2
        )
    return out, np.concatenate(latents)


def _train_values(
    recipe: Recipe,
    autoencoder: Any,
    sources: Sequence[Source],
    axes: str,
    rng: np.random.Generator,
    seed: int,
    progress: bool,
) -> tuple[ValuePredictor, float, np.ndarray[Any, Any]]:
    """Value predictor, its bits per pixel, and the latents of the items it was trained on."""
    settings = recipe.predictor
    source = _patches(sources, axes, recipe)
    chosen = rng.permutation(len(source))[: settings.examples]
    items = source.take(sorted(chosen.tolist())).astype(np.int32)
    engine = select()
    statistics = autoencoder.statistics(items)
    latents = autoencoder.analyse(engine, items, statistics)
    reconstructions = autoencoder.synthesise(engine, latents, items.shape[1:], statistics)
    rows = collect_values(items.astype(np.int64), reconstructions.astype(np.int64), rng)
    torch.set_num_threads(1)
    with progress_bar("residual", settings.steps, progress) as report:
        predictor, bits = train_values(
            rows,
            (items.shape[1], items.shape[2]),
            settings.hidden,
            steps=settings.steps,
            batch=settings.batch,
            learning_rate=settings.learning_rate,
            seed=seed,
            report=report,
        )
    return predictor, bits, latents


def _train_predictor(
    recipe: Recipe,
    examples: Sequence[Example],
    start: Predictor | None,
    rng: np.random.Generator,
    seed: int,
    progress: bool,
) -> tuple[Predictor, float]:
    geometry = GEOMETRIES[recipe.geometry]
    settings = recipe.predictor
    has_reconstruction = recipe.autoencoder is not None and settings.reconstruction
    if start is not None:
        has_reconstruction = start.has_reconstruction
    n_references = min(MAX_DESCRIBED_REFERENCES, max(len(e.references) for e in examples))
    if start is not None:
        n_references = start.n_described_references
    linear = start.linear if start else train_linear(geometry, examples, has_reconstruction)
    blank = blank_predictor(geometry, n_references, has_reconstruction, linear, settings.flat)
    groups = collect(blank, examples, rng, settings.rows, _TRAINED_SHARE)
    # The layers are tiny: a second thread would only wait for the first.
    torch.set_num_threads(1)
    experts, kinds = train_experts(groups, settings, start, seed, progress)
    tables, tails, bits = fit_tables(parts(groups, experts, kinds), start)
    networks = tuple(tuple(e) for e in experts)
    return replace(blank, experts=networks, tables=tables, tails=tails), bits
