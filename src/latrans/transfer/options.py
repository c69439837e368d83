"""Options: all that a transfer is told beside its source and target, checked once."""

from __future__ import annotations

from collections.abc import Collection
from dataclasses import dataclass
from typing import Any

from ..errors import ConfigError
from .blocks import BLOCK_NBYTES


@dataclass(frozen=True, kw_only=True)
class TransferOptions:
    """What a transfer is told; what each field means is said by `latrans.transfer.transcode`.

    Raises
    ------
    ConfigError
        For a format that Zarr does not have.

    Examples
    --------
    >>> from latrans.transfer.options import TransferOptions
    >>> TransferOptions(codec="field-1", chunks="source").verify
    True
    """

    codec: Any = "image-1"
    arrays: Collection[str] | None = None
    chunks: Any = None
    shards: Any = None
    verify: bool = True
    resume: bool = True
    overwrite: bool = False
    zarr_format: int = 3
    model_storage: str | None = None
    block_nbytes: int = BLOCK_NBYTES
    storage_options: dict[str, Any] | None = None

    def __post_init__(self) -> None:
        if self.zarr_format not in (2, 3):
            raise ConfigError(f"zarr_format is {self.zarr_format!r}; expected 2 or 3")
