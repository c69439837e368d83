"""The demo's picture: what the latents alone hold, what the residual adds, where the bits go."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np

from . import figures
from .demo_data import Sample


def draw(sample: Sample, path: Path) -> Path:
    """Draw one two-dimensional sample to a PNG file; returns its path."""
    from matplotlib.figure import Figure

    import latrans

    codec = latrans.Codec(sample.model, axes=sample.axes)
    lossy = latrans.Codec(sample.model, "lossy", axes=sample.axes).encode(sample.array)
    preview = codec.preview(lossy)
    cost = codec.cost_map(sample.array)
    residual = sample.array.astype(np.int64) - preview.astype(np.int64)
    limit = max(1, int(np.quantile(np.abs(residual), 0.99)))
    latent_nbytes = latrans.inspect(lossy).latent_nbytes
    nbytes = len(codec.encode(sample.array))

    def bits(n_bytes: int) -> str:
        return f"{n_bytes * 8 / sample.array.size:.3f} bits per sample"

    figure = Figure(figsize=(16, 4.6), layout="constrained")
    panels = figure.subplots(1, 4)
    images: tuple[tuple[str, Any, dict[str, Any]], ...] = (
        ("original", sample.array, {"cmap": "gray"}),
        (f"latents alone, {bits(latent_nbytes)}", preview, {"cmap": "gray"}),
        ("residual", residual, {"cmap": "RdBu", "vmin": -limit, "vmax": limit}),
        (
            f"bits spent, {bits(nbytes)} in all",
            cost,
            {"cmap": "magma", "vmin": 0, "vmax": float(np.quantile(cost, 0.995))},
        ),
    )
    for panel, (title, image, options) in zip(panels, images, strict=True):
        shown = panel.imshow(image, interpolation="nearest", **options)
        panel.set_title(title, fontsize=11)
        panel.set_axis_off()
        if title not in ("original", images[1][0]):
            figure.colorbar(shown, ax=panel, shrink=0.8)
    path.parent.mkdir(parents=True, exist_ok=True)
    figures.save(figure, path, 110)
    return path
