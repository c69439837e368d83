"""Move: one block from source to target, written, read back and compared.

Moving a block twice, or by two workers at once, writes the same bytes again.  A chunk that fails
is reported, and taken out of the target where it came back wrong; the others of its block are
moved one by one.
"""

from __future__ import annotations

import time
from dataclasses import dataclass, replace
from typing import Any

import numpy as np

from ..batch.foreign import unmasked
from ..errors import CodecError, ConfigError, EngineError, ModelError
from ..format.dtypes import contiguous
from ..missing.missing import Missing
from ..process.whole_files import FULL
from ..zarr import LatransCodec
from ..zarr.opening import writing_all
from . import progress, stores
from .blocks import Block, BlockGrid
from .compare import Difference, difference
from .summary import Failure, Record

# What would befall every other chunk as well.
_FATAL = (ConfigError, ModelError, EngineError, MemoryError)


@dataclass(frozen=True)
class MovePlan:
    """How one array is moved; small, and pickles where its source does.

    Attributes
    ----------
    name : str
        Path of the array inside the target, "" for the target itself.
    source : array
        Anything with shape, dtype and indexing by slices; None where blocks bring their samples.
    target : zarr.Array
    codec : LatransCodec or None
        None where the array is copied.
    grid, units : BlockGrid
        Blocks, and what is written at once: chunks, or shards.
    job : str
        Which transfer this is part of.
    verify : bool
        Whether blocks are read back and compared.
    """

    name: str
    source: Any
    target: Any
    codec: LatransCodec | None
    grid: BlockGrid
    units: BlockGrid
    job: str
    verify: bool = True

    @property
    def itemsize(self) -> int:
        """Bytes of a sample; of strings, those of a reference."""
        return int(np.dtype(self.target.dtype).itemsize)


class Broken(Exception):
    """A block came back otherwise than its array's mode promises."""


def move(plan: MovePlan, i: int, samples: Any = None) -> Record:
    """Move block `i`, and remember beside the data that it is done.

    Parameters
    ----------
    plan : MovePlan
    i : int
        Number of the block in ``plan.grid``.
    samples : array, optional
        The block's samples, where they do not come from ``plan.source``.

    Returns
    -------
    Record
        Chunks that failed are named in it.

    Raises
    ------
    ConfigError, ModelError, EngineError, MemoryError, OSError
        If no other block could be moved either: a missing model, a full disk.
    """
    start = time.perf_counter()
    block = plan.grid[i]
    source, read = stores.counted(plan.source)
    target, written = stores.counted(plan.target)
    assert written is not None
    if samples is not None:
        source = _Held(np.asarray(unmasked(samples)), block)
    failures: list[Failure] = []
    try:
        found = _carry(plan, source, target, block)
    except Exception as error:
        raise_if_fatal(error)
        written.put_nbytes = 0  # all of it is written again
        found, failures = _one_by_one(plan, source, target, block)
    nbytes = int(np.prod([s.stop - s.start for s in block], dtype=object)) * plan.itemsize
    record = Record(
        array=plan.name,
        block=i,
        n_chunks=len(plan.units.within(block)),
        nbytes=nbytes,
        read_nbytes=nbytes if read is None else read.get_nbytes,
        stored_nbytes=written.put_nbytes,
        n_different=found.n_different,
        worst=found.worst,
        n_gets=written.n_gets + (0 if read is None else read.n_gets),
        n_puts=written.n_puts + 1,
        seconds=time.perf_counter() - start,
        failures=tuple(failures),
    )
    if failures:
        return record
    try:
        progress.remember(plan.target, plan.job, record)
    except Exception as error:
        raise_if_fatal(error)
        return replace(record, failures=failed(plan, i, f"cannot be noted as done: {error}"))
    return record


def failed(plan: MovePlan, i: int, reason: str) -> tuple[Failure, ...]:
    """All chunks of a block, as failed for the same reason."""
    units = plan.units.within(plan.grid[i])
    return tuple(Failure(plan.name, plan.units.position(unit), reason) for unit in units)


