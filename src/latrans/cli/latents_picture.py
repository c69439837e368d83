"""A picture of latents: their principal components as colours, and where chunks cost more bits."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from ..dask.saved_latents import ATTRIBUTE
from ..dask.scores import robust_z
from ..models.store import open_model
from ..zarr.chunk_sizes import samples_of_chunks
from ..zarr.latent_grid import LatentGrid
from . import figures

Array = npt.NDArray[Any]

_SIDE = 1500  # of a panel, in samples at most
_Z = 6.0  # scores beyond this have the strongest colour


def draw(
    path: str | os.PathLike[str], source: Any, latents: Any, bits: npt.NDArray[np.float64]
) -> None:
    """Draw the middle plane of an array, its latents and the scores of its chunks.

    Parameters
    ----------
    path : str or path
        Of the PNG file.
    source, latents : zarr.Array
        As `latrans.dask.save_latents` read and wrote them.
    bits : (chunks ...) float64
        `latrans.dask.scores` of the source.

    Notes
    -----
    Latents without a grid, one vector per sample, are drawn as points.
    """
    from matplotlib.figure import Figure

    about = latents.attrs[ATTRIBUTE]
    grid = LatentGrid.of(open_model(f"sha256:{about['digest']}"), about["axes"])
    z = robust_z(bits, samples_of_chunks(source))
    figure = Figure(figsize=(18, 6), layout="constrained")
    panels = figure.subplots(1, 3)
    middle = tuple(source.shape[d] // 2 for d in grid.outer)
    if len(grid.inner) == 2:
        where: list[Any] = [slice(None)] * source.ndim
        for d, i in zip(grid.outer, middle, strict=True):
            where[d] = i
        plane = np.asarray(source[tuple(where)])
        plane = plane if grid.inner[0] < grid.inner[1] else plane.T
        cells = np.asarray(latents[middle])
        cells = cells if grid.channels else cells[None]
        _show(panels[0], plane, f"plane {list(middle) or ''} of {about['source']}", cmap="gray")
        colours = components(cells.reshape(len(cells), -1).T).reshape(*cells.shape[1:], 3)
        _show(panels[1], colours, f"latents of {about['model']}, three principal components")
        chunk = [i // source.chunks[d] for d, i in zip(grid.outer, middle, strict=True)]
        for d, i in zip(grid.outer, chunk, strict=True):
            where[d] = i
        shown = z[tuple(where)]
        shown = shown if grid.inner[0] < grid.inner[1] else shown.T
    else:
        vectors = np.asarray(latents[...]).reshape(-1, max(1, grid.channels))
        colours = components(vectors, share=0)
        panels[0].scatter(colours[:, 0], colours[:, 1], c=colours, s=4)
        panels[0].set_title("first and second principal component of latents")
        _show(panels[1], vectors[:_SIDE], f"latents of {about['model']}", aspect="auto")
        shown = z.reshape(len(z), -1)
    image = _show(
        panels[2],
        shown,
        "robust z of bits per sample, by chunk",
        cmap="RdBu_r",
        vmin=-_Z,
        vmax=_Z,
        aspect="equal" if grid.inner else "auto",
    )
    figure.colorbar(image, ax=panels[2], shrink=0.8)
    figures.save(figure, Path(path), 100)


def components(vectors: Array, n: int = 3, share: float = 0.01) -> npt.NDArray[np.float64]:
    """The first `n` principal components of vectors (items, channels), each from 0 to 1.

    A `share` of items is cut off at either end.

    Signs are those that make the largest weight of a component positive, so that pictures of one
    array do not change their colours between machines.
    """
    values = vectors.astype(np.float64) - vectors.mean(0)
    _, directions = np.linalg.eigh(values.T @ values)
    first = directions[:, ::-1][:, :n]
    strongest = np.take_along_axis(first, np.abs(first).argmax(0)[None], 0)
    found = values @ (first * np.sign(strongest))
    found = np.pad(found, ((0, 0), (0, n - found.shape[1])))
    low, high = np.quantile(found, [share, 1 - share], axis=0)
    scaled: npt.NDArray[np.float64] = np.clip((found - low) / np.maximum(high - low, 1e-9), 0, 1)
    return scaled


def _show(panel: Any, image: Array, title: str, **options: Any) -> Any:
    steps = [max(1, -(-n // _SIDE)) for n in image.shape[:2]]
    panel.set_title(title if len(title) < 70 else f"...{title[-66:]}", fontsize=10)
    panel.set_axis_off()
    return panel.imshow(image[:: steps[0], :: steps[1]], interpolation="nearest", **options)
