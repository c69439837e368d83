"""Autoencoders as the codec uses them: planes to latents to a reconstruction, in integers.

A dense autoencoder takes samples of one size and works on their own integers.  A conv one takes
planes of any size (tracks: of one row) and any range: each plane is first brought to a common
scale by two integers of its own, its centre and the power of two nearest to twice its spread.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

from ..engine import Engine
from ..engine.program import Program, Tensors
from ..errors import ConfigError, ModelError

Planes = npt.NDArray[np.int32]  # (planes, rows, columns)
Latents = npt.NDArray[np.int32]  # (planes, channels) or (planes, channels, rows, columns)
Statistics = npt.NDArray[np.int64]  # (planes, 2): centre, shift

KINDS = ("dense", "conv")
LATENT_LIMITS = {"int8": 127, "int16": 2047}
INPUT_LIMIT = 127  # of normalised planes
_INPUT_BITS = 6  # a normalised plane is in 1/64 of 2**shift
_OUTPUT_BITS = 10  # the synthesis answers in 1/1024 of it


@dataclass(frozen=True, eq=False)
class Autoencoder:
    """A pair of programs, and how data enters and leaves them.

    Attributes
    ----------
    analysis, synthesis : Program
        Samples to latents; latents to samples.
    kind : {"dense", "conv"}
    sample_shape : (rows, columns) or None
        Of the samples that a dense autoencoder takes; None for conv.
    stride : (rows, columns) or ()
        Samples per latent position; empty for dense.
    latent_dtype : {"int8", "int16"}
    """

    analysis: Program
    synthesis: Program
    kind: str
    sample_shape: tuple[int, int] | None
    stride: tuple[int, ...]
    latent_dtype: str

    @property
    def normalise(self) -> str:
        """ "identity" or "affine": whether planes have `statistics`."""
        return "identity" if self.kind == "dense" else "affine"

    @property
    def latent_channels(self) -> int:
        return self.analysis.output_channels

    def fits(self, shape: tuple[int, int], lo: int, hi: int) -> bool:
        """Whether planes of this shape, with values from `lo` to `hi`, can be analysed."""
        if self.kind == "conv":
            return min(shape) >= 1
        return shape == self.sample_shape and lo >= 0 and hi <= self.analysis.input_hi

    def latent_shape(self, shape: tuple[int, int]) -> tuple[int, ...]:
        """Shape of one plane's latents, channels first."""
        if self.kind == "dense":
            return (self.latent_channels,)
        grid = (-(-n // s) for n, s in zip(shape, self.stride, strict=True))
        return (self.latent_channels, *grid)

    def statistics(self, planes: Planes) -> Statistics:
        """What the synthesis needs beside latents: (planes, 2); (planes, 0) where nothing."""
        if self.normalise == "identity":
            return np.zeros((len(planes), 0), np.int64)
        return np.array([plane_statistics(p) for p in planes], np.int64).reshape(-1, 2)

    def analyse(self, engine: Engine, planes: Planes, statistics: Statistics) -> Latents:
        """Latents of planes, int32 within the range of `latent_dtype`.

        Raises
        ------
        ConfigError
            If the planes do not have the size or range that the autoencoder takes.
        """
        if self.kind == "dense":
            if planes.shape[1:] != self.sample_shape:
                raise ConfigError(
                    f"samples have shape {planes.shape[1:]}; this model takes {self.sample_shape}"
                )
            return engine.run(self.analysis, planes.reshape(len(planes), -1))
        return engine.run(self.analysis, normalise(planes, statistics)[:, None])

    def synthesise(
        self, engine: Engine, latents: Latents, shape: tuple[int, int], statistics: Statistics
    ) -> Planes:
        """Reconstruction of planes of `shape` from their latents.

        Raises
        ------
        ConfigError
            If the latents are not those of planes of this shape.
        """
        if latents.shape[1:] != self.latent_shape(shape):
            raise ConfigError(
                f"latents have shape {latents.shape[1:]}; planes of {shape} have "
                f"{self.latent_shape(shape)}"
            )
        out = engine.run(self.synthesis, latents)
        if self.kind == "dense":
            return out.reshape(len(latents), *shape)
        return denormalise(out[:, 0, : shape[0], : shape[1]], statistics)

    def to_tensors(self, prefix: str) -> tuple[Tensors, dict[str, Any]]:
        """Tensors for a model file, and a JSON-ready description of the rest."""
        analysis, analysis_spec = self.analysis.to_tensors(f"{prefix}.analysis")
        synthesis, synthesis_spec = self.synthesis.to_tensors(f"{prefix}.synthesis")
        spec = {
            "kind": self.kind,
            "sample_shape": list(self.sample_shape) if self.sample_shape else None,
            "stride": list(self.stride),
            "latent_dtype": self.latent_dtype,
            "analysis": analysis_spec,
            "synthesis": synthesis_spec,
        }
        return {**analysis, **synthesis}, spec

    @classmethod
    def from_tensors(
        cls, prefix: str, tensors: Mapping[str, npt.NDArray[Any]], spec: Any
    ) -> Autoencoder:
        """Inverse of `to_tensors`.

        Raises
        ------
        ModelError
            If anything is missing, damaged, or does not fit together.
        """
        if not isinstance(spec, dict):
            raise ModelError(f"autoencoder {prefix!r} is {spec!r}; expected a table")
        sizes = {key: spec.get(key) or [] for key in ("sample_shape", "stride")}
        for key, value in sizes.items():
            if not isinstance(value, list) or not all(type(n) is int and n > 0 for n in value):
                raise ModelError(f"autoencoder {prefix!r} has {key} = {spec.get(key)!r}")
        sample_shape = tuple(sizes["sample_shape"]) or None
        autoencoder = cls(
            Program.from_tensors(f"{prefix}.analysis", tensors, spec.get("analysis")),
            Program.from_tensors(f"{prefix}.synthesis", tensors, spec.get("synthesis")),
            str(spec.get("kind")),
            sample_shape,  # type: ignore[arg-type]
            tuple(sizes["stride"]),
            str(spec.get("latent_dtype")),
        )
        autoencoder.check()
        return autoencoder

    def check(self) -> None:
        """Raise `ModelError` unless both programs belong together and to the data."""
        analysis, synthesis = self.analysis, self.synthesis
        limit = LATENT_LIMITS.get(self.latent_dtype, -1)
        lo, hi = analysis.output_range
        agree = (
            -limit <= synthesis.input_lo <= lo <= hi <= synthesis.input_hi <= limit
            and synthesis.input_shape[0] == analysis.output_channels
            and len(analysis.input_shape) == len(synthesis.input_shape)
        )
        if not agree:
            raise ModelError(
                f"analysis gives {analysis.output_channels} latents in {lo} to {hi}; synthesis "
                f"takes {synthesis.input_shape[0]} in {synthesis.input_lo} to {synthesis.input_hi}"
                f", {self.latent_dtype} has {limit}"
            )
        if self.kind == "dense":
            size = math.prod(self.sample_shape) if self.sample_shape else -1
            fits = (
                len(analysis.input_shape) == 1
                and not self.stride
                and (
                    size == analysis.input_shape[0] == synthesis.output_channels
                    and 0 == analysis.input_lo < analysis.input_hi
                )
            )
        else:
            fits = (
                self.kind == "conv"
                and len(analysis.input_shape) == 3
                and self.sample_shape is None
                and self.stride == _stride(analysis, False) == _stride(synthesis, True)
                and (1, 1) == _stride(analysis, True) == _stride(synthesis, False)
                and analysis.input_shape[0] == synthesis.output_channels == 1
                and (analysis.input_lo, analysis.input_hi) == (-INPUT_LIMIT, INPUT_LIMIT)
            )
        if not fits:
            raise ModelError(
                f"autoencoder of kind {self.kind!r}, samples {self.sample_shape}, stride "
                f"{self.stride} does not fit its programs"
            )


def plane_statistics(plane: npt.NDArray[Any]) -> tuple[int, int]:
    """Centre and shift of a plane of integers: the mean, and log2 of about twice the spread.

    The spread is the standard deviation (the mean absolute one would cut off the peaks of
    recordings), from sums of integers alone, so the same everywhere.

    Examples
    --------
    >>> import numpy as np
    >>> from latrans.models.autoencoder import plane_statistics
    >>> plane_statistics(np.array([[0, 10], [20, 30]], np.int32))
    (15, 4)
    """
    n = max(1, plane.size)
    centre = (2 * int(plane.sum(dtype=np.int64)) + n) // (2 * n)
    deviation = np.abs(plane.astype(np.int64) - centre)
    # Sixteen bits of each deviation: their squares add up within 64 bits.
    cut = max(0, int(deviation.max(initial=0)).bit_length() - 16)
    squares = int(((deviation >> cut) ** 2).sum())
    # With s = log2(2 spread) rounded to nearest, 4 spread**2 lies in 2**(2s-1) to 2**(2s+1).
    return centre, (4 * squares // n).bit_length() // 2 + cut


def normalise(planes: Planes, statistics: Statistics) -> Planes:
    """Planes on the common scale: integers in -127 to 127, 64 per ``2**shift``."""
    centre, shift = statistics.T[..., None, None]
    scaled = (planes.astype(np.int64) - centre) * (1 << _INPUT_BITS) >> shift
    clipped: Planes = np.clip(scaled, -INPUT_LIMIT, INPUT_LIMIT).astype(np.int32)
    return clipped


def denormalise(values: npt.NDArray[np.int32], statistics: Statistics) -> Planes:
    """Values of the synthesis, 1024 per ``2**shift``, on the planes' own scale."""
    centre, shift = statistics.T[..., None, None]
    half = 1 << (_OUTPUT_BITS - 1)
    restored = centre + ((values.astype(np.int64) << shift) + half >> _OUTPUT_BITS)
    info = np.iinfo(np.int32)
    clipped: Planes = np.clip(restored, info.min, info.max).astype(np.int32)
    return clipped


def _stride(program: Program, shuffled: bool) -> tuple[int, int]:
    rows = columns = 1
    for layer in program.layers:
        step = layer.factor if shuffled else layer.stride
        rows, columns = rows * step[0], columns * step[1]
    return rows, columns