@dataclass(frozen=True)
class _Held:
    """Samples of one block, found by their place in the array."""

    samples: Any
    block: Block

    def __getitem__(self, key: Block) -> Any:
        return self.samples[_within(self.block, key)]


def _carry(plan: MovePlan, source: Any, target: Any, block: Block) -> Difference:
    samples = np.asarray(unmasked(source[block]))
    target[block] = samples
    for unit in _taken_for_empty(plan, target, samples, block):
        writing_all(target)[unit] = samples[_within(block, unit)]
    if not plan.verify:
        return Difference()
    if hasattr(source, "reread"):  # by another way, so that a wrong reading shows
        samples = source.reread(block)
    try:
        return checked(plan.codec, samples, np.asarray(target[block]))
    except CodecError as error:
        raise Broken(f"what was written does not decode: {error}") from error


def _taken_for_empty(plan: MovePlan, target: Any, samples: Any, block: Block) -> list[Block]:
    """Chunks that Zarr drops, since they equal the fill value, though their bits are others.

    Any NaN passes for any other, and -0.0 for 0.0.  Chunks that are the fill value bit for bit are
    left to Zarr, or sparse archives would get an object for each of them.
    """
    if target.fill_value is None or samples.dtype.kind not in "fcV":
        return []
    samples = contiguous(samples, "C")
    fill = np.array(target.fill_value, samples.dtype)
    equal = np.asarray(samples == fill)
    if fill.dtype.kind in "fc" and np.isnan(fill):
        equal = np.isnan(samples)
    if not equal.any():
        return []
    bits = f"V{samples.dtype.itemsize}"
    other = equal & (samples.view(bits) != contiguous(fill, "C").view(bits))
    if not other.any():
        return []
    whole = target.shards is None  # else chunks inside of a shard may be dropped alone
    found = []
    for unit in plan.units.within(block):
        part = _within(block, unit)
        if other[part].any() and (equal[part].all() or not whole):
            found.append(unit)
    return found


def _within(block: Block, unit: Block) -> Block:
    """Where a unit lies in the samples of its block."""
    return tuple(
        slice(part.start - s.start, part.stop - s.start)
        for part, s in zip(unit, block, strict=True)
    )


def checked(codec: LatransCodec | None, samples: Any, back: Any) -> Difference:
    """How samples differ from what came back; `Broken` where the mode promises more."""
    if samples.dtype.hasobject or samples.dtype.kind == "T":
        if not np.array_equal(samples, back):
            raise Broken("what was read back is not what was written")
        return Difference()
    mode = "lossless" if codec is None else codec.mode
    bound = codec.max_error if codec is not None and mode == "bounded" else None
    missing = None if codec is None else Missing.of(codec.fill_value, codec.valid_range)
    found = difference(samples, back, bound, missing)
    if mode == "lossless" and found.n_different:
        raise Broken(f"{found.n_different} samples differ, {found.by}")
    if mode == "bounded" and found.n_outside:
        raise Broken(f"{found.n_outside} samples are off by more than {bound:g}")
    if mode == "lossy" and found.n_outside:
        raise Broken(f"{found.n_outside} samples became missing values, or were some and are not")
    return found


def _one_by_one(
    plan: MovePlan, source: Any, target: Any, block: Block
) -> tuple[Difference, list[Failure]]:
    found, failures = Difference(), []
    for unit in plan.units.within(block):
        try:
            found = found.joined(_carry(plan, source, target, unit), unit)
        except Exception as error:
            raise_if_fatal(error)
            position = plan.units.position(unit)
            if isinstance(error, Broken):  # else it is not there, or as others wrote it
                stores.delete(target.store_path.store, _key(target, position))
            reason = f"{type(error).__name__}: {error}"
            failures.append(Failure(plan.name, position, reason))
    return found, failures


def raise_if_fatal(error: Exception) -> None:
    if isinstance(error, _FATAL) or (isinstance(error, OSError) and error.errno in FULL):
        raise error


def _key(array: Any, position: tuple[int, ...]) -> str:
    return stores.below(array.path, array.metadata.encode_chunk_key(position))
