"""Job: a target that is begun or gone on with, the blocks it still needs, and its completion."""

from __future__ import annotations

import hashlib
import json
import time
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field, replace
from typing import Any

import numpy as np
import zarr
from zarr.storage import StorePath

from ..errors import ConfigError, TransferError
from ..format.dtypes import contiguous
from ..models.store import open_model
from ..zarr.models import keep
from . import memory, progress, stores
from . import target as targets
from .archive import Archive
from .blocks import BlockGrid, block_grid
from .layout import Layout, layouts
from .members import arrays_of
from .move import MovePlan
from .options import TransferOptions
from .summary import Record, Summary


@dataclass
class Job:
    """A transfer that is under way.

    Attributes
    ----------
    place : StorePath
        Where the target lies.
    plans : list of MovePlan
        One per array.
    earlier : list of Record
        Of blocks that earlier runs finished.
    needed_nbytes : int
        Memory of the largest task.
    consolidate : bool
        Whether the target gets consolidated metadata, as the source has.
    exact : tuple of str
        Arrays that are stored losslessly though others are not, see `exact`.
    archive : Archive or None
        The ZIP file that the target is packed into.
    """

    place: StorePath
    plans: list[MovePlan]
    earlier: list[Record]
    needed_nbytes: int
    consolidate: bool = False
    exact: tuple[str, ...] = ()
    archive: Archive | None = None
    started: float = field(default_factory=time.perf_counter)

    @property
    def nbytes(self) -> int:
        """Bytes of all samples."""
        return sum(_nbytes(plan.grid.shape) * plan.itemsize for plan in self.plans)

    def pending(self) -> Iterator[tuple[MovePlan, int]]:
        """Blocks that are still to be moved, in order."""
        done = {(record.array, record.block) for record in self.earlier}
        for plan in self.plans:
            for i in range(len(plan.grid)):
                if (plan.name, i) not in done:
                    yield plan, i

    @property
    def n_pending(self) -> int:
        """How many blocks are still to be moved."""
        return sum(len(plan.grid) for plan in self.plans) - len(self.earlier)

    def finish(self, records: Iterable[Record]) -> Summary:
        """Complete the target where all of its blocks are in place.

        Raises
        ------
        TransferError
            If chunks failed; the target stays incomplete then.
        """
        records = list(records)
        seconds = time.perf_counter() - self.started
        summary = replace(Summary.of(self.earlier, records, seconds), exact=self.exact)
        if summary.failures:
            raise TransferError(summary)
        missing = self.n_pending - len({(record.array, record.block) for record in records})
        if missing:
            raise ConfigError(f"{missing} blocks were not moved: run the transfer again")
        self._complete()
        return summary

    def _complete(self) -> None:
        if self.archive is not None:
            self.archive.pack(self._take_marks_off)
            return
        self._take_marks_off(self.place)
        for plan in self.plans:
            progress.forget(plan.target)
        stores.remove_partial(self.place)

    def _take_marks_off(self, place: StorePath) -> None:
        """Those of the target itself last."""
        for plan in self.plans:
            if plan.name:
                progress.finished(zarr.open_array(place / plan.name, mode="r+"))
        if self.consolidate:
            stores.consolidate(place)
        progress.finished(zarr.open(place, mode="r+"))


