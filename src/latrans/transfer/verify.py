"""Verify: a target compared with its source, block by block, as stored by anybody.

Without a source, every chunk of the target is decoded, which tests its checksum.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np

from ..batch.foreign import unmasked
from ..errors import ConfigError
from ..missing.conventions import declared
from ..missing.missing import Missing
from ..zarr import LatransCodec
from ..zarr.frame_reader import configuration
from . import progress
from .blocks import BLOCK_NBYTES, Block, BlockGrid, block_grid
from .compare import Difference, difference
from .members import arrays_of
from .move import raise_if_fatal
from .summary import Failure


@dataclass(frozen=True)
class Pair:
    """An array of a source, or None, and its counterpart in a target; pickles where they do.

    Attributes
    ----------
    name : str
        Path of the array, "" where source and target are arrays themselves.
    mode : str
        What the target promises: "lossless", also where it was not written with latrans,
        "bounded" or "lossy".
    max_error : float, optional
    missing : Missing, optional
        What must be as it was whatever the mode.
    grid, units : BlockGrid
        Blocks, and what can be read alone: chunks, or shards.
    mismatch : str
        Why the two cannot be compared; "" where they can.
    """

    name: str
    source: Any
    target: Any
    mode: str
    max_error: float | None
    missing: Missing | None
    grid: BlockGrid
    units: BlockGrid
    mismatch: str = ""

    @property
    def codec(self) -> LatransCodec | None:
        """What wrote the target; None where that was not latrans."""
        config = configuration(self.target)
        return None if config is None else LatransCodec.from_mapping(config)


def pairs(
    source: Any,
    target: Any,
    max_error: float | None = None,
    block_nbytes: int = BLOCK_NBYTES,
) -> list[Pair]:
    """Every array of a source with its counterpart.

    Parameters
    ----------
    source : array, zarr.Array, zarr.Group or None
        None where the target is only to be decoded.
    target : zarr.Array or zarr.Group
    max_error : float, optional
        A bound to check in place of what arrays promise.
    block_nbytes : int
        Of samples to hold at a time.

    Raises
    ------
    ConfigError
        If a transfer into the target stopped half-way, or one of the two is a group.
    """
    progress.refuse_unfinished(target)
    theirs = arrays_of(target)
    ours = dict.fromkeys(theirs) if source is None else arrays_of(source)
    if ("" in ours) != ("" in theirs):
        raise ConfigError("one of source and target is a group, the other an array")
    missing = sorted(set(ours) - set(theirs))
    if missing:
        raise ConfigError(f"{target.store_path} has no array {', '.join(missing)}")
    return [_paired(name, ours[name], theirs[name], max_error, block_nbytes) for name in ours]


def _paired(
    name: str, source: Any, target: Any, max_error: float | None, block_nbytes: int
) -> Pair:
    config = configuration(target) or {}
    mode = config.get("mode", "lossless")
    bound = config.get("max_error") if mode == "bounded" else None
    if max_error is not None and config:
        mode, bound = "bounded", max_error
    like = target if source is None else source
    shape, dtype = tuple(like.shape), np.dtype(like.dtype)
    mismatch = ""
    if shape != target.shape or not np.can_cast(dtype, target.dtype, "equiv"):
        mismatch = (
            f"the source is {dtype} {shape}, {name or target.store_path} is {target.dtype} "
            f"{target.shape}"
        )
    unit = target.shards or target.chunks
    return Pair(
        name,
        source,
        target,
        mode,
        bound,
        _missing(config, like, target),
        block_grid(target.shape, unit, target.dtype.itemsize or 1, block_nbytes),
        BlockGrid(target.shape, tuple(max(1, n) for n in unit)),
        mismatch,
    )


def check(pair: Pair, i: int) -> tuple[Difference, list[Failure]]:
    """Compare one block; chunks that cannot be read are named.

    Raises
    ------
    ModelError, ConfigError, EngineError, MemoryError
        If no other block could be read either.
    """
    block = pair.grid[i]
    try:
        return Difference().joined(_compared(pair, block), block), []
    except Exception as error:
        raise_if_fatal(error)
    found, failures = Difference(), []
    for unit in pair.units.within(block):
        try:
            found = found.joined(_compared(pair, unit), unit)
        except Exception as error:
            raise_if_fatal(error)
            position = pair.units.position(unit)
            failures.append(Failure(pair.name, position, f"{type(error).__name__}: {error}"))
    return found, failures


def _compared(pair: Pair, block: Block) -> Difference:
    decoded = np.asarray(pair.target[block])
    if pair.source is None:
        return Difference()
    # Files are read by another way than for copying, so that what that did wrong shows.
    read = getattr(pair.source, "reread", pair.source.__getitem__)
    original = np.asarray(unmasked(read(block)))
    if original.dtype.hasobject or original.dtype.kind == "T":
        return Difference(n_different=int((original != decoded).sum()))
    return difference(original, decoded, pair.max_error, pair.missing)


def violations(pair: Pair, found: Difference) -> int:
    """Samples that break what an array promises."""
    return found.n_different if pair.mode == "lossless" else found.n_outside


def _missing(config: dict[str, Any], source: Any, target: Any) -> Missing | None:
    """What was missing when the target was written, and what is by the source."""
    told = Missing.of(config.get("fill_value"), config.get("valid_range"))
    for array in (source, target):
        found = declared(array)
        told = found if told is None else told.joined(found)
    return told
