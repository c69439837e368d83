"""What the chunks of a Zarr array record, read without any model."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any

from . import arrays


@dataclass(frozen=True)
class FrameKind:
    """What frames of one kind have in common; None where the model is not found."""

    model_name: str | None
    model_version: int | None
    model_digest: str | None
    mode: str
    max_error: float | None
    latent_dtype: str
    fallback: bool


@dataclass
class Totals:
    """Sums over the frames of one kind."""

    n_chunks: int = 0
    n_bytes: int = 0
    latent_nbytes: int = 0
    residual_nbytes: int = 0

    def add(self, info: Any) -> None:
        self.n_chunks += 1
        self.n_bytes += info.nbytes
        self.latent_nbytes += info.latent_nbytes
        self.residual_nbytes += info.residual_nbytes


@dataclass
class Records:
    """Frames seen so far, by kind."""

    kinds: dict[FrameKind, Totals] = field(default_factory=dict)

    def note(self, frame: bytes) -> None:
        import latrans

        info = latrans.inspect(frame)
        kind = FrameKind(
            info.model_name,
            info.model_version,
            info.model_digest,
            info.mode,
            info.max_error,
            info.latent_dtype,
            info.fallback,
        )
        self.kinds.setdefault(kind, Totals()).add(info)


def read_records(array: Any) -> Records:
    """Note the header of every stored frame of a Zarr array."""
    from ..zarr.frame_reader import frames_of

    records = Records()
    for block in arrays.blocks(array.shape, array.chunks, array.dtype.itemsize):
        for frame in frames_of(array, block):
            records.note(frame)
    return records