def prepare(
    source: Any,
    target: Any,
    options: TransferOptions,
    *,
    workers: int = 1,
    available: int | None = None,
    whose: str = "this machine",
) -> Job:
    """Begin a transfer, or go on with it; see `latrans.transfer.transcode`.

    Parameters
    ----------
    source : zarr.Array, zarr.Group or array
    target : str, path, Store or StorePath
    options : TransferOptions
    workers, available, whose
        How many tasks share how many bytes of whose memory, which is looked at before anything
        is written.

    Raises
    ------
    ConfigError
        If the target is complete already or belongs to another transfer, if the settings do not
        fit the source, or if the tasks do not fit into memory.
    """
    if options.model_storage == "beside" and not isinstance(source, zarr.Group):
        raise ConfigError(
            "an array has no group to keep a model in: use model_storage='inline', or move a group"
        )
    if isinstance(source, zarr.Array | zarr.Group):
        for node in (source, *arrays_of(source).values()):
            progress.refuse_unfinished(node)
    wanted = layouts(source, options)
    grids = [_grid(layout, options.block_nbytes) for layout in wanted]
    needed = max(map(_needed, wanted, grids), default=0)
    memory.check(needed, workers, available, whose)
    parts: dict[str, Any] = {
        "zarr_format": options.zarr_format,
        "verified": options.verify,
        "arrays": {
            layout.name or "/": _asked_for(layout, grid)
            for layout, grid in zip(wanted, grids, strict=True)
        },
    }
    for layout in wanted:
        layout.probe()
    job = progress.identity(parts)
    archive = Archive.named(target, options.overwrite)
    folder = target if archive is None else archive.folder
    place = stores.open_target(folder, options.storage_options)
    if not targets.goes_on(place, job, parts, options.resume, options.overwrite):
        stores.clear(place)
    made = targets.make(place, source, wanted, job, parts, options.zarr_format)
    codecs = (layout.codec for layout in wanted if layout.model_storage == "beside")
    beside = [found for found in codecs if found is not None]
    if beside:
        root = zarr.open_group(place, mode="r+", use_consolidated=False)
        for stored in beside:
            keep(root, open_model(stored.model))
    plans = [
        MovePlan(
            layout.name,
            None if hasattr(layout.source, "identity") else layout.source,
            array,
            layout.codec,
            grid,
            BlockGrid(grid.shape, layout.unit),
            job,
            options.verify,
        )
        for layout, grid, array in zip(wanted, grids, made, strict=True)
    ]
    earlier = [
        record
        for plan in plans
        for i, record in progress.recall(plan.target, job).items()
        if i < len(plan.grid)
    ]
    exact = tuple(f"{layout.name} ({layout.exact})" for layout in wanted if layout.exact)
    return Job(place, plans, earlier, needed, stores.is_consolidated(source), exact, archive)


def _grid(layout: Layout, block_nbytes: int) -> BlockGrid:
    shape = tuple(layout.source.shape)
    itemsize = np.dtype(layout.source.dtype).itemsize or 1
    given = getattr(layout.source, "block", None)
    if given is not None and _is_whole(given, layout.unit, shape):
        return BlockGrid(shape, tuple(given))
    return block_grid(shape, layout.unit, itemsize, block_nbytes)


def _is_whole(block: tuple[int, ...], unit: tuple[int, ...], shape: tuple[int, ...]) -> bool:
    """Whether blocks of this shape hold whole chunks."""
    return all(
        edge > 0 and (edge % n == 0 or edge >= size)
        for edge, n, size in zip(block, unit, shape, strict=True)
    )


def _needed(layout: Layout, grid: BlockGrid) -> int:
    dtype = np.dtype(layout.source.dtype)
    shape = tuple(min(n, edge) for n, edge in zip(grid.shape, grid.edge, strict=True))
    held = int(getattr(layout.source, "held_nbytes", 0))
    return held + memory.task_nbytes(
        _nbytes(shape) * dtype.itemsize, _nbytes(layout.chunks) * dtype.itemsize, dtype
    )


def _nbytes(shape: tuple[int, ...]) -> int:
    return int(np.prod(shape, dtype=object))


def _asked_for(layout: Layout, grid: BlockGrid) -> dict[str, Any]:
    """All that decides what is written, ready for JSON."""
    codec = None
    if layout.codec is not None:
        codec = dict(layout.codec.to_mapping())
        if len(str(codec["model"])) > 80:  # inline
            codec.pop("model")
        if layout.codec.model != "auto":
            codec["model_digest"] = open_model(layout.codec.model).digest
    return {
        "source": _identity_of(layout.source),
        "codec": codec,
        "chunks": list(layout.chunks),
        "shards": None if layout.shards is None else list(layout.shards),
        "block": list(grid.edge),
    }


def _identity_of(source: Any) -> dict[str, Any]:
    """Which array this is, as far as that can be known without reading all of it."""
    known: dict[str, Any] = {"shape": list(source.shape), "dtype": str(np.dtype(source.dtype))}
    if isinstance(source, zarr.Array):
        metadata = json.dumps(source.metadata.to_dict(), sort_keys=True, default=str)
        known["place"] = stores.identity(source.store_path)
        known["metadata"] = hashlib.sha256(metadata.encode()).hexdigest()[:16]
    elif hasattr(source, "fingerprint"):  # of files
        known |= source.fingerprint
    elif isinstance(source, np.ndarray):
        known["values"] = hashlib.sha256(contiguous(source, "C").tobytes()).hexdigest()[:16]
    else:
        known |= getattr(source, "identity", {"kind": type(source).__qualname__})
    return known
